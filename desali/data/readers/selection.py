"""Which images of a listing are meant and what class and patient each gets; what is wrong is collected, not raised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from desali.data.readers.labels import Labels, label_table, names
from desali.data.readers.listing import Item, Listing
from desali.data.synthetic.classes import TARGET_CLASSES
from desali.errors import DataError, UnknownNameError

UNKNOWN_PATIENT = "(unknown patients)"
UNKNOWN_POLICIES = ("together", "leave_out")
SOME = 5
"""Patients that an error names."""


@dataclass(frozen=True)
class Selection:
    """The images that are meant.

    Attributes:
        items: in the listing's order.
        names: the class of each item.
        patients: the patient of each item, or `UNKNOWN_PATIENT`.
        classes: all classes, in order.
        empty: classes without an image in the whole set.
        unknown_labels: label -> images, of labels that no class is known for; these images are not among `items`.
        left_out: label -> images, left out on purpose.
        shared: patient -> parts, of patients with images in several parts (of the whole set).
        unknown_patients: images whose patient is not known (of the whole set).
        splits: part -> images, of the whole set.
    """

    items: Sequence[Item]
    names: Sequence[str]
    patients: Sequence[str]
    classes: tuple[str, ...]
    empty: tuple[str, ...]
    unknown_labels: Mapping[str, int]
    left_out: Mapping[str, int]
    shared: Mapping[str, tuple[str, ...]]
    unknown_patients: int
    splits: Mapping[str, int]


def select(
    listing: Listing,
    *,
    split: str | None = None,
    labels: Labels = None,
    leave_out: str | Iterable[str] | None = None,
    classes: str | Iterable[str] | None = None,
    unknown_patients: str = "together",
    patients: str | Iterable[str] | None = None,
    leave_out_patients: str | Iterable[str] | None = None,
) -> Selection:
    """Choose images and give them classes and patients; the arguments are those of `read_images`.

    Raises:
        DataError: bad arguments, or no image in that part. UnknownNameError: no such part or policy.
    """
    if unknown_patients not in UNKNOWN_POLICIES:
        raise UnknownNameError("way with unknown patients", unknown_patients, UNKNOWN_POLICIES)
    table, dropped, wanted = label_table(labels), set(names(leave_out)), names(classes)
    never = sorted(dropped - set(listing.labels))
    if never:
        raise DataError(f"leave_out: the data set has no label {never[0]!r} (labels: {', '.join(listing.labels)})")
    if len(set(wanted)) < len(wanted):
        raise DataError(f"classes: {', '.join(wanted)} names a class twice")

    left_out: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    used: list[tuple[Item, str]] = []
    for item in listing.items:
        name = item.label if table is None else table.get(item.label)
        if item.label in dropped or name == "":
            left_out[item.label] += 1
        elif name is None or (wanted and name not in wanted):
            unknown[item.label] += 1
        else:
            used.append((item, name))
    if wanted:
        order = wanted
    else:
        declared = [label for label in listing.labels if label not in dropped]
        mapped = declared if table is None else [table.get(label, "") for label in declared]
        order = tuple(dict.fromkeys(name for name in mapped if name))
        if set(order) <= set(TARGET_CLASSES):
            order = tuple(name for name in TARGET_CLASSES if name in order)
    present = {name for _, name in used}
    nobody = sum(item.patient is None for item, _ in used)
    if unknown_patients == "leave_out":
        used = [(item, name) for item, name in used if item.patient is not None]
    used = _of_patients(listing, used, names(patients), names(leave_out_patients))
    splits = Counter(item.split for item, _ in used if item.split)
    shared = _shared(item for item, _ in used)
    if split is not None:
        if split not in splits:
            have = ", ".join(sorted(splits)) or "none"
            raise DataError(f"{listing.name}: has no images in the part {split!r}; the parts it states are: {have}")
        used = [(item, name) for item, name in used if item.split == split]
    return Selection(
        items=[item for item, _ in used],
        names=[name for _, name in used],
        patients=[UNKNOWN_PATIENT if item.patient is None else item.patient for item, _ in used],
        classes=order,
        empty=tuple(name for name in order if name not in present),
        unknown_labels=dict(unknown),
        left_out=dict(left_out),
        shared=shared,
        unknown_patients=nobody,
        splits=dict(splits),
    )


def _of_patients(
    listing: Listing, used: list[tuple[Item, str]], only: Sequence[str], without: Sequence[str]
) -> list[tuple[Item, str]]:
    """The items of the patients `only` (of all, if it names none) that `without` does not name."""
    known = {item.patient for item in listing.items if item.patient is not None}
    for option, asked in (("patients", only), ("leave_out_patients", without)):
        for patient in asked:
            if patient not in known:
                some = ", ".join(sorted(known)[:SOME]) + (f" and {len(known) - SOME} more" if len(known) > SOME else "")
                raise DataError(f"{option}: {listing.name} has no patient {patient!r}; it has {some or 'none by name'}")
    kept = [(item, name) for item, name in used if (not only or item.patient in only) and item.patient not in without]
    if used and not kept:
        raise DataError(f"{listing.name}: patients and leave_out_patients leave no image; leave one of them out")
    return kept


def _shared(items: Iterable[Item]) -> dict[str, tuple[str, ...]]:
    parts: dict[str, set[str]] = {}
    for item in items:
        if item.patient is not None and item.split:
            parts.setdefault(item.patient, set()).add(item.split)
    return {patient: tuple(sorted(found)) for patient, found in sorted(parts.items()) if len(found) > 1}
