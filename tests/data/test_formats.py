"""Files as people have them: colour modes, transparency, pages, arrays, volumes, and grey that is stored in colour."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.data import get_testdata_file

from desali.data.formats.colours import JPEG_ROUNDING, grey_of, on_white, upright
from desali.data.formats.nifti import read_nifti
from desali.data.formats.recognise import format_of, is_image
from desali.data.imageset import pixel_hash
from desali.data.roi import GREY_SAID, Roi, read_image
from desali.errors import ImageError

Array = npt.NDArray[Any]
COLOUR = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
GREY = (np.arange(20 * 30).reshape(20, 30) % 256).astype(np.uint8)
AS_RGB = np.repeat(GREY[..., None], 3, axis=-1)


def smooth(height: int = 48, width: int = 64) -> Array:
    y, x = np.mgrid[:height, :width] / 16
    return np.rint(127.5 + 100 * np.sin(x) * np.cos(y)).astype(np.uint8)


def refused(path: Path, match: str, **arguments: Any) -> None:
    with pytest.raises(ImageError, match=match) as error:
        read_image(path, **arguments)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


# Grey that is stored in colour


def test_equal_channels_are_grey_unless_asked_otherwise(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "a.tif"):
        Image.fromarray(AS_RGB).save(tmp_path / name)
        roi = read_image(tmp_path / name)
        np.testing.assert_array_equal(roi.pixels, GREY)
        assert roi.said == GREY_SAID
        assert roi.origin.endswith("taken as grey")
        apart = read_image(tmp_path / name, colour=True)
        np.testing.assert_array_equal(apart.pixels, AS_RGB)
        assert apart.said == ""


def test_one_level_in_one_pixel_is_colour_where_nothing_was_lost(tmp_path: Path) -> None:
    other = AS_RGB.copy()
    other[3, 4, 1] ^= 1
    Image.fromarray(other).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").pixels.shape == (20, 30, 3)


def test_a_box_of_grey_in_a_photograph_stays_in_colour(tmp_path: Path) -> None:
    photograph = COLOUR.copy()
    photograph[:8, :8] = 255
    Image.fromarray(photograph).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", box=(0, 0, 8)).pixels.shape == (8, 8, 3)


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("off", [(0, 0), (1, 0), (0, -1), (1, -1), (-1, 1)])
def test_grey_jpeg_with_rounded_colour_differences_is_grey(tmp_path: Path, quality: int, off: tuple[int, int]) -> None:
    planes = [smooth(), np.full((48, 64), 128 + off[0], np.uint8), np.full((48, 64), 128 + off[1], np.uint8)]
    image = Image.merge("YCbCr", [Image.fromarray(plane) for plane in planes])
    image.save(tmp_path / "a.jpg", quality=quality)
    roi = read_image(tmp_path / "a.jpg")
    assert roi.pixels.shape == (48, 64)
    with Image.open(tmp_path / "a.jpg") as stored:
        luma = np.asarray(stored.convert("L"), int)
    assert np.abs(roi.pixels - luma).max() <= 1


def test_a_slightly_tinted_jpeg_is_in_colour(tmp_path: Path) -> None:
    tinted = AS_RGB.astype(int) + np.array([0, 0, 3 * JPEG_ROUNDING])
    Image.fromarray(tinted.clip(0, 255).astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    assert read_image(tmp_path / "a.jpg").pixels.ndim == 3


def test_cmyk_and_palettes_of_greys_are_grey(tmp_path: Path) -> None:
    Image.fromarray(AS_RGB).convert("CMYK").save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, GREY)
    Image.fromarray(COLOUR).convert("YCbCr").save(tmp_path / "ycc.tif")
    with Image.open(tmp_path / "ycc.tif") as stored:
        np.testing.assert_array_equal(read_image(tmp_path / "ycc.tif").pixels, np.asarray(stored.convert("RGB")))
    Image.merge("CMYK", [Image.new("L", (64, 48))] * 3 + [Image.fromarray(255 - smooth())]).save(tmp_path / "a.jpg")
    roi = read_image(tmp_path / "a.jpg")
    assert roi.pixels.ndim == 2
    assert np.abs(roi.pixels.astype(int) - smooth()).mean() < 3
    palette = Image.fromarray(GREY)
    palette.putpalette([level for k in range(256) for level in (k, k, k)])
    for name in ("b.png", "b.tif", "b.bmp"):
        palette.save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name).pixels, GREY)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
@settings(max_examples=200)
def test_grey_is_decided_by_the_widest_pixel(red: int, green: int, blue: int) -> None:
    pixels = np.full((3, 3, 3), 90, np.uint8)
    pixels[1, 1] = red, green, blue
    span = max(red, green, blue) - min(red, green, blue)
    assert (grey_of(pixels) is not None) == (span == 0)
    grey = grey_of(pixels, lossy=True)
    assert (grey is not None) == (span <= JPEG_ROUNDING)
    if grey is not None:
        assert min(red, green, blue) <= grey[1, 1] <= max(red, green, blue)


# Colour modes, transparency, orientation


def test_transparency_is_laid_on_white_and_said(tmp_path: Path) -> None:
    four = np.dstack([COLOUR, np.full((20, 30), 255, np.uint8)])
    Image.fromarray(four).save(tmp_path / "opaque.png")
    opaque = read_image(tmp_path / "opaque.png")
    np.testing.assert_array_equal(opaque.pixels, COLOUR)
    assert opaque.said == ""
    four[:10, :, 3], four[10, :, 3] = 0, 128
    for name in ("half.png", "half.tif"):
        Image.fromarray(four).save(tmp_path / name)
        half = read_image(tmp_path / name)
        assert half.said == "Transparent pixels were laid on white."
        assert (half.pixels[:10] == 255).all()
        expected = COLOUR[10].astype(float) * 128 / 255 + 255 * 127 / 255
        assert np.abs(half.pixels[10] - expected).max() <= 0.5
        np.testing.assert_array_equal(half.pixels[11:], COLOUR[11:])


def test_alpha_that_is_zero_everywhere_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([COLOUR, np.zeros((20, 30), np.uint8)])).save(tmp_path / "a.png")
    roi = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(roi.pixels, COLOUR)
    assert "left out" in roi.said


def test_grey_with_alpha_stays_grey(tmp_path: Path) -> None:
    alpha = np.where(GREY > 100, 255, 0).astype(np.uint8)
    Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)]).save(tmp_path / "a.png")
    roi = read_image(tmp_path / "a.png", colour=True)
    np.testing.assert_array_equal(roi.pixels, np.where(GREY > 100, GREY, 255))
    tifffile.imwrite(
        tmp_path / "a.tif", np.dstack([GREY, alpha]), photometric="minisblack", extrasamples=["unassalpha"]
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, roi.pixels)


def test_pixels_that_are_multiplied_by_alpha_already() -> None:
    values, alpha = np.full((2, 2), 60, np.uint8), np.array([[255, 128], [64, 0]], np.uint8)
    mixed, said = on_white(values, alpha, multiplied=True)
    np.testing.assert_array_equal(mixed, [[60, 187], [251, 255]])
    assert said


def test_palettes_and_their_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    for name in ("a.png", "a.tif", "a.bmp"):
        image.save(tmp_path / name)
        roi = read_image(tmp_path / name)
        np.testing.assert_array_equal(roi.pixels, np.asarray(image.convert("RGB")))
        assert "palette" in roi.origin
    image.save(tmp_path / "b.png", transparency=3)
    roi = read_image(tmp_path / "b.png")
    clear = np.asarray(image) == 3
    assert (roi.pixels[clear] == 255).all()
    np.testing.assert_array_equal(roi.pixels[~clear], np.asarray(image.convert("RGB"))[~clear])
    assert "laid on white" in roi.said


def test_one_bit_images(tmp_path: Path) -> None:
    bits = Image.fromarray(np.where(GREY > 100, 255, 0).astype(np.uint8)).convert("1")
    for name in ("a.png", "a.tif", "a.bmp"):
        bits.save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name).pixels, np.where(GREY > 100, 255, 0))


def png16(path: Path, values: Array, colour_type: int) -> Path:
    """A PNG of 16 bits a channel, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_16_bits_a_channel_become_8_and_it_is_said(tmp_path: Path) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (5, 7, 4))
    roi = read_image(png16(tmp_path / "a.png", deep[..., :3], 2))
    np.testing.assert_array_equal(roi.pixels, deep[..., :3] >> 8)
    assert roi.said == "Of 16 bits a channel the upper 8 were taken."
    deep[..., 3] = 65535
    roi = read_image(png16(tmp_path / "b.png", deep, 6))
    np.testing.assert_array_equal(roi.pixels, deep[..., :3] >> 8)
    grey = png16(tmp_path / "c.png", deep[..., 0], 0)
    refused(grey, "8-bit")
    np.testing.assert_array_equal(read_image(grey, hu_offset=-1024).pixels, deep[..., 0] - 1024)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, upright(COLOUR, orientation))
    extra = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(np.int16), extratags=extra)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, upright(GREY, orientation))


def test_a_palette_in_dicom_gives_its_colours() -> None:
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut

    path = get_testdata_file("examples_palette.dcm", download=False)
    dataset = dcmread(path)
    expected = apply_color_lut(dataset.pixel_array, dataset) >> 8
    np.testing.assert_array_equal(read_image(path, colour=True).pixels, expected)


# Pages, stacks and volumes


def test_a_page_of_a_tiff(tmp_path: Path) -> None:
    pages = np.arange(3 * 6 * 5).reshape(3, 6, 5).astype(np.int16)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    refused(tmp_path / "a.tif", "3 pages; choose one with page=1 to page=3")
    for page in (1, 2, 3):
        roi = read_image(tmp_path / "a.tif", page=page)
        np.testing.assert_array_equal(roi.pixels, pages[page - 1])
        assert roi.page == page
        assert f"page {page} of 3" in roi.origin
    for page in (0, 4, -1, True):
        refused(tmp_path / "a.tif", "pages 1 to 3", page=page)
    refused(tmp_path / "a.tif", "name its page with page=2", frame=2)
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", page=1).page == 1
    refused(tmp_path / "a.png", "the PNG holds one page", page=2)
    images = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    images[0].save(tmp_path / "jpeg.tif", save_all=True, append_images=images[1:], compression="tiff_adobe_deflate")
    np.testing.assert_array_equal(read_image(tmp_path / "jpeg.tif", page=2).pixels, 255 - COLOUR)


def save(path: Path, array: Array) -> Path:
    np.save(path, array)
    return path


def test_arrays_in_npy_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    hu = (GREY.astype(np.int16) - 300) * 3
    for array, unit in ((GREY, "uint8"), (COLOUR, "uint8"), (hu, "hu"), (hu.astype(np.int32), "hu")):
        roi = read_image(save(path, array))
        assert roi.unit == unit
        np.testing.assert_array_equal(roi.pixels, array)
    assert (read_image(save(path, GREY > 9)).pixels == np.where(GREY > 9, 255, 0)).all()
    shown = read_image(save(path, COLOUR / 255))
    assert (shown.unit, shown.pixels.dtype) == ("unit", np.float32)
    stack = np.stack([hu, hu + 1])
    refused(save(path, stack), "2 images; choose one with page=1 to page=2")
    np.testing.assert_array_equal(read_image(path, page=2).pixels, hu + 1)
    np.testing.assert_array_equal(read_image(save(path, np.stack([COLOUR, 255 - COLOUR])), page=2).pixels, 255 - COLOUR)
    np.testing.assert_array_equal(read_image(save(path, hu.astype(np.uint16)), hu_offset=-1024).unit, "hu")
    np.testing.assert_array_equal(read_image(save(path, hu[..., None])).pixels, hu)
    alpha = read_image(save(path, np.dstack([COLOUR, GREY])))
    assert alpha.pixels.shape == (20, 30, 3)
    assert "laid on white" in alpha.said
    refused(save(path, hu / 7), "names no unit")
    refused(save(path, np.full((4, 4), np.nan)), "without a finite value")
    refused(save(path, np.zeros(5)), "expected one image")
    refused(save(path, np.zeros((2, 3, 4, 5), np.uint8)), "expected one image")
    refused(save(path, np.zeros((0, 4), np.uint8)), "no pixels")
    refused(save(path, np.array([[{}, {}]])), "holds objects")
    refused(save(path, hu.astype(np.complex64)), "complex64")
    path.write_bytes(path.read_bytes()[:-3])
    refused(path, "truncated")
    header = b"{'descr': '<i2', 'fortran_order': False, 'shape': (100000, 100000), }".ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\0v\0" + header)
    refused(path, "truncated")


nibabel = pytest.importorskip("nibabel")


def volume(path: Path, values: Array, affine: Array, kind: Any = None) -> Path:
    image = (kind or nibabel.Nifti1Image)(values, affine)
    nibabel.save(image, path)
    return path


def body() -> Array:
    """HU [to the right, to the front, to the head], with a mark on the patient's right, in front, in each slice."""
    values = np.full((7, 6, 3), -1000, np.int16)
    values[6, 5] = (100, 200, 300)
    return values


RAS = np.diag([1.0, 1.0, 2.0, 1.0])
LPS = np.diag([-1.0, -1.0, 2.0, 1.0])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_an_axial_slice_of_nifti_lies_as_a_dicom_slice_does(tmp_path: Path, suffix: str, kind: Any) -> None:
    ras = volume(tmp_path / f"ras{suffix}", body(), RAS, kind)
    lps = volume(tmp_path / f"lps{suffix}", body()[::-1, ::-1], LPS, kind)
    side = volume(tmp_path / f"side{suffix}", body().transpose(2, 0, 1), np.array(RAS)[:, [2, 0, 1, 3]], kind)
    for path in (ras, lps, side):
        for page, mark in ((1, 100), (2, 200), (3, 300)):
            roi = read_image(path, page=page)
            assert roi.unit == "hu"
            assert roi.pixels.shape == (6, 7)
            assert roi.pixels[0, 0] == mark  # front up, the patient's right on the left
            assert f"axial slice {page} of 3" in roi.origin
        refused(path, "3 slices; choose one")
        assert read_image(path, page=2, box=(0, 0, 3)).pixels.shape == (3, 3)


def test_nifti_that_names_no_unit_and_other_volumes(tmp_path: Path) -> None:
    mri = volume(tmp_path / "mri.nii", np.abs(body()), RAS)
    refused(mri, "no CT in HU", page=1)
    assert read_image(mri, page=1, hu_offset=-1024).pixels.max() == -24
    mask = volume(tmp_path / "mask.nii.gz", (body() > 0).astype(np.uint8), RAS)
    assert read_image(mask, page=1).unit == "uint8"
    refused(volume(tmp_path / "four.nii", np.zeros((3, 3, 3, 2), np.int16), RAS), "one volume")
    whole = mri.read_bytes()
    mri.write_bytes(whole[:-20])
    refused(mri, "truncated", page=1)
    mask.write_bytes(gzip.compress(whole)[:-30])
    refused(mask, "damaged", page=1)
    scaled = nibabel.Nifti1Image(body() + 1024, RAS)
    scaled.header.set_slope_inter(1, -1024)
    stream = io.BytesIO(scaled.to_bytes())
    (tmp_path / "scaled.nii").write_bytes(stream.getvalue())
    image = nibabel.load(tmp_path / "scaled.nii")
    assert read_image(tmp_path / "scaled.nii", page=1).pixels[0, 0] == image.get_fdata()[6, 5, 0]


# What is an image


def heads(tmp_path: Path) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    for kind in ("PNG", "JPEG", "BMP", "TIFF"):
        buffer = io.BytesIO()
        Image.fromarray(COLOUR).save(buffer, kind)
        made[kind] = buffer.getvalue()
    made["DICOM"] = Path(str(get_testdata_file("CT_small.dcm", download=False))).read_bytes()
    made["NumPy array"] = save(tmp_path / "a.npy", GREY).read_bytes()
    made["NIfTI"] = volume(tmp_path / "a.nii.gz", body(), RAS).read_bytes()
    return made


def test_a_file_is_an_image_by_its_content(tmp_path: Path) -> None:
    for kind, data in heads(tmp_path).items():
        assert format_of(data[:1024]) == kind
        path = tmp_path / f"no suffix {kind.replace(' ', '')}"
        path.write_bytes(data)
        assert is_image(path)
        wrong = tmp_path / f"{kind.replace(' ', '')}.txt"
        wrong.write_bytes(data)
        assert is_image(wrong)
        roi = read_image(wrong, page=1)
        assert isinstance(roi, Roi)


@pytest.mark.parametrize(
    "text", ["BMW drives", "", "II*", "PNG", "DICM", "MM", "\x1f\x8b", "GIF89a", "# a table\npath,label\n", "RIFF"]
)
def test_text_is_no_image(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes"
    path.write_text(text, encoding="latin-1")
    assert not is_image(path)


@pytest.mark.parametrize("kind", ["GIF", "WebP"])
def test_formats_that_are_not_read_are_named(tmp_path: Path, kind: str) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.bin", kind)
    refused(tmp_path / "a.bin", f"holds {kind}, which is not read; expected PNG")


def test_a_grey_image_has_one_hash_whatever_set_it_is_in() -> None:
    assert pixel_hash(AS_RGB) == pixel_hash(GREY)
    assert pixel_hash(COLOUR) != pixel_hash(COLOUR[..., 0])


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_of_nifti_that_speaks_of_gigabytes_gets_none(packed: bool) -> None:
    whole = bytearray(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)).to_bytes())
    struct.pack_into("<4h", whole, 40, 3, 1000, 1000, 1000)
    data = gzip.compress(whole) if packed else bytes(whole)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"truncated: its header speaks of 2,000,000,000 bytes .* 128 are there"):
            read_nifti(data, "x.nii", 1)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_scaled_volume_of_bytes_takes_no_more_room_than_its_bytes() -> None:
    values = np.zeros((200, 200, 100), np.uint8)
    values[..., 7] = 30
    image = nibabel.Nifti1Image(values, RAS)
    image.header.set_slope_inter(2.0, -1024.0)
    data = image.to_bytes()
    tracemalloc.start()
    try:
        found = read_nifti(data, "x.nii", 8)
        assert tracemalloc.get_traced_memory()[1] < 3 * values.nbytes
    finally:
        tracemalloc.stop()
    assert found.unit == "hu"
    assert (found.pixels == -964).all()
