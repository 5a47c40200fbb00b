"""DICOM as hospitals write it: where the scale stands, what is padding, windows, frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from desali.data.roi import read_image
from desali.errors import ImageError


def dicom(stored: npt.NDArray[Any], kind: Any = CTImageStorage, **tags: Any) -> FileDataset:
    """A made-up file of `stored` [h, w] or [frames, h, w]; a tag of None is left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    signed = stored.dtype.kind == "i"
    values: dict[str, Any] = {
        "SOPClassUID": kind, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID, "Modality": "CT",
        "Rows": stored.shape[-2], "Columns": stored.shape[-1], "SamplesPerPixel": 1, "BitsAllocated": 16,
        "PhotometricInterpretation": "MONOCHROME2", "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": int(signed), "RescaleSlope": 1, "RescaleIntercept": -1024,
        "NumberOfFrames": len(stored) if stored.ndim == 3 else None, **tags,
    }  # fmt: skip
    for name, value in values.items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
    return dataset


def read(dataset: FileDataset, folder: Path, **options: Any) -> Any:
    dataset.save_as(folder / "a.dcm", enforce_file_format=True)
    return read_image(folder / "a.dcm", **options)


def body(kind: Any = np.uint16) -> npt.NDArray[Any]:
    return np.full((8, 8), 124, kind)  # -900 HU at an intercept of -1024


def group(**tags: Any) -> Dataset:
    """A functional group that holds a pixel value transformation."""
    value, outer = Dataset(), Dataset()
    for name, one in tags.items():
        setattr(value, name, one)
    outer.PixelValueTransformationSequence = Sequence([value])
    return outer


NO_SCALE = {"RescaleSlope": None, "RescaleIntercept": None}


@pytest.mark.parametrize("vr", ["SS", "US"])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
@pytest.mark.parametrize("rescaled", [True, False])
def test_padding_is_found_in_the_stored_numbers_whatever_their_sign(
    tmp_path: Path, vr: str, kind: Any, rescaled: bool
) -> None:
    stored = body(kind)
    stored[0] = np.array(-2000, np.int16).astype(kind)
    dataset = dicom(stored, **({} if rescaled else NO_SCALE))
    dataset.add_new(0x00280120, vr, -2000 if vr == "SS" else 63536)
    pixels = read(dataset, tmp_path, hu_offset=None if rescaled else -1024).pixels
    assert (pixels[0] == -1024).all()
    assert (pixels[1:] == -900).all()


def test_a_range_of_padding_below_zero_on_unsigned_pixels(tmp_path: Path) -> None:
    stored = body()
    stored[0], stored[1] = 63536, 63000
    dataset = dicom(stored)
    dataset.add_new(0x00280120, "SS", -2000)
    dataset.add_new(0x00280121, "SS", -3000)
    pixels = read(dataset, tmp_path).pixels
    assert (pixels[:2] == -1024).all()
    assert (pixels[2:] == -900).all()


def test_padding_of_other_modalities_is_black_and_no_part_of_the_range(tmp_path: Path) -> None:
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        stored = np.arange(64, dtype=np.uint16).reshape(8, 8) + 100
        stored[0] = 60000
        tags = {"PixelPaddingValue": 60000, "PhotometricInterpretation": photometric, "Modality": "MR"}
        roi = read(dicom(stored, MRImageStorage, **NO_SCALE, **tags), tmp_path)
        assert (roi.pixels[0] == 0).all()
        assert {int(roi.pixels[1:].min()), int(roi.pixels[1:].max())} == {0, 255}


@pytest.mark.parametrize("place", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_a_scale_in_a_functional_group_is_used_and_needs_no_offset(tmp_path: Path, place: str) -> None:
    stored = body()
    stored[4, 4] = 1074
    scale = group(RescaleSlope=2, RescaleIntercept=-2048, RescaleType="HU")
    dataset = dicom(stored, EnhancedCTImageStorage, **NO_SCALE, **{place: Sequence([scale])})
    pixels = read(dataset, tmp_path).pixels
    assert pixels[4, 4] == 100
    assert pixels[0, 0] == -1024  # -1800 lies below air
    with pytest.raises(ImageError, match="hu_offset= does not apply"):
        read(dataset, tmp_path, hu_offset=-1024)


def test_each_frame_has_its_own_scale(tmp_path: Path) -> None:
    stored = np.stack([body(), body(), body()])
    groups = [group(RescaleSlope=1, RescaleIntercept=-1024 + 100 * k, RescaleType="HU") for k in range(3)]
    dataset = dicom(stored, EnhancedCTImageStorage, **NO_SCALE, PerFrameFunctionalGroupsSequence=Sequence(groups))
    for k in range(3):
        roi = read(dataset, tmp_path, frame=k + 1)
        assert (roi.pixels == -900 + 100 * k).all()
        assert f"frame {k + 1} of 3" in roi.origin
    with pytest.raises(ImageError, match="choose one with frame=1 to frame=3"):
        read(dataset, tmp_path)
    for frame in (0, 4):
        with pytest.raises(ImageError, match="holds frames 1 to 3"):
            read(dataset, tmp_path, frame=frame)


def test_a_frame_of_what_is_no_dicom_file_is_refused(lung_patch_png: Path) -> None:
    with pytest.raises(ImageError, match="frame=2 does not apply"):
        read_image(lung_patch_png, frame=2)


def test_a_modality_table_is_applied(tmp_path: Path) -> None:
    stored = np.array([[0, 1], [2, 3]], np.uint16)
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4, 0, 16], "HU"
    table.add_new("LUTData", "US", [10, 20, 40, 80])
    dataset = dicom(stored, **NO_SCALE, ModalityLUTSequence=Sequence([table]))
    assert read(dataset, tmp_path).pixels.tolist() == [[10, 20], [40, 80]]
    table.ModalityLUTType = "OD"
    with pytest.raises(ImageError, match="'OD', not HU"):
        read(dataset, tmp_path)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("modality", [None, "", "ct", "Ct "])
def test_the_modality_of_ct_may_be_missing_or_in_small_letters(tmp_path: Path, modality: str | None) -> None:
    roi = read(dicom(body(), Modality=modality), tmp_path)
    assert roi.unit == "hu"
    assert (roi.pixels == -900).all()


def test_another_rescale_type_has_a_way_out(tmp_path: Path) -> None:
    dataset = dicom(body(), RescaleType="US")
    with pytest.raises(ImageError, match="hu_offset=0 if its rescaled values are HU"):
        read(dataset, tmp_path)
    roi = read(dataset, tmp_path, hu_offset=0)
    assert (roi.pixels == -900).all()
    assert "RescaleType 'US'" in roi.origin


def test_windows_are_linear_exact_or_sigmoid_as_the_file_says(tmp_path: Path) -> None:
    stored = np.array([[0, 40, 50, 60, 100]], np.uint16)
    wanted = {
        None: np.clip((stored - 49.5) / 19 + 0.5, 0, 1),
        "LINEAR_EXACT": np.clip((stored - 50.0) / 20 + 0.5, 0, 1),
        "SIGMOID": 1 / (1 + np.exp(-4 * (stored - 50.0) / 20)),
    }
    for function, grey in wanted.items():
        tags = {"WindowCenter": 50, "WindowWidth": 20, "VOILUTFunction": function, "Modality": "MR"}
        roi = read(dicom(stored, MRImageStorage, **NO_SCALE, **tags), tmp_path)
        np.testing.assert_array_equal(roi.pixels, np.rint(255 * grey))


def test_a_table_of_values_of_interest_goes_before_the_window(tmp_path: Path) -> None:
    stored = np.array([[0, 1], [2, 3]], np.uint16)
    table = Dataset()
    table.LUTDescriptor = [4, 0, 8]
    table.add_new("LUTData", "US", [0, 51, 102, 255])
    tags = {"WindowCenter": 1, "WindowWidth": 2, "VOILUTSequence": Sequence([table]), "Modality": "MR"}
    assert read(dicom(stored, MRImageStorage, **NO_SCALE, **tags), tmp_path).pixels.tolist() == [[0, 51], [102, 255]]


@pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")
def test_nothing_that_a_header_says_of_the_patient_comes_out(tmp_path: Path) -> None:
    """Every text of the header is marked, also where a code or a number belongs."""
    marked = "MARKED^Person"
    damage: list[dict[str, Any]] = [
        {},
        {"Modality": marked},
        {"RescaleType": marked},
        {"RescaleSlope": None},
        {"PhotometricInterpretation": marked, "Modality": "MR"},
        {"VOILUTFunction": marked, "WindowCenter": 1, "WindowWidth": 2, "Modality": "MR"},
    ]
    texts = ("PatientName", "PatientID", "StudyDescription", "SeriesDescription", "InstitutionName", "ImageComments")
    for tags in damage:
        dataset = dicom(body(), **{**dict.fromkeys(texts, marked), **tags})
        try:
            roi = read(dataset, tmp_path)
            said = repr(roi)
        except ImageError as error:
            said = str(error)
        assert "MARKED" not in said.upper().replace(str(tmp_path).upper(), ""), tags
    raw = dicom(body(), PatientID=marked)
    raw.add_new(0x00281053, "LO", marked)  # RescaleSlope
    with pytest.raises(ImageError) as caught:
        read(raw, tmp_path)
    assert "MARKED" not in str(caught.value)
