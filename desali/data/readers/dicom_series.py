"""Folders of DICOM slices; the class is a folder or a DICOM attribute, the patient the file's PatientID."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from desali.data.formats.dicom_file import read_tags
from desali.data.formats.recognise import DICOM, format_of_file
from desali.data.pseudonym import fingerprint, pseudonym, salt_in_use
from desali.data.readers.listing import Item, Listing, files_in, label_of, need_folder, relative
from desali.errors import DataError

UNLABELLED = "unlabelled"
DIRECTORY = "DICOMDIR"
"""The list of a medium's files (PS3.10), itself no image."""
EXPECTED = "a folder of DICOM files, or one folder of them per class"
LABELS = ("CS", "IS", "US", "SS", "DS")
"""Kinds of attributes (value representations) that hold codes and numbers, not free text."""
TAGS = ["PatientID", "SeriesInstanceUID", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient"]


def claims(root: Path) -> bool:
    """A folder with *.dcm, itself or up to three levels below, or without suffix but with the marker of DICOM."""
    if not root.is_dir():
        return False
    globs = ("*", "*/*", "*/*/*", "*/*/*/*")
    return any(path.suffix.lower() in (".dcm", ".dicom") for glob in globs for path in root.glob(glob)) or any(
        format_of_file(path) == DICOM for path in list(root.glob("*"))[:8]
    )


def find(root: Path, label: str = "folder") -> Listing:
    """List the slices by class, patient, series and position along the series' normal.

    The patient is a pseudonym of PatientID (`desali.data.pseudonym`), the same in every folder, so that a patient on
    both sides of a split is found. A file without one is of an unknown patient. A file whose tags cannot be read is
    listed by name and reported when it is decoded.

    Raises:
        DataError: no DICOM files, some in class folders and some not, an attribute that is missing or that names a
            person, or no salt for the pseudonyms. OutputError: a salt cannot be written.
    """
    need_folder(root, EXPECTED)
    if label != "folder":
        _refuse_identifying(label)
    salt = salt_in_use()
    files: list[Path] = []
    passed: list[Path] = []
    for path in files_in(root, deep=True):
        fits = path.suffix.lower() in (".dcm", ".dicom") or format_of_file(path) == DICOM
        (files if fits and path.name.upper() != DIRECTORY else passed).append(path)
    if not files:
        raise DataError(f"{root}: holds no DICOM files; expected {EXPECTED}")
    direct = [path for path in files if path.parent == root]
    if label == "folder" and direct and len(direct) < len(files):
        raise DataError(f"{direct[0]}: lies beside the class folders; expected {EXPECTED}")
    found = []
    for path in files:
        tags = _tags(path, [label] if label != "folder" else [])
        name = relative(path, root)
        if label == "folder":
            text = UNLABELLED if direct else label_of(name.split("/")[0])
        else:
            text = str(tags.get(label) or "").strip()
            if not text and tags:
                raise DataError(f"{path}: has no DICOM attribute {label!r} to take the class from")
        patient = patient_of(tags.get("PatientID"), salt)
        item = Item(path, name, text or UNLABELLED, patient or None)
        found.append((text or UNLABELLED, patient, *_order(tags), name, item))
    found.sort(key=lambda one: one[:-1])
    return Listing(
        name=root.resolve().name,
        items=[one[-1] for one in found],
        labels=tuple(sorted({one[0] for one in found})),
        kind="DICOM series",
        patients="patients by PatientID (as a pseudonym)",
        colour=None,
        salt=fingerprint(salt),
        passed=tuple(relative(path, root) for path in passed),
    )


def patient_of(identity: object, salt: bytes | None = None) -> str:
    """The pseudonym of a PatientID under a salt, by default the one in use; "" where there is none."""
    text = str(identity or "").strip()
    return pseudonym(text, salt_in_use() if salt is None else salt) if text else ""


def _instance(value: Any) -> float:
    """An instance number; the first of several, 0 for none."""
    from pydicom.multival import MultiValue

    if isinstance(value, MultiValue):
        value = value[0] if len(value) else 0
    try:
        number = float(value or 0)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _tags(path: Path, more: list[str]) -> dict[str, Any]:
    return read_tags(path, [*TAGS, *more])


def _refuse_identifying(label: str) -> None:
    """Refuse to take the class from an attribute that names a person or a place; classes stand in every record."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(label)
    if tag is None:
        raise DataError(f"label={label[:80]}: not the keyword of a DICOM attribute; expected one like BodyPartExamined")
    if tag >> 16 == 0x0010 or dictionary_VR(tag) not in LABELS:
        raise DataError(
            f"label={label}: such an attribute can name the patient, and classes stand in every record; expected a "
            "coded one like BodyPartExamined, or sort the files into folders of classes"
        )


def _order(tags: dict[str, Any]) -> tuple[str, float]:
    """Series, position along the normal of the slices (PS3.3 C.7.6.2.1.1), else the instance number."""
    import numpy as np

    try:
        across, down = np.reshape(np.asarray(tags["ImageOrientationPatient"], float), (2, 3))
        position = float(np.dot(np.cross(across, down), np.asarray(tags["ImagePositionPatient"], float)))
        if not math.isfinite(position):
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError):
        position = _instance(tags.get("InstanceNumber"))
    return str(tags.get("SeriesInstanceUID") or ""), position
