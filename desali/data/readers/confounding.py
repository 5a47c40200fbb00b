"""Whether a class can be told from whom, what machine or what day an image is of, so that a model may learn that."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from desali.data.formats.dicom_file import read_tags
from desali.data.readers.listing import Item

MOSTLY = 0.9
"""Share of a class's images in one patient, or of patients told right, from which class and source are confounded."""
APART = 0.95
"""Share of pairs of patients in the order of their dates from which dates tell a class."""
LEAST = 3
"""Patients of a class, and of the others, without which an order of dates says nothing."""
DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?!\d)")
SCANNER_TAGS = ("Manufacturer", "ManufacturerModelName", "StationName")
MAKERS = ("SIEMENS", "GE", "PHILIPS", "TOSHIBA", "CANON", "HITACHI", "FUJI", "SHIMADZU", "NEUSOFT", "UNITED IMAGING")
DATE_TAGS = ("StudyDate", "AcquisitionDate")


def by_patient(names: Sequence[str], patients: Sequence[str]) -> tuple[list[str], bool]:
    """Sentences on classes that live in one patient, and whether every patient shows one class only."""
    owners: dict[str, Counter[str]] = defaultdict(Counter)
    shown: dict[str, set[str]] = defaultdict(set)
    for name, patient in zip(names, patients, strict=True):
        owners[name][patient] += 1
        shown[patient].add(name)
    said = []
    if len(shown) > 1:
        for name, counts in owners.items():
            (patient, most), total = counts.most_common(1)[0], counts.total()
            if most >= MOSTLY * total:
                said.append(f"class and patient are confounded: {most} of {total} images of {name} are of {patient}")
    return said, len(shown) > 1 and len(owners) > 1 and all(len(found) == 1 for found in shown.values())


def by_source(what: str, names: Sequence[str], units: Sequence[str], sources: Sequence[str]) -> list[str]:
    """A sentence if a source tells the class of most patients, where chance would not; images without one ("") aside.

    Args:
        what: the source, in words.
        names: class of each image.
        units: patient of each image, or the image itself where there are no patients.
        sources: of each image, e.g. its scanner.
    """
    of_unit = _majorities(names, units, sources)
    by_group: dict[str, Counter[str]] = defaultdict(Counter)
    for name, source in of_unit.values():
        by_group[source][name] += 1
    total = len(of_unit)
    if len(by_group) < 2 or total < 2 * len(by_group):
        return []
    told = sum(max(counts.values()) for counts in by_group.values()) / total
    chance = max(Counter(name for name, _ in of_unit.values()).values()) / total
    if told < MOSTLY or told - chance < (1 - chance) / 2:
        return []
    shown = "; ".join(f"{group}: {_counts(counts)}" for group, counts in sorted(by_group.items())[:4])
    return [f"class and {what} are confounded: the {what} alone tells {100 * told:.0f} % of the cases ({shown})"]


def numbered(what: str, values: Sequence[str]) -> list[str]:
    """Values of a header as a known maker or "WHAT 1", "WHAT 2": the text itself may name a place or a person."""
    known = sorted(set(values) - {""})
    maker = {value: next((one for one in MAKERS if value.upper().startswith(one)), what) for value in known}
    counts = Counter(maker.values())
    alone = {value: word != what and counts[word] == 1 for value, word in maker.items()}
    said = {value: maker[value] + ("" if alone[value] else f" {k}") for k, value in enumerate(known, start=1)}
    return [said.get(value, "") for value in values]


def by_date(
    what: str, names: Sequence[str], units: Sequence[str], dates: Sequence[str], shown: Sequence[str] | None = None
) -> list[str]:
    """As `by_source`, and also a sentence for each class whose dates lie before, or behind, nearly all others.

    Args:
        shown: what a sentence calls the dates; themselves if None.
    """
    said = by_source(what, names, units, dates if shown is None else shown)
    of_unit = _majorities(names, units, dates)
    classes = sorted({name for name, _ in of_unit.values()})
    for label in [] if said else classes[: 1 if len(classes) == 2 else None]:
        own = [date for name, date in of_unit.values() if name == label]
        others = [date for name, date in of_unit.values() if name != label]
        if min(len(own), len(others)) < LEAST:
            continue
        later = sum((a > b) + (a == b) / 2 for a in own for b in others) / (len(own) * len(others))
        if max(later, 1 - later) >= APART:
            order = "after" if later > 0.5 else "before"
            said.append(f"class and {what} are confounded: nearly all of {label} is {order} the other classes")
    return said


def folder_date(item: Item) -> str:
    """The date in the folders that an image lies in, as YYYYMMDD; "" without one."""
    for part in reversed(Path(item.name).parts[:-1]):
        found = DATE.search(part)
        if found:
            return "".join(found.groups())
    return ""


def tags_of(items: Iterable[Item]) -> dict[Path, Mapping[str, str]]:
    """Scanner and study date of every DICOM file, as far as it says; other files are not looked at."""
    found: dict[Path, Mapping[str, str]] = {}
    for path in dict.fromkeys(item.path for item in items):
        if path.suffix.lower() in (".dcm", ".dicom", ""):
            found[path] = _tags(path)
    return found


def _tags(path: Path) -> Mapping[str, str]:
    found = read_tags(path, [*SCANNER_TAGS, *DATE_TAGS])
    if not found:
        return {}
    value = {name: str(tag or "").strip() for name, tag in found.items()}
    scanner = " ".join(value[name] for name in SCANNER_TAGS if value[name])
    return {"scanner": scanner, "date": next((value[name] for name in DATE_TAGS if value[name]), "")}


def _majorities(names: Sequence[str], units: Sequence[str], sources: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Unit -> its most frequent class and source; without units that have no source."""
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    where: dict[str, Counter[str]] = defaultdict(Counter)
    for name, unit, source in zip(names, units, sources, strict=True):
        if source:
            labels[unit][name] += 1
            where[unit][source] += 1
    return {unit: (counts.most_common(1)[0][0], where[unit].most_common(1)[0][0]) for unit, counts in labels.items()}


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
