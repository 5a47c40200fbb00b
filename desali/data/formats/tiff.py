"""TIFF through tifffile; Pillow decodes the compressions that tifffile leaves to an optional package."""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.formats.colours import on_white, upright
from desali.data.formats.declared import check_size
from desali.data.formats.decoded import Decoded
from desali.data.formats.numbers import by_type, chosen
from desali.errors import ImageError

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6  # TIFF 6.0, tag 262
JPEG = (6, 7)  # tag 259
ORIENTATION = 274
UNASSOCIATED, ASSOCIATED = 2, 1  # tag 338: whether the pixels are multiplied by alpha


def read_tiff(data: bytes, name: str, page: int | None = None) -> Decoded:
    """Decode a page of a TIFF file that was read into `data`, turned upright by its orientation.

    Signed integers and floats are Hounsfield units, 8-bit values are display values, unsigned 16-bit is "stored"
    (it needs an offset to be HU). Transparency is laid on white.

    Args:
        page: from 1; may be left out if there is one.

    Raises:
        ImageError: damaged, no such page, an unsupported pixel type or colour space, or NaN among the pixels.
    """
    import tifffile

    log = logging.getLogger("tifffile")  # it prints what it then also raises
    was_disabled, log.disabled = log.disabled, True
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            pages = len(file.pages)
            if not pages:
                raise ImageError(f"{name}: TIFF without an image; export it again")
            index = chosen(page, pages, name, "TIFF")
            one: Any = file.pages[index]
            photometric = int(one.photometric) if one.photometric is not None else MIN_IS_BLACK
            _check_layout(one, photometric, name, len(data))
            pixels = _pixels(one, index, photometric, data, name)
            decoded = _decoded(pixels, one, photometric, name)
            if decoded.pixels.shape[2:] not in ((), (3,)):
                raise ImageError(f"{name}: TIFF of shape {list(decoded.pixels.shape)}; save it as grey or RGB")
            tag = one.tags.get(ORIENTATION)
            orientation = int(tag.value) if tag is not None and tag.value in range(1, 9) else 1
    except ImageError:
        raise
    except Exception as error:  # struct.error, TiffFileError, ValueError, zlib.error, MemoryError, ... on damaged files
        raise ImageError(f"{name}: the TIFF is truncated or damaged ({type(error).__name__}); copy it again") from error
    finally:
        log.disabled = was_disabled
    if orientation != 1:
        decoded = replace(decoded, pixels=upright(decoded.pixels, orientation))
        decoded = decoded.noted(f"turned upright (orientation {orientation})")
    decoded = replace(decoded, lossy=int(one.compression) in JPEG)
    return decoded if pages == 1 else decoded.noted(f"page {index + 1} of {pages}")


def _check_layout(page: Any, photometric: int, name: str, held: int) -> None:
    known = photometric in (MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK, YCBCR)
    if not known and int(page.compression) not in JPEG:
        raise ImageError(
            f"{name}: TIFF in an unsupported colour space (photometric {photometric}); save it as grey or RGB"
        )
    if page.dtype is None:
        raise ImageError(f"{name}: TIFF with {page.bitspersample} bits per pixel; save it with 8 or 16")
    if page.samplesperpixel not in ((4,) if photometric == CMYK else (1, 2, 3, 4)) or (
        page.samplesperpixel in (2, 4) and page.dtype.itemsize > 1
    ):
        raise ImageError(f"{name}: {page.dtype} TIFF with {page.samplesperpixel} channels; save it as grey or RGB")
    if page.imagedepth > 1:
        raise ImageError(f"{name}: TIFF holding a volume of {page.imagedepth} slices; save the wanted slice alone")
    each = page.samplesperpixel * page.dtype.itemsize
    check_size(page.imagelength, page.imagewidth, each, held, name, "TIFF")
    check_size(page.tilelength, page.tilewidth, each, held, name, "TIFF with tiles")


def _pixels(page: Any, index: int, photometric: int, data: bytes, name: str) -> npt.NDArray[Any]:
    """The page's pixels, [h, w] or [h, w, channels]."""
    lengths = sum(page.databytecounts)
    if lengths and max(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)) > len(data):
        raise ImageError(f"{name}: the TIFF is truncated (its pixels reach past the end of the file); copy it again")
    by_pillow = photometric == CMYK or (photometric == YCBCR and int(page.compression) not in JPEG)
    try:
        pixels = _with_pillow(page, index, data, name) if by_pillow else np.asarray(page.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        pixels = _with_pillow(page, index, data, name)
    channels = 3 if photometric == CMYK else page.samplesperpixel
    if pixels.ndim == 3 and pixels.shape[0] == channels and pixels.shape[-1] != channels:  # one plane per channel
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] not in (channels, 3)):
        raise ImageError(f"{name}: TIFF of shape {list(pixels.shape)}; expected [h, w] or [h, w, 3]")
    return pixels


def _with_pillow(page: Any, index: int, data: bytes, name: str) -> npt.NDArray[Any]:
    from PIL import Image

    compression = getattr(page.compression, "name", page.compression)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tags that are not read
            with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
                image.seek(index)
                pixels = np.asarray(image.convert("RGB") if image.mode in ("YCbCr", "CMYK") else image)
    except Exception as error:
        raise ImageError(
            f"{name}: TIFF with {compression} compression cannot be decoded here; save it without compression"
        ) from error
    if page.dtype.itemsize > 2 and page.dtype.kind != "f":
        raise ImageError(f"{name}: {page.dtype} TIFF with {compression} compression; save it without compression")
    return pixels.astype(page.dtype)


def _decoded(pixels: npt.NDArray[Any], page: Any, photometric: int, name: str) -> Decoded:
    if photometric == PALETTE:
        return _from_palette(pixels, page, name)
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4):
        kinds = [int(kind) for kind in page.extrasamples or ()]
        own, alpha = pixels[..., :-1], pixels[..., -1]
        own = own[..., 0] if own.shape[-1] == 1 else own
        if photometric == MIN_IS_WHITE:
            own = 255 - own
        said = "A fourth channel that is called no transparency was left out."
        if kinds[:1] in ([UNASSOCIATED], [ASSOCIATED]):
            own, said = on_white(own, alpha, multiplied=kinds[0] == ASSOCIATED)
        return replace(by_type(own, "TIFF", name).noted("with a channel more"), said=said)
    if photometric == MIN_IS_WHITE:
        if pixels.dtype == np.uint8:
            return by_type(255 - pixels, "TIFF", name).noted("inverted (white is zero)")
        if pixels.dtype.kind == "b":
            return by_type(~pixels, "TIFF", name).noted("inverted (white is zero)")
        raise ImageError(f"{name}: {pixels.dtype} TIFF in which zero is white; save it with zero as black")
    return by_type(pixels, "TIFF", name)


def _from_palette(pixels: npt.NDArray[Any], page: Any, name: str) -> Decoded:
    table = page.colormap
    if pixels.ndim != 2 or pixels.dtype.kind not in "u" or table is None or table.shape[0] != 3:
        raise ImageError(f"{name}: TIFF with a colour palette that cannot be used; save it as grey or RGB")
    if int(pixels.max(initial=0)) >= table.shape[1]:
        raise ImageError(f"{name}: the TIFF is damaged (its palette is shorter than its numbers); copy it again")
    colours = np.asarray(table).T
    levels = colours >> 8 if int(colours.max(initial=0)) > 255 else colours  # some write 8 of the 16 bits
    return Decoded(levels.astype(np.uint8)[pixels], "uint8", "TIFF with a palette, 8-bit RGB")
