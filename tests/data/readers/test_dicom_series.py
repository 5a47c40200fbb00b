from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from desali.data import read_images
from desali.data.roi import read_image
from desali.errors import DataError, ImageError
from tests.data.readers.trees import hu, write_slice


def test_classes_by_folder_patients_by_tag_and_slices_by_position(tmp_path: Path) -> None:
    pixels = {}
    for label, patient in (("ill", "Doe^A"), ("well", "Doe^B")):
        for k, z in enumerate((5.0, -2.5, 0.0)):  # names are not in the order of positions
            pixels[label, z] = hu(10 * k + len(label))
            write_slice(tmp_path / label / "series" / f"{k}.dcm", pixels[label, z], patient, f"1.{len(label)}", z)
    images = read_images(str(tmp_path))
    assert images.parameters["reader"] == "dicom"
    assert (images.unit, images.images.dtype, images.classes) == ("hu", np.int16, ("ill", "well"))
    order = [("ill", z) for z in (-2.5, 0.0, 5.0)] + [("well", z) for z in (-2.5, 0.0, 5.0)]
    np.testing.assert_array_equal(images.images, np.stack([pixels[one] for one in order]))
    assert len(set(images.patients)) == 2
    assert "Doe" not in repr(images.__dict__), "no patient's name goes into a figure's record"


def test_class_by_attribute_and_unknown_patients(tmp_path: Path) -> None:
    write_slice(tmp_path / "1.dcm", hu(1), "", BodyPartExamined="CHEST")
    write_slice(tmp_path / "2.dcm", hu(2), "B", BodyPartExamined="ABDOMEN")
    images = read_images(f"{tmp_path}?label=BodyPartExamined")
    assert images.classes == ("ABDOMEN", "CHEST")
    assert images.patients[images.labels.tolist().index(1)] == "(unknown patients)"
    assert read_images(str(tmp_path)).classes == ("unlabelled",)
    write_slice(tmp_path / "3.dcm", hu(3), "B")
    with pytest.raises(DataError, match="no DICOM attribute 'BodyPartExamined'"):
        read_images(f"{tmp_path}?label=BodyPartExamined")
    write_slice(tmp_path / "sub" / "4.dcm", hu(3), "B")
    with pytest.raises(DataError, match="beside the class folders"):
        read_images(str(tmp_path))


def test_files_without_suffix_and_damaged_ones(tmp_path: Path) -> None:
    write_slice(tmp_path / "IM0001", hu(1))
    write_slice(tmp_path / "IM0002", hu(2), z=1)
    (tmp_path / "README").write_text("not an image")
    assert len(read_images(str(tmp_path))) == 2
    data = (tmp_path / "IM0002").read_bytes()
    (tmp_path / "IM0002").write_bytes(data[:-100])
    with pytest.raises(DataError, match=r"1 of 2 images cannot be read: .*IM0002"):
        read_images(str(tmp_path))
    assert len(read_images(str(tmp_path), skip_unreadable=True)) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no DICOM files"):
        read_images(f"dicom:{tmp_path / 'empty'}")


@pytest.mark.parametrize(
    ("name", "plain", "syntax"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm", RLELossless),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm", JPEG2000Lossless),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm", JPEGLSLossless),
    ],
)
def test_compressed_syntaxes(name: str, plain: str, syntax: Any) -> None:
    path, other = (str(get_testdata_file(one, download=False)) for one in (name, plain))
    if get_decoder(syntax).is_available:
        np.testing.assert_array_equal(read_image(path).pixels, read_image(other).pixels)
    else:
        with pytest.raises(ImageError, match=r"pip install 'desali\[dicom\]'"):
            read_image(path)


def test_a_missing_plug_in_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_slice(tmp_path / "1.dcm", hu(1))

    def refuse(*_: Any, **options: Any) -> Any:
        raise RuntimeError("all plugins are missing required dependencies")

    monkeypatch.setattr(pydicom.pixels.utils, "pixel_array", refuse)
    with pytest.raises(DataError, match=r"pip install 'desali\[dicom\]'"):
        read_images(str(tmp_path))


def test_dicom_is_known_by_its_content_and_the_rest_is_named(tmp_path: Path) -> None:
    for k, name in enumerate(("one.dcm", "two", "three.img")):
        write_slice(tmp_path / "set" / "a" / name, hu(k), z=float(k))
    (tmp_path / "set" / "a" / "report.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "set" / "a" / "._one.dcm").write_bytes(b"x")
    (tmp_path / "set" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "set" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    said: list[str] = []
    images = read_images(f"dicom:{tmp_path / 'set'}", report=said.append)
    assert len(images) == 3
    assert said == ["set: 2 files are passed over, no images: DICOMDIR, a/report.pdf"]
