"""PNG, JPEG and BMP through Pillow."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from desali.data.formats.colours import on_white, upright
from desali.data.formats.declared import check_size, declared_size
from desali.data.formats.decoded import Decoded
from desali.data.formats.numbers import chosen
from desali.errors import ImageError
from desali.limits import IMAGE_PIXELS

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION_TAG = 0x0112  # EXIF
EIGHT_OF_16 = "Of 16 bits a channel the upper 8 were taken."


def read_picture(data: bytes, name: str, format_name: str, page: int | None = None) -> Decoded:
    """Decode a PNG, JPEG or BMP file that was read into `data`.

    Grey, colour, palettes, CMYK and transparency (laid on white) become 8-bit display values; 16-bit grey is "stored"
    (it needs an offset to be HU). An image is turned upright by its EXIF orientation, as every viewer does.

    Args:
        page: of an animated PNG, from 1.

    Raises:
        ImageError: truncated, not decodable, several pages and none named, or 16-bit grey with transparency.
    """
    from PIL import Image, UnidentifiedImageError

    depth, colour_type = struct.unpack_from("BB", data, 24) if format_name == "PNG" and len(data) >= 26 else (8, 0)
    declared = declared_size(data)
    if declared is not None:
        check_size(*declared, 4, len(data), name, format_name)
    if Image.MAX_IMAGE_PIXELS is not None and IMAGE_PIXELS.value > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = IMAGE_PIXELS.value  # asked for on purpose; checked above
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(data), formats=[format_name])
            index = chosen(page, int(getattr(image, "n_frames", 1)) if format_name == "PNG" else 1, name, format_name)
            if index:
                image.seek(index)
            image.load()
        orientation = _orientation(image)
    except ImageError:
        raise
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

    decoded = _decoded(image, format_name, name)
    if depth == 16 and colour_type != 0:
        decoded = replace(decoded, said=" ".join(part for part in (EIGHT_OF_16, decoded.said) if part))
    if orientation != 1:
        decoded = replace(decoded, pixels=upright(decoded.pixels, orientation))
        decoded = decoded.noted(f"turned upright (EXIF orientation {orientation})")
    return replace(decoded, lossy=format_name == "JPEG")


def _decoded(image: Image.Image, note: str, name: str) -> Decoded:
    """By colour mode."""
    mode = image.mode
    if mode in ("I;16", "I;16B", "I;16L", "I"):
        if "transparency" in image.info:
            raise ImageError(f"{name}: 16-bit grey {note} with transparency; save it without")
        return Decoded(np.asarray(image).astype(np.float32), "stored", f"{note}, unsigned 16-bit grey")
    if mode in ("P", "PA"):
        note = f"{note} with a palette"
    if mode in ("RGBA", "LA", "PA") or "transparency" in image.info or (mode == "P" and _palette(image) == "RGBA"):
        four = np.asarray(image.convert("RGBA"))
        grey = mode in ("1", "L", "LA")
        pixels, said = on_white(four[..., 0] if grey else four[..., :3], four[..., 3])
        return Decoded(pixels, "uint8", f"{note}, 8-bit {'grey' if grey else 'RGB'} with transparency", said=said)
    if mode == "1":
        return Decoded(np.asarray(image.convert("L")), "uint8", f"{note}, 1-bit grey")
    if mode == "L":
        return Decoded(np.asarray(image), "uint8", f"{note}, 8-bit grey")
    if mode == "CMYK":  # some of ILSVRC2012 are
        return Decoded(np.asarray(image.convert("RGB")), "uint8", f"{note}, CMYK converted to 8-bit RGB")
    if mode in ("RGB", "P"):
        return Decoded(np.asarray(image.convert("RGB")), "uint8", f"{note}, 8-bit RGB")
    raise ImageError(f"{name}: {note} in colour mode {mode}; save it as grey or RGB")


def _palette(image: Image.Image) -> str:
    return "" if image.palette is None else str(image.palette.mode)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 where the EXIF block is damaged, which does not spoil the pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:
        return 1
    return value if 1 <= value <= 8 else 1


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
