from __future__ import annotations

import hashlib
import os
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import tifffile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from desali.data.roi import Roi, read_image
from desali.errors import ImageError

GREY = np.arange(20 * 30, dtype=np.uint32).reshape(20, 30)
COLOUR = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
Array = npt.NDArray[Any]


def refused(path: Path | str, match: str, **arguments: Any) -> None:
    with pytest.raises(ImageError, match=match) as error:
        read_image(path, **arguments)
    assert "\n" not in str(error.value)


def read_or_one_line(path: Path) -> Roi | None:
    """A Roi of finite pixels, or None after an ImageError of one line that names the file; nothing else is raised."""
    try:
        roi = read_image(path)
    except ImageError as error:
        message = str(error)
    else:
        assert np.isfinite(roi.pixels).all()
        return roi
    assert "\n" not in message
    assert str(path) in message
    return None


def tiff(path: Path, array: Array, **options: Any) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


def picture(path: Path, array: Array, **options: Any) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


# Round trips


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize(
    "options", [{}, {"byteorder": ">"}, {"compression": "zlib"}, {"bigtiff": True}, {"tile": (16, 16)}]
)
def test_signed_and_float_tiff_is_hu(tmp_path: Path, dtype: type, options: dict[str, Any]) -> None:
    hu = (GREY.astype(np.int64) - 1000).astype(dtype)
    roi = read_image(tiff(tmp_path / "a.tif", hu, **options))
    assert (roi.unit, roi.pixels.dtype, roi.window, roi.hu_offset) == ("hu", np.float32, (-600.0, 1500.0), None)
    np.testing.assert_array_equal(roi.pixels, hu)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.bmp"])
@pytest.mark.parametrize("array", [GREY.astype(np.uint8), COLOUR])
def test_8_bit_images_are_display_values_without_loss(tmp_path: Path, name: str, array: Array) -> None:
    path = tiff(tmp_path / name, array) if name == "a.tif" else picture(tmp_path / name, array)
    roi = read_image(path)
    assert (roi.unit, roi.pixels.dtype, roi.window) == ("uint8", np.uint8, None)
    np.testing.assert_array_equal(roi.pixels, array)


def test_jpeg_is_read_and_turned_upright(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(40), np.arange(64) * 2).astype(np.uint8)
    roi = read_image(picture(tmp_path / "a.jpg", smooth, quality=95))
    assert roi.pixels.shape == (40, 64)
    assert np.abs(roi.pixels.astype(int) - smooth).max() <= 4
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    turned = read_image(picture(tmp_path / "b.jpg", smooth, quality=95, exif=exif))
    assert np.abs(turned.pixels.astype(int) - np.rot90(smooth, -1)).max() <= 4
    assert "orientation 6" in turned.origin


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(tmp_path: Path, orientation: int) -> None:
    smooth = np.add.outer(np.arange(40), np.arange(64) * 2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = picture(tmp_path / "a.jpg", smooth, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_image(path).pixels, expected)


@pytest.mark.parametrize(
    "entry",
    [
        (0x011A, 7, 4, b"abcd"),  # a resolution that is no number
        (0x0100, 2, 4, b"abc\0"),  # a width that is text
        (0x0132, 5, 1, struct.pack("<I", 8)),  # a date that is a fraction
        (0x8769, 4, 1, struct.pack("<I", 9999)),  # a pointer past the end
    ],
)
def test_exif_that_cannot_be_written_again_does_not_matter(tmp_path: Path, entry: tuple[int, int, int, bytes]) -> None:
    entries = [(0x0112, 3, 1, struct.pack("<HH", 6, 0)), entry]
    packed = b"".join(struct.pack("<HHI4s", *one) for one in sorted(entries))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)
    smooth = np.add.outer(np.arange(40), np.arange(64) * 2).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        roi = read_image(picture(tmp_path / "a.jpg", smooth, quality=95, exif=exif))
    assert np.abs(roi.pixels.astype(int) - np.rot90(smooth, -1)).max() <= 4
    assert "orientation 6" in roi.origin


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_unsigned_16_bit_needs_the_offset(tmp_path: Path, name: str) -> None:
    stored = (GREY + 60_000).astype(np.uint16)
    path = tiff(tmp_path / name, stored) if name == "a.tif" else picture(tmp_path / name, stored)
    refused(path, "pass hu_offset=")
    roi = read_image(path, hu_offset=-1024)
    assert (roi.unit, roi.hu_offset) == ("hu", -1024.0)
    np.testing.assert_array_equal(roi.pixels, stored.astype(np.float64) - 1024)


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg"])
def test_tiff_compressions_that_tifffile_leaves_out_are_decoded_all_the_same(tmp_path: Path, compression: str) -> None:
    smooth = np.add.outer(np.arange(40), np.arange(64) * 2).astype(np.uint8)
    roi = read_image(picture(tmp_path / "a.tif", smooth, compression=compression))
    assert np.abs(roi.pixels.astype(int) - smooth).max() <= (0 if compression == "tiff_lzw" else 8)
    if compression == "tiff_lzw":
        stored = (GREY + 300).astype(np.uint16)
        path = picture(tmp_path / "b.tif", stored, compression=compression)
        np.testing.assert_array_equal(read_image(path, hu_offset=0).pixels, stored)


def test_8_bit_tiff_in_which_white_is_zero_is_inverted(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", GREY.astype(np.uint8), photometric="miniswhite")
    np.testing.assert_array_equal(read_image(path).pixels, 255 - GREY.astype(np.uint8))
    refused(tiff(tmp_path / "b.tif", GREY.astype(np.int16), photometric="miniswhite"), "zero is white")


def test_planar_colour_tiff_is_turned_to_channels_last(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(path).pixels, COLOUR)


def test_the_suffix_does_not_matter(tmp_path: Path, ct_small: Path, lung_patch_tiff: Path, lung_patch: Array) -> None:
    for source, name in ((ct_small, "IM000001"), (ct_small, "wrong.png"), (lung_patch_tiff, "wrong.jpg")):
        target = tmp_path / name
        target.write_bytes(source.read_bytes())
        np.testing.assert_array_equal(read_image(target).pixels, read_image(source).pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "wrong.jpg").pixels, lung_patch)


def test_the_record_names_the_bytes_that_were_read(lung_patch_png: Path) -> None:
    roi = read_image(str(lung_patch_png), box=(1, 2, 5))
    assert roi.sha256 == hashlib.sha256(lung_patch_png.read_bytes()).hexdigest()
    assert (roi.path, roi.box) == (lung_patch_png, (1, 2, 5))
    assert roi.pixels.flags.c_contiguous


# DICOM


def test_ct_is_rescaled_to_hu(dicom_slice: Path, ct_small: Path) -> None:
    for path in (dicom_slice, ct_small):
        dataset = pydicom.dcmread(path)
        hu = dataset.pixel_array.astype(np.float64) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        roi = read_image(path)
        assert (roi.unit, roi.pixels.dtype) == ("hu", np.float32)
        np.testing.assert_array_equal(roi.pixels, np.maximum(hu, -1024))
        assert f"RescaleIntercept {float(dataset.RescaleIntercept):g}" in roi.origin


def test_every_real_slice_has_lung_and_no_padding_left(real_data: Path) -> None:
    slices = sorted((real_data / "lung_ct" / "dicom").glob("*.dcm"))
    assert len(slices) == 3
    for path in slices:
        roi = read_image(path)
        assert roi.pixels.shape == (512, 512)
        assert roi.pixels.min() >= -1024
        assert ((roi.pixels > -950) & (roi.pixels < -700)).mean() > 0.1, "a chest slice holds aerated lung"
        assert path.stem.split("_z")[0] not in roi.origin.replace(str(path), "")


def test_real_patches_survive_a_round_trip_through_tiff(real_data: Path, tmp_path: Path) -> None:
    with np.load(real_data / "lung_ct" / "lung_roi32_hu.npz") as archive:
        patches = archive["patches"][::400]
    for patch in patches:
        np.testing.assert_array_equal(read_image(tiff(tmp_path / "p.tif", patch)).pixels, patch)


@pytest.fixture
def ct(ct_small: Path) -> pydicom.FileDataset:
    return pydicom.dcmread(ct_small)


def write(dataset: pydicom.FileDataset, path: Path) -> Path:
    dataset.save_as(path)
    return path


def test_declared_padding_becomes_air(ct: pydicom.FileDataset, tmp_path: Path) -> None:
    stored = ct.pixel_array.copy()
    stored[:4], stored[4:6] = -2000, 2000
    ct.PixelData = stored.tobytes()
    ct["PixelPaddingValue"].VR = "US"
    ct.PixelPaddingValue = 63536  # -2000 as some writers put it
    roi = read_image(write(ct, tmp_path / "a.dcm"))
    assert (roi.pixels[:4] == -1024).all()
    assert (roi.pixels[4:6] == 2000 - 1024).all()
    assert "512 padding pixels" in roi.origin


def test_a_range_of_padding_becomes_air(ct: pydicom.FileDataset, tmp_path: Path) -> None:
    stored = ct.pixel_array.copy()
    stored[:2], stored[2:4] = 3000, 3001
    ct.PixelData = stored.tobytes()
    ct.PixelPaddingValue = 3001
    ct.add_new("PixelPaddingRangeLimit", "SS", 3000)
    assert (read_image(write(ct, tmp_path / "a.dcm")).pixels[:4] == -1024).all()


def test_a_ct_without_rescale_tags_asks_for_the_offset(ct: pydicom.FileDataset, tmp_path: Path) -> None:
    stored = ct.pixel_array.copy()
    del ct.RescaleSlope
    path = write(ct, tmp_path / "a.dcm")
    refused(path, "pass hu_offset=")
    np.testing.assert_array_equal(read_image(path, hu_offset=-1000).pixels, stored.astype(np.float64) - 1000)


@pytest.mark.parametrize(
    ("tag", "value", "match"),
    [
        ("RescaleSlope", 0, "slope above 0"),
        ("RescaleType", "US", "RescaleType"),
        ("NumberOfFrames", 7, "7 frames"),
        ("Rows", 129, "truncated or damaged"),
    ],
)
def test_a_ct_that_cannot_be_hu_is_refused(
    ct: pydicom.FileDataset, tmp_path: Path, tag: str, value: Any, match: str
) -> None:
    setattr(ct, tag, value)
    refused(write(ct, tmp_path / "a.dcm"), match)


def test_dicom_without_pixels_is_refused(ct: pydicom.FileDataset, tmp_path: Path) -> None:
    del ct.PixelData
    refused(write(ct, tmp_path / "a.dcm"), "without pixel data")


def packaged(name: str) -> Path:
    path = Path(pydicom.__file__).parent / "data" / "test_files" / name
    if not path.is_file():
        pytest.skip(f"pydicom does not carry {name} in this version")
    return path


@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm"])
def test_other_modalities_become_display_values_by_their_own_window(name: str) -> None:
    roi = read_image(packaged(name))
    assert (roi.unit, roi.window) == ("uint8", None)
    np.testing.assert_array_equal(roi.pixels, read_image(packaged("MR_small.dcm")).pixels)
    assert "own window" in roi.origin
    assert roi.pixels.std() > 20


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(packaged("MR_small.dcm"))
    plain = read_image(packaged("MR_small.dcm")).pixels
    dataset.PhotometricInterpretation = "MONOCHROME1"
    np.testing.assert_allclose(read_image(write(dataset, tmp_path / "a.dcm")).pixels, 255.0 - plain, atol=1)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", "desali\\[dicom\\]"),
        ("MR_truncated.dcm", "truncated or damaged"),
        ("SC_rgb_rle_2frame.dcm", "2 frames"),
        ("SC_rgb_rle_16bit.dcm", "8-bit RGB"),
        ("test-SR.dcm", "without pixel data"),
        ("no_meta.dcm", "no DICOM marker"),
    ],
)
def test_dicom_files_that_are_no_ordinary_image(name: str, match: str) -> None:
    if name == "MR_small_jpeg_ls_lossless.dcm" and _decodes_jpeg_ls():
        np.testing.assert_array_equal(read_image(packaged(name)).pixels, read_image(packaged("MR_small.dcm")).pixels)
        return
    refused(packaged(name), match)


def _decodes_jpeg_ls() -> bool:
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEGLSLossless

    return bool(get_decoder(JPEGLSLossless).is_available)


def test_every_file_that_pydicom_carries_is_an_image_or_one_line() -> None:
    files = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))
    read = 0
    for path in files:
        roi = read_or_one_line(path)
        if roi is not None:
            read += 1
            assert roi.pixels.ndim in (2, 3)
    assert read >= 5


# Boxes, windows and offsets


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.integers(-3, 40), st.integers(-3, 40), st.integers(-2, 40))
@example(0, 0, 32)
@example(0, 28, 5)
@example(28, 0, 5)
@example(-1, 0, 5)
@example(0, -1, 5)
def test_a_box_cuts_a_square_or_is_refused(lung_patch_tiff: Path, lung_patch: Array, y: int, x: int, size: int) -> None:
    if y >= 0 and x >= 0 and size >= 1 and y + size <= 32 and x + size <= 32:
        np.testing.assert_array_equal(
            read_image(lung_patch_tiff, box=(y, x, size)).pixels, lung_patch[y : y + size, x : x + size]
        )
    else:
        expected = rf"box={y},{x},{size}.*" + ("32 x 32" if size >= 1 else "at least 1")
        refused(lung_patch_tiff, expected, box=(y, x, size))


def test_a_box_counts_rows_first_and_keeps_colour(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", COLOUR)
    np.testing.assert_array_equal(read_image(path, box=(0, 25, 5)).pixels, COLOUR[:5, 25:])
    refused(path, "20 x 30", box=(16, 0, 5))


@pytest.mark.parametrize("box", [(1, 2), (1.5, 2, 3), ("a", 1, 2), 7, (1, 2, float("inf"))])
def test_a_box_that_is_not_three_whole_numbers_is_refused(lung_patch_tiff: Path, box: Any) -> None:
    refused(lung_patch_tiff, "three whole numbers", box=box)


@pytest.mark.parametrize("window", [(-600, 0), (-600, -1), (float("nan"), 5), (0, float("inf")), (1,), ("x", 2)])
def test_a_bad_window_is_refused_for_any_image(lung_patch_png: Path, window: Any) -> None:
    refused(lung_patch_png, "window=", window=window)


def test_the_window_is_recorded_not_applied(lung_patch_tiff: Path, lung_patch: Array) -> None:
    roi = read_image(lung_patch_tiff, window=(40, 400))
    assert roi.window == (40.0, 400.0)
    np.testing.assert_array_equal(roi.pixels, lung_patch)


def test_an_offset_that_would_be_ignored_is_refused(
    lung_patch_tiff: Path, lung_patch_png: Path, ct_small: Path
) -> None:
    for path in (lung_patch_tiff, lung_patch_png, ct_small):
        refused(path, "hu_offset= does not apply", hu_offset=-1024)
    refused(lung_patch_tiff, "hu_offset=nan", hu_offset=float("nan"))


# Files that are not what they should be


def test_files_that_are_missing_or_no_image(tmp_path: Path) -> None:
    refused(tmp_path / "none.png", "no such file")
    refused(tmp_path, "is a folder")
    refused("", "is a folder")
    refused("a\0b.png", "cannot be read|no such file")
    refused(tmp_path / "two\nlines.png", "no such file")
    for name, content, match in (
        ("empty.png", b"", "empty"),
        ("text.png", b"hello " * 100, "not an image in a known format"),
        ("a.dcm", b"hello " * 100, "no DICOM marker"),
        ("head.png", b"\x89PNG\r\n\x1a\n", "PNG"),
        ("head.tif", b"II*\0", "TIFF"),
        ("a.gif", b"GIF89a" + b"\0" * 50, "expected PNG, JPEG"),
    ):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, match)
        refused(tmp_path / name, re.escape(str(tmp_path / name)))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        refused(tmp_path / "pipe", "not a regular file")


def test_tiffs_that_are_no_single_image(tmp_path: Path) -> None:
    hu = GREY.astype(np.int16)
    refused(tiff(tmp_path / "pages.tif", np.stack([hu, hu])), "2 pages")
    refused(tiff(tmp_path / "five.tif", np.zeros((9, 9, 5), np.uint8), planarconfig="contig"), "5 channels")
    refused(tiff(tmp_path / "rgb16.tif", np.zeros((9, 9, 3), np.uint16), photometric="rgb"), "in colour")
    refused(tiff(tmp_path / "u32.tif", GREY), "uint32")
    refused(tiff(tmp_path / "complex.tif", GREY.astype(np.complex64)), "complex64")
    for bad in (np.nan, np.inf):
        values = hu.astype(np.float32)
        values[3, 4] = bad
        refused(tiff(tmp_path / "nan.tif", values), "NaN or infinite")
    refused(tiff(tmp_path / "unit.tif", (GREY / 1000).astype(np.float32)), r"\[0, 1\]")
    refused(tiff(tmp_path / "huge.tif", np.full((4, 4), 1e300)), "float32")


def damaged(data: bytes, path: Path) -> Roi | None:
    path.write_bytes(data)
    return read_or_one_line(path)


@pytest.fixture(scope="module", params=["tif", "lzw.tif", "png", "jpg", "bmp", "dcm"])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    kind: str = request.param
    path = tmp_path_factory.mktemp("sample") / f"a.{kind}"
    if kind == "dcm":
        dataset = pydicom.dcmread(Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm")
        dataset.PixelData = dataset.pixel_array[:16, :16].tobytes()
        dataset.Rows = dataset.Columns = 16
        del dataset[0xFFFC, 0xFFFC]  # trailing padding would hide a truncation
        write(dataset, path)
    elif kind == "tif":
        tiff(path, GREY.astype(np.int16))
    else:
        picture(path, GREY.astype(np.uint8), **({"compression": "tiff_lzw"} if kind == "lzw.tif" else {}))
    return path.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_an_error_or_harmless(sample: bytes, tmp_path: Path, fraction: float) -> None:
    whole = damaged(sample, tmp_path / "a")
    assert whole is not None
    cut = damaged(sample[: int(fraction * len(sample))], tmp_path / "a")
    if cut is not None:
        np.testing.assert_array_equal(cut.pixels, whole.pixels)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_bytes_never_raise_anything_else(sample: bytes, tmp_path: Path, hits: list[tuple[float, int]]) -> None:
    data = bytearray(sample)
    for place, value in hits:
        data[int(place * len(data))] = value
    damaged(bytes(data), tmp_path / "a")
