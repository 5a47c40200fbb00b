"""Tiny data sets in the exact on-disk format of each reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

Array = npt.NDArray[Any]


def colour(seed: int, height: int = 12, width: int = 12) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def hu(seed: int, side: int = 32) -> Array:
    return np.random.default_rng(seed).integers(-1000, 400, (side, side)).astype(np.int16)


def picture(path: Path, array: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def tiff(path: Path, array: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array)
    return path


def write_slice(
    path: Path, array: Array, patient: str = "A", series: str = "1.2.3", z: float = 0.0, **tags: Any
) -> Path:
    """A CT slice that holds `array` in HU as unsigned pixels with an intercept of -1024."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset: Any = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PatientID, dataset.SeriesInstanceUID = "CT", patient, series
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    dataset.Rows, dataset.Columns = array.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = (array.astype(np.int32) + 1024).astype("<u2").tobytes()
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def folders(root: Path, classes: Sequence[str] = ("bark", "moss"), count: int = 3) -> dict[str, Array]:
    """An image folder; returns the pixels by relative name."""
    pixels = {f"{name}/{k}.png": colour(10 * c + k) for c, name in enumerate(classes) for k in range(count)}
    for name, array in pixels.items():
        picture(root / name, array)
    return pixels


def talisman(root: Path) -> dict[str, Array]:
    """Five patches, two of them of unknown patients."""
    names = ["healthy_patch1_patient3_1", "healthy_patch2_patient-1_1", "ground_glass_patch1_patient4_1",
             "ground_glass_patch10_patient4_2", "ground_glass_patch3_patient-1_7"]  # fmt: skip
    pixels = {f"{name}.tif": hu(k) for k, name in enumerate(names)}
    for name, array in pixels.items():
        tiff(root / name, array)
    return pixels


def emphysema(root: Path) -> list[Array]:
    """Twelve patches of four subjects: more than nine, so that the order of names is not that of numbers."""
    pixels = [hu(k, 61) for k in range(12)]
    for number, array in enumerate(pixels, start=1):
        tiff(root / "patches" / f"patch{number}.tiff", array)
    (root / "patch_labels.csv").write_text("".join(f"{k % 3 + 1}\n" for k in range(12)))
    (root / "patch_subjects.csv").write_text("".join(f"{k % 4 + 1}\n" for k in range(12)))
    return pixels


SPACING = 0.5


def contour(label: str, number: int, box: tuple[int, int, int, int]) -> str:
    """A rectangle of pixels (top, left, bottom, right; the last row and column inside) as a contour in millimetres."""
    top, left, bottom, right = box
    corners = [
        (left - 0.5, top - 0.5),
        (right + 0.5, top - 0.5),
        (right + 0.5, bottom + 0.5),
        (left - 0.5, bottom + 0.5),
    ]
    lines = "".join(f"{x * SPACING} {y * SPACING}\n" for x, y in corners)
    return f"label: {label}\nslice_number: {number}\nnb_points_on_contour: {len(corners)}\n{lines}"


def medgift(root: Path) -> dict[str, list[Array]]:
    """Two patients with three slices of 96 x 96 each, and contours on some."""
    head = f"SpacingX: {SPACING}\nSpacingY: {SPACING}\nSpacingZ: 10\n"
    slices = {}
    for p, patient in enumerate(("101", "102")):
        slices[patient] = [hu(100 * p + z, 96) for z in range(3)]
        for z, array in enumerate(slices[patient]):
            write_slice(root / patient / f"CT-7-{9 + z}.dcm", array, patient, f"1.2.{p}", z)  # 9, 10, 11
    text = contour("healthy", 2, (10, 20, 73, 51)) + contour("ground_glass", 3, (0, 0, 31, 31))
    (root / "101" / "CT-7.txt").write_text(head + text)
    (root / "102" / "CT-7.txt").write_text(head + contour("healthy", 1, (5, 6, 36, 37)))
    return slices
