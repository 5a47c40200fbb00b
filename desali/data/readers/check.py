"""Look through a data set before a long run: counts, sizes, units, and everything that is wrong with it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.readers.alike import MOST, nearly_same, thumbnail
from desali.data.readers.confounding import by_date, by_patient, by_source, folder_date, numbered, tags_of
from desali.data.readers.decode import How, Picture, pictures
from desali.data.readers.finding import Found, describe, find_images
from desali.data.readers.listing import passed_words
from desali.data.readers.registry import could_say

SHOWN = 10
"""Lines of one kind that the text shows; JSON has all."""


@dataclass(frozen=True)
class Check:
    """What a data set holds.

    Attributes:
        reader, path, origin: what was read.
        patients_are: what the patients are, in words.
        images: how many are meant (unreadable ones included).
        classes: class -> images and patients.
        patients: patient (or what takes a patient's place) -> images; None where every image stands for itself.
        unit_of_split: what takes a patient's place, see `ImageSet`.
        splits: part -> images.
        sizes: "HxW" -> images, before any resizing; "HxWx3" in colour.
        units: "hu" or "uint8" -> images.
        hu_range: lowest and highest HU; None without images in HU.
        unreadable: file and reason.
        duplicates: names of images with the same pixels, and what they cross: patients, splits, classes.
        near_duplicates: pairs of images that are nearly the same across a split: names, likeness, and what they cross.
        confounded: one sentence for each class that can be told from patient, scanner or folder date.
        shared_patients: patient -> parts.
        empty_classes, unknown_labels, left_out, unknown_patients, strays: see `Selection` and `Listing`.
        findings: one sentence for each kind of trouble; empty if the set is clean.
        notes: one sentence for what is worth knowing and no trouble.
        passed_over: files that are no images, which nobody reads.
        treated: what was done to images while they were read -> of how many.
    """

    reader: str
    path: str
    origin: str
    patients_are: str
    images: int
    classes: dict[str, dict[str, int]]
    patients: dict[str, int] | None
    unit_of_split: str
    splits: dict[str, int]
    sizes: dict[str, int]
    units: dict[str, int]
    hu_range: tuple[float, float] | None
    unreadable: list[dict[str, str]]
    duplicates: list[dict[str, list[str]]]
    near_duplicates: list[dict[str, Any]]
    confounded: list[str]
    shared_patients: dict[str, list[str]]
    empty_classes: list[str]
    unknown_labels: dict[str, int]
    left_out: dict[str, int]
    unknown_patients: int
    strays: list[str]
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    treated: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-serialisable values."""
        return asdict(self)


def check(spec: str, *, workers: int | None = None, progress: bool = False, **options: Any) -> Check:
    """Decode every image of a data set once and say what is there and what is wrong.

    Args:
        spec: as in `read_images`; `options` as well.
        workers: decoding threads; None for one a processor, eight at most.
        progress: show progress on stderr, a bar or, without a terminal, lines.

    Raises:
        DataError: the layout is not as the reader expects, so that nothing can be counted. UnknownNameError: no such
            reader, option or part.
    """
    found = find_images(spec, **options)
    listing, selection = found.listing, found.selection
    how = How(
        listing.array_key,
        found.options.get("hu_offset"),
        colour=found.options.get("colour", False),
        workers=workers,
        progress=progress,
        title=f"checking {listing.name}",
    )
    sizes: Counter[str] = Counter()
    units: Counter[str] = Counter()
    treated: Counter[str] = Counter()
    unreadable: list[dict[str, str]] = []
    same: dict[bytes, list[int]] = defaultdict(list)
    small: dict[int, npt.NDArray[np.float32]] = {}
    low, high = float("inf"), float("-inf")
    for index, picture in enumerate(pictures(selection.items, how)):
        if not isinstance(picture, Picture):
            unreadable.append({"file": selection.items[index].name, "reason": str(picture)})
            continue
        pixels = picture.pixels
        if picture.said:
            treated[picture.said] += 1
        sizes["x".join(map(str, pixels.shape))] += 1
        units[picture.unit] += 1
        if picture.unit == "hu":
            low, high = min(low, float(pixels.min())), max(high, float(pixels.max()))
        digest = hashlib.sha256(repr((pixels.shape, picture.unit)).encode())
        digest.update(pixels.tobytes())
        same[digest.digest()].append(index)
        shape = thumbnail(pixels) if len(selection.items) <= MOST else None
        if shape is not None:
            small[index] = shape
    own = _own(found)
    result = Check(
        reader=found.reader.name,
        path=str(found.root),
        origin=describe(found),
        patients_are=listing.patients,
        images=len(selection.items),
        classes=_classes(found),
        patients=None if own else dict(sorted(Counter(selection.patients).items())),
        unit_of_split=listing.unit_of_split,
        splits=dict(selection.splits),
        sizes=dict(sizes.most_common()),
        units=dict(units),
        hu_range=(low, high) if low <= high else None,
        unreadable=unreadable,
        duplicates=[_duplicate(found, members) for members in same.values() if len(members) > 1],
        near_duplicates=_near(found, small, list(same.values())),
        confounded=_confounded(found),
        shared_patients={patient: list(parts) for patient, parts in selection.shared.items()},
        empty_classes=list(selection.empty),
        unknown_labels=dict(selection.unknown_labels),
        left_out=dict(selection.left_out),
        unknown_patients=selection.unknown_patients,
        strays=list(listing.strays),
        passed_over=list(listing.passed),
        treated=dict(treated),
    )
    result.findings.extend(_findings(result, found))
    result.notes.extend(_notes(result, found))
    return result


def _classes(found: Found) -> dict[str, dict[str, int]]:
    selection = found.selection
    patients: dict[str, set[str]] = defaultdict(set)
    for name, patient in zip(selection.names, selection.patients, strict=True):
        patients[name].add(patient)
    images = Counter(selection.names)
    return {name: {"images": images[name], "patients": len(patients[name])} for name in selection.classes}


def _duplicate(found: Found, members: list[int]) -> dict[str, list[str]]:
    selection = found.selection
    items = [selection.items[index] for index in members]
    crosses = []
    owners = {item.patient for item in items}
    if len(owners) > 1 and any(item.patient != item.name for item in items):
        crosses.append("patients")
    if len({item.split for item in items}) > 1:
        crosses.append("splits")
    if len({selection.names[index] for index in members}) > 1:
        crosses.append("classes")
    return {"images": [item.name for item in items], "crosses": crosses}


def _near(found: Found, small: dict[int, npt.NDArray[np.float32]], same: list[list[int]]) -> list[dict[str, Any]]:
    """Pairs across parts, or where the set states none across patients; copies with the same pixels aside."""
    selection = found.selection
    index = list(small)
    parts = [selection.items[k].split for k in index]
    staged = any(parts)
    crosses = "splits" if staged else "images" if _own(found) else "patients"
    owners = parts if staged else [str(selection.items[k].patient) for k in index]
    copy = {k: number for number, members in enumerate(same) for k in members}
    pairs = []
    for a, b, likeness in nearly_same([small[k] for k in index], owners):
        i, j = index[a], index[b]
        if copy[i] != copy[j]:
            images = [selection.items[k].name for k in (i, j)]
            pairs.append({"images": images, "likeness": round(likeness, 4), "crosses": crosses})
    return pairs


def _confounded(found: Found) -> list[str]:
    selection, own = found.selection, _own(found)
    units = [item.name for item in selection.items] if own else selection.patients
    said = [] if own else by_patient(selection.names, selection.patients)[0]
    tags = tags_of(selection.items)
    scanners, dates = (
        [tags.get(item.path, {}).get(key, "") for item in selection.items] for key in ("scanner", "date")
    )
    said += by_source("scanner", selection.names, units, numbered("scanner", scanners))
    said += by_date("study date", selection.names, units, dates, shown=numbered("date", dates))
    return said + by_date("folder date", selection.names, units, [folder_date(item) for item in selection.items])


def _own(found: Found) -> bool:
    """Whether every image stands for itself."""
    return all(item.patient == item.name for item in found.selection.items)


def _findings(result: Check, found: Found) -> list[str]:
    said = []
    if not result.images:
        said.append(f"holds no images as {found.reader.name}; expected {found.reader.layout}")
    if result.unreadable:
        said.append(
            f"{len(result.unreadable)} of {result.images} images cannot be read; --skip-unreadable leaves them out"
        )
    if result.empty_classes:
        said.append(f"no images of the class {', '.join(result.empty_classes)}")
    if result.unknown_labels:
        counts = ", ".join(f"{label} ({count})" for label, count in sorted(result.unknown_labels.items()))
        said.append(f"labels that no class is known for: {counts}")
    if result.shared_patients:
        said.append(f"{len(result.shared_patients)} patients are in several parts of the split")
    if result.duplicates:
        crossing = Counter(what for one in result.duplicates for what in one["crosses"])
        extra = "".join(f", {count} of them across {what}" for what, count in crossing.items())
        said.append(f"{len(result.duplicates)} sets of images with the same pixels{extra}")
    if result.near_duplicates:
        across = result.near_duplicates[0]["crosses"]
        said.append(f"{len(result.near_duplicates)} pairs of images that are nearly the same across {across}")
    said += result.confounded
    option = could_say(found.reader.name, found.options)
    if result.patients is None and result.images and result.unit_of_split == "image" and option:
        said.append(
            "patients are not stated, so every image stands for itself; if several images are of one patient, metrics "
            f"will say too much: name the patients ({option}=...)"
            + (", or say patient=none if there are none" if "patient" in found.reader.options else "")
        )
    if result.unknown_patients and found.options.get("unknown_patients") != "leave_out":
        said.append(
            f"{result.unknown_patients} images of unknown patients; they are kept together as one patient, "
            "unknown_patients=leave_out excludes them"
        )
    if len(result.units) > 1:
        said.append("Hounsfield units and display values are mixed")
    if len(result.sizes) > 1 and "hu" in result.units:
        said.append("images in HU differ in size; they are never resized")
    if result.strays:
        said.append(f"{len(result.strays)} files or folders do not fit the format")
    return said


def _notes(result: Check, found: Found) -> list[str]:
    said = list(found.listing.notes)
    shapes = {tuple(size.split("x")[:2]) for size in result.sizes}
    if len(shapes) > 1 and "hu" not in result.units and "size" not in found.options:
        said.append("sizes differ: reading needs size=SIDE, which resizes the shorter side and cuts the centre")
    if result.unknown_patients and found.options.get("unknown_patients") == "leave_out":
        said.append(f"{result.unknown_patients} images of unknown patients are left out")
    if result.passed_over:
        said.append(passed_words(result.passed_over))
    said += [f"{count} of {result.images} images: {what}" for what, count in result.treated.items()]
    if result.left_out:
        said.append("left out: " + ", ".join(f"{label} ({count})" for label, count in result.left_out.items()))
    if result.images > MOST:
        said.append(f"more than {MOST} images: copies were looked for, images that are nearly the same were not")
    if result.patients is not None and by_patient(found.selection.names, found.selection.patients)[1]:
        said.append(f"every {result.unit_of_split} shows one class only, so a class is never compared within one")
    if result.patients is not None and len(result.patients) < 10:
        few = f"{len(result.patients)} {result.unit_of_split}s"
        said.append(f"{few}: with fewer than ten patients no test can decide between recipes")
    return said


def text(result: Check) -> str:
    """The check as text for a terminal; long lists are cut, JSON has them whole."""
    units = {"hu": "Hounsfield units", "uint8": "display values 0-255"}
    width = max([len(name) for name in result.classes] + [5])
    lines = [
        f"{result.path}: {result.origin}",
        "",
        f"{'class':<{width}}  {'images':>7}  {result.unit_of_split + 's':>8}",
    ]
    lines += [f"{name:<{width}}  {one['images']:>7}  {one['patients']:>8}" for name, one in result.classes.items()]
    count = result.images if result.patients is None else len(result.patients)
    lines += [f"{'total':<{width}}  {result.images:>7}  {count:>8}", ""]
    if result.splits:
        lines.append("parts: " + ", ".join(f"{name} {number}" for name, number in result.splits.items()))
    lines.append("sizes: " + _some([f"{size} ({number})" for size, number in result.sizes.items()]))
    lines.append("units: " + ", ".join(f"{units[unit]} ({number})" for unit, number in result.units.items()))
    if result.hu_range is not None:
        lines.append(f"HU: {result.hu_range[0]:g} to {result.hu_range[1]:g}")
    if result.patients is not None:
        each = _some([f"{name} {number}" for name, number in result.patients.items()])
        lines.append(f"images of each {result.unit_of_split}: {each}")
    lines += ["", *(f"note: {note}" for note in result.notes)]
    lines += [f"FINDING: {finding}" for finding in result.findings] or ["no findings"]
    lines += _details(result)
    return "\n".join(lines)


def _details(result: Check) -> list[str]:
    kinds = {
        "unreadable": [one["reason"] for one in result.unreadable],
        "same pixels": [
            " = ".join(one["images"]) + (f" (across {', '.join(one['crosses'])})" if one["crosses"] else "")
            for one in result.duplicates
        ],
        "nearly the same": [
            f"{' ~ '.join(one['images'])} (likeness {one['likeness']:.3f})" for one in result.near_duplicates
        ],
        "in several parts": [f"{patient}: {', '.join(parts)}" for patient, parts in result.shared_patients.items()],
        "does not fit the format": result.strays,
        "passed over": result.passed_over,
    }
    lines = []
    for kind, found in kinds.items():
        lines += [f"  {kind}: {one}" for one in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(f"  {kind}: and {len(found) - SHOWN} more (--json has all)")
    return lines


def _some(parts: list[str]) -> str:
    return ", ".join(parts[:SHOWN]) + (f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "") or "none"
