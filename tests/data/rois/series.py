"""A small CT series as files, with positions, and its SEG and NIfTI masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

STUDY, FRAME = generate_uid(entropy_srcs=["study"]), generate_uid(entropy_srcs=["frame"])


def ct_series(
    folder: Path, count: int = 4, size: tuple[int, int] = (48, 40), spacing: float = 0.5, patient: str = "DOE^JOHN 77"
) -> list[Path]:
    """Slices 2 mm apart, from the top down by name; pixel values differ everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid(entropy_srcs=[str(folder)])
    paths = []
    for number in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(folder), str(number)])
        data = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = STUDY, series, FRAME
        data.PatientID, data.PatientName, data.PatientBirthDate, data.PatientSex = patient, patient, "19700101", "M"
        data.StudyDate = data.StudyTime = data.AccessionNumber = data.StudyID = data.ReferringPhysicianName = ""
        data.SeriesNumber, data.InstanceNumber, data.Modality, data.Manufacturer = 1, number + 1, "CT", "none"
        data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = *size, 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept, data.PositionReferenceIndicator = 1, -1024, ""
        data.PixelSpacing, data.SliceThickness = [spacing, spacing], 2
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [-10.0, -20.0, 30.0 - 2 * number]
        rng = np.random.default_rng([number, *patient.encode()])
        data.PixelData = rng.integers(0, 3000, size).astype("<i2").tobytes()
        path = folder / f"s{number}.dcm"
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def nifti(path: Path, masks: npt.NDArray[Any], spacing: float = 0.5, flip: bool = False) -> Path:
    """The masks [slices, rows, columns] of `ct_series` as a volume; flipped, its axes run the other way."""
    import nibabel

    volume = masks.transpose(2, 1, 0)  # columns, rows, slices from the top down
    affine = np.diag([-spacing, -spacing, -2.0, 1.0])
    affine[:3, 3] = 10.0, 20.0, 30.0
    if flip:
        volume = volume[::-1, :, ::-1]
        affine[:3, 3] += affine[:3, 0] * (masks.shape[2] - 1) + affine[:3, 2] * (masks.shape[0] - 1)
        affine[:, 0], affine[:, 2] = -affine[:, 0], -affine[:, 2]
    nibabel.save(nibabel.Nifti1Image(volume.astype(np.uint8), affine), path)
    return path


def segmentation(path: Path, files: list[Path], masks: npt.NDArray[Any], labels: list[str]) -> Path:
    """The masks [slices, rows, columns] of `files` as a DICOM SEG, value k + 1 being `labels[k]`."""
    import highdicom
    from pydicom.sr.codedict import codes

    described = [
        highdicom.seg.SegmentDescription(
            number, label, codes.SCT.Tissue, codes.SCT.Lung, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number, label in enumerate(labels, 1)
    ]
    made = highdicom.seg.Segmentation(
        [pydicom.dcmread(file) for file in files], masks.astype(np.uint8),
        highdicom.seg.SegmentationTypeValues.BINARY, described, generate_uid(), 2, generate_uid(), 1, "none", "none",
        "1", "1",
    )  # fmt: skip
    made.save_as(path)
    return path
