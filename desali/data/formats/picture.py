"""PNG, JPEG and BMP through Pillow."""

from __future__ import annotations

import io
import struct
import warnings
from typing import TYPE_CHECKING

import numpy as np

from desali.data.formats.declared import check_size, declared_size
from desali.data.formats.decoded import Decoded
from desali.errors import ImageError
from desali.limits import IMAGE_PIXELS

if TYPE_CHECKING:
    from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIGNATURES = {PNG_SIGNATURE: "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP"}
ORIENTATION_TAG = 0x0112  # EXIF
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What turns an image of each EXIF orientation upright, in Pillow's words (EXIF 2.32, section 4.6.4)."""


def read_picture(data: bytes, name: str, format_name: str) -> Decoded:
    """Decode a PNG, JPEG or BMP file that was read into `data`.

    8-bit grey or RGB is a display value; 16-bit grey is "stored" (it needs an offset to be HU). A JPEG is turned
    upright by its EXIF orientation, as every viewer does.

    Raises:
        ImageError: truncated, not decodable, with a palette, with transparency, or in another colour space.
    """
    from PIL import Image, UnidentifiedImageError

    if format_name == "PNG":
        _refuse_deep_colour(data, name)
    declared = declared_size(data)
    if declared is not None:
        check_size(*declared, 4, len(data), name, format_name)
    if Image.MAX_IMAGE_PIXELS is not None and IMAGE_PIXELS.value > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = IMAGE_PIXELS.value  # asked for on purpose; checked above
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(data), formats=[format_name])
            image.load()
        orientation = _orientation(image) if format_name == "JPEG" else 1
        if orientation != 1:
            image = image.transpose(Image.Transpose[UPRIGHT[orientation]])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{name}: the {format_name} claims too many pixels to be a region of interest; crop it first"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: not a readable {format_name} file (damaged header); export the image again"
        ) from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, ... on damaged files
        raise ImageError(
            f"{name}: the {format_name} is truncated or damaged ({_one_line(error)}); copy it again"
        ) from error

    note = format_name if orientation == 1 else f"{format_name}, turned upright (EXIF orientation {orientation})"
    if image.mode in ("P", "PA"):
        raise ImageError(f"{name}: {format_name} with a colour palette; save it as grey or RGB (8 bits per channel)")
    if image.mode in ("RGBA", "LA", "La", "RGBa") or "transparency" in image.info:
        raise ImageError(f"{name}: {format_name} with transparency; save it without an alpha channel (grey or RGB)")
    if image.mode == "1":
        return Decoded(np.asarray(image.convert("L")), "uint8", f"{note}, 1-bit grey")
    if image.mode == "L":
        return Decoded(np.asarray(image), "uint8", f"{note}, 8-bit grey")
    if image.mode == "CMYK" and format_name == "JPEG":  # some of ILSVRC2012 are
        return Decoded(np.asarray(image.convert("RGB")), "uint8", f"{note}, CMYK converted to 8-bit RGB")
    if image.mode == "RGB":
        return Decoded(np.asarray(image), "uint8", f"{note}, 8-bit RGB")
    if image.mode in ("I;16", "I;16B", "I"):
        return Decoded(np.asarray(image).astype(np.float32), "stored", f"{note}, unsigned 16-bit grey")
    raise ImageError(f"{name}: {format_name} in colour mode {image.mode}; save it as grey or RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 where the EXIF block is damaged, which does not spoil the pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:
        return 1
    return value if value in UPRIGHT else 1


def _refuse_deep_colour(data: bytes, name: str) -> None:
    """16-bit colour or grey+alpha PNG: Pillow would silently keep the high byte only."""
    if len(data) >= 26:
        depth, colour_type = struct.unpack_from("BB", data, 24)
        if depth == 16 and colour_type != 0:
            raise ImageError(f"{name}: 16-bit PNG with colour or alpha; save it as 8-bit RGB or as 16-bit grey")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
