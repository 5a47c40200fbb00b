"""Folders of DICOM slices; the class is a folder or a DICOM attribute, the patient the file's PatientID."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

from desali.data.formats.recognise import DICOM, format_of_file
from desali.data.readers.listing import Item, Listing, files_in, label_of, need_folder, relative
from desali.errors import DataError

UNLABELLED = "unlabelled"
DIRECTORY = "DICOMDIR"
"""The list of a medium's files (PS3.10), itself no image."""
EXPECTED = "a folder of DICOM files, or one folder of them per class"
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

    The patient is a pseudonym: the first ten hexadecimal digits of the SHA-256 of PatientID, the same in every folder,
    so that a patient on both sides of a split is found; a short number can be found again by trying all. A file without
    one is of an unknown patient. A file whose tags cannot be read is listed by name and reported when it is decoded.

    Raises:
        DataError: no DICOM files, some in class folders and some not, or an attribute that is missing.
    """
    need_folder(root, EXPECTED)
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
        patient = patient_of(tags.get("PatientID"))
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
        passed=tuple(relative(path, root) for path in passed),
    )


def patient_of(identity: object) -> str:
    """The pseudonym of a PatientID; "" where there is none."""
    text = str(identity or "").strip()
    return hashlib.sha256(text.encode()).hexdigest()[:10] if text else ""


def _tags(path: Path, more: list[str]) -> dict[str, Any]:
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*TAGS, *more])
            return {name: dataset.get(name) for name in [*TAGS, *more]}
        except Exception:  # said with its reason when the pixels are decoded
            return {}


def _order(tags: dict[str, Any]) -> tuple[str, float]:
    """Series, position along the normal of the slices (PS3.3 C.7.6.2.1.1), else the instance number."""
    import numpy as np

    try:
        across, down = np.reshape(np.asarray(tags["ImageOrientationPatient"], float), (2, 3))
        position = float(np.dot(np.cross(across, down), np.asarray(tags["ImagePositionPatient"], float)))
    except (KeyError, TypeError, ValueError):
        position = float(tags.get("InstanceNumber") or 0)
    return str(tags.get("SeriesInstanceUID") or ""), position
