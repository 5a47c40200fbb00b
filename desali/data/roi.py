"""Read one image or region of interest (ROI) from a file of any format that `desali.data.formats` knows."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from desali.data.formats.colours import grey_of
from desali.data.formats.decoded import Decoded
from desali.data.formats.dicom import AIR_HU
from desali.data.formats.recognise import READ_WORDS
from desali.data.preprocess import DEFAULT_WINDOW, PixelUnit, check_window
from desali.errors import ImageError
from desali.input.files import read_bytes
from desali.limits import IMAGE_BYTES

GREY_SAID = "Stored in colour, but its channels are equal: taken as grey (colour keeps them apart)."


@dataclass(frozen=True, eq=False)
class Roi:
    """A region of interest and where it comes from. Patient and series identities are not kept.

    Attributes:
        pixels: float32 [h, w] in Hounsfield units, uint8 [h, w] or [h, w, 3] display values, or float32 display values
            in [0, 1] of the same shapes.
        unit: "hu", "uint8" or "unit".
        path: the file as it was named by the caller; None for an array.
        box: (y, x, size) of the square that was cut, in pixels from the top left corner; None for the whole image.
        window: (level, width) in HU to display the pixels with; None for display values.
        window_chosen: whether the caller named the window; it then goes before the window of a model.
        hu_offset: the offset that was added to the stored pixels; None if none was needed.
        sha256: of the file's (or the array's) bytes, in hexadecimal.
        origin: format and conversion in words, e.g. "DICOM CT, RescaleSlope 1, RescaleIntercept -1024".
        said: what a reader of a figure must know of how the pixels came about, in sentences; "" for nothing.
        page: the page, slice or frame of a file with several, from 1; None where none was named.
    """

    pixels: npt.NDArray[Any]
    unit: PixelUnit
    path: Path | None
    box: tuple[int, int, int] | None
    window: tuple[float, float] | None
    hu_offset: float | None
    sha256: str
    origin: str
    window_chosen: bool = False
    said: str = ""
    page: int | None = None

    @property
    def name(self) -> str:
        """The file's name, or "array"."""
        return "array" if self.path is None else self.path.name

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.pixels.shape))
        box = "" if self.box is None else f", box {','.join(map(str, self.box))}"
        return f"Roi({self.name}: {size}, {self.unit}{box}, {self.origin})"


def read_image(
    path: str | os.PathLike[str],
    *,
    box: tuple[int, int, int] | None = None,
    window: tuple[float, float] | None = None,
    hu_offset: float | None = None,
    frame: int | None = None,
    page: int | None = None,
    colour: bool = False,
) -> Roi:
    """Read an image file, by its content and not by its suffix, and cut a square out of it.

    Signed and float TIFF, CT in DICOM and NIfTI volumes that hold air are Hounsfield units; 8-bit images are display
    values, already windowed; unsigned 16-bit images need `hu_offset`. An image that is stored in colour and whose
    channels are equal (after JPEG, within its rounding) is grey. Transparent pixels are laid on white.

    Args:
        path: a PNG, JPEG, BMP, TIFF, DICOM, .npy or NIfTI file.
        box: (y, x, size) in pixels, the square [y, y + size) x [x, x + size).
        window: (level, width) in HU; recorded in the result, not applied to the pixels. None: the lung window, which
            gives way to a model's own.
        hu_offset: HU = pixel + offset, for images without an HU scale of their own only (often -1024).
        frame: of a DICOM file with several, from 1.
        page: of a TIFF file, image of a stack in .npy, axial slice of a NIfTI volume, or frame, from 1.
        colour: leave a grey image that is stored in colour in colour.

    Raises:
        ImageError: missing, unreadable, damaged or unsupported file, a box outside the image, a bad window or offset,
            or a window for display values.
    """
    _window(window, hu_offset)
    data = _read_bytes(path, _name(path))
    return decode_image(data, path, box=box, window=window, hu_offset=hu_offset, frame=frame, page=page, colour=colour)


def decode_image(
    data: bytes,
    path: str | os.PathLike[str],
    *,
    box: tuple[int, int, int] | None = None,
    window: tuple[float, float] | None = None,
    hu_offset: float | None = None,
    frame: int | None = None,
    page: int | None = None,
    colour: bool = False,
) -> Roi:
    """`read_image` of bytes that are at hand already; no file is opened.

    Args:
        path: what to call them.

    Raises:
        ImageError: see `read_image`.
    """
    name, shown = _name(path), _window(window, hu_offset)
    decoded = _decode(data, name, hu_offset, frame, page)
    pixels, unit, offset = _in_unit(decoded, name, hu_offset)
    said = [decoded.said] if decoded.said else []
    origin = decoded.origin
    if pixels.ndim == 3 and not colour and pixels.size:  # before the box: a white wall in a photograph is no grey image
        grey = grey_of(pixels, lossy=decoded.lossy)
        if grey is not None:
            pixels, origin = grey, f"{origin}, taken as grey"
            said.append(GREY_SAID)
    if 0 in pixels.shape:
        raise ImageError(f"{name}: an image of {pixels.shape[0]} x {pixels.shape[1]} pixels; expected at least 1 x 1")
    if window is not None and unit != "hu":
        held = f"the file holds display values ({decoded.origin})"
        raise ImageError(f"{name}: window= does not apply, {held}; leave it out")
    if box is not None:
        box, pixels = cut_box(pixels, box, name)
    return Roi(
        pixels=np.ascontiguousarray(pixels),
        unit=unit,
        path=Path(path),
        box=box,
        window=shown if unit == "hu" else None,
        hu_offset=offset,
        sha256=hashlib.sha256(data).hexdigest(),
        origin=origin,
        window_chosen=window is not None,
        said=" ".join(said),
        page=page if frame is None else frame,
    )


def _name(path: str | os.PathLike[str]) -> str:
    """What messages call the file: they stay on one line."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def _window(window: tuple[float, float] | None, hu_offset: float | None) -> tuple[float, float]:
    """The window to show the image with, and a check of the offset."""
    shown = check_window(DEFAULT_WINDOW if window is None else window)
    if hu_offset is not None and not math.isfinite(hu_offset):
        raise ImageError(f"hu_offset={hu_offset}: expected a finite number, for instance -1024")
    return shown


def _read_bytes(path: str | os.PathLike[str], name: str) -> bytes:
    try:
        file = Path(path)
        if file.is_dir():
            raise ImageError(f"{name}: is a folder; expected one image file ({READ_WORDS})")
        if not file.exists():
            raise ImageError(f"{name}: no such file; check the path")
        if not file.is_file():
            raise ImageError(f"{name}: is not a regular file; expected an image ({READ_WORDS})")
    except (OSError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{name}: cannot be read ({reason}); check the path and its permissions") from error
    data = read_bytes(path, f"an image ({READ_WORDS})", ImageError, IMAGE_BYTES)
    if not data:
        raise ImageError(f"{name}: is empty (0 bytes); copy it again")
    return data


def _decode(data: bytes, name: str, hu_offset: float | None, frame: int | None, page: int | None) -> Decoded:
    from desali.data.formats import dicom, recognise

    kind = recognise.format_of(data[: recognise.HEAD])
    if kind == recognise.DICOM:
        if page is not None and frame is not None:
            raise ImageError(f"{name}: page={page} and frame={frame} are the same in a DICOM file; leave one out")
        return dicom.read_dicom(data, name, frame=page if frame is None else frame, offset_given=hu_offset is not None)
    if frame is not None:
        way = f"name its page with page={frame}" if kind in recognise.READ else "leave it out"
        raise ImageError(f"{name}: frame={frame} does not apply, the file is no DICOM file; {way}")
    if kind == recognise.TIFF:
        from desali.data.formats.tiff import read_tiff

        return read_tiff(data, name, page)
    if kind in (recognise.PNG, recognise.JPEG, recognise.BMP):
        from desali.data.formats.picture import read_picture

        return read_picture(data, name, kind, page)
    if kind == recognise.NPY:
        from desali.data.formats.array import read_array

        return read_array(data, name, page)
    if kind == recognise.NIFTI:
        from desali.data.formats.nifti import read_nifti

        return read_nifti(data, name, page, offset_given=hu_offset is not None)
    if Path(name).suffix.lower() in (".dcm", ".dicom"):
        raise ImageError(f"{name}: no DICOM marker at byte 128; expected a DICOM Part 10 file, export it again")
    if name.lower().endswith((".nii", ".nii.gz")):
        raise ImageError(f"{name}: has no NIfTI header, or a damaged one; copy it again")
    if kind:
        raise ImageError(f"{name}: holds {kind}, which is not read; expected {recognise.READ_WORDS}, save it as one")
    raise ImageError(f"{name}: not an image in a known format; expected {recognise.READ_WORDS}")


def _in_unit(
    decoded: Decoded, name: str, hu_offset: float | None
) -> tuple[npt.NDArray[Any], Literal["hu", "uint8", "unit"], float | None]:
    if decoded.unit == "stored":
        if hu_offset is None:
            raise ImageError(
                f"{name}: {decoded.origin} pixels hold no HU scale; pass hu_offset= (HU = pixel + offset, often "
                "-1024), or save display values as 8-bit"
            )
        values = decoded.pixels + np.float32(hu_offset)
        if decoded.padding is not None:
            values = np.where(decoded.padding | (values < AIR_HU), np.float32(AIR_HU), values)
        return values, "hu", float(hu_offset)
    if hu_offset is not None:
        held = "HU already" if decoded.unit == "hu" else "display values, not HU"
        raise ImageError(f"{name}: hu_offset= does not apply, the file holds {held} ({decoded.origin}); leave it out")
    return decoded.pixels, decoded.unit, None


def cut_box(
    pixels: npt.NDArray[Any], box: tuple[int, int, int], name: str
) -> tuple[tuple[int, int, int], npt.NDArray[Any]]:
    """The box as whole numbers, and the square of pixels [h, w] or [h, w, 3] that it names; `name` is for messages.

    Raises:
        ImageError: not three whole numbers (y, x, size), or outside the image.
    """
    height, width = pixels.shape[:2]
    try:
        y, x, size = box
        whole = all(int(value) == value for value in (y, x, size))
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise ImageError(f"box={box}: expected three whole numbers Y,X,SIZE in pixels")
    y, x, size = int(y), int(x), int(size)
    if size < 1:
        raise ImageError(f"box={y},{x},{size}: expected a size of at least 1 pixel")
    if y < 0 or x < 0 or y + size > height or x + size > width:
        raise ImageError(
            f"{name}: box={y},{x},{size} (Y,X,SIZE) lies outside the image of {height} x {width} pixels (H x W)"
        )
    return (y, x, size), pixels[y : y + size, x : x + size]
