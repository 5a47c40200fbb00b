"""TIFF through tifffile; Pillow decodes the compressions that tifffile leaves to an optional package."""

from __future__ import annotations

import io
import logging
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.formats.declared import check_size
from desali.data.formats.decoded import Decoded
from desali.errors import ImageError

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE = 0, 1, 2, 3  # TIFF 6.0, tag 262


def read_tiff(data: bytes, name: str) -> Decoded:
    """Decode a TIFF file that was read into `data`.

    Signed integers and floats are Hounsfield units, 8-bit values are display values, unsigned 16-bit is "stored"
    (it needs an offset to be HU).

    Raises:
        ImageError: damaged, several pages, palette, alpha, an unsupported pixel type, or NaN among the pixels.
    """
    import tifffile

    log = logging.getLogger("tifffile")  # it prints what it then also raises
    was_disabled, log.disabled = log.disabled, True
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            pages = len(file.pages)
            if pages > 1:
                raise ImageError(f"{name}: TIFF with {pages} pages; expected one image, save the wanted page alone")
            if not pages:
                raise ImageError(f"{name}: TIFF without an image; export it again")
            page: Any = file.pages[0]
            photometric = int(page.photometric) if page.photometric is not None else MIN_IS_BLACK
            _check_layout(page, photometric, name, len(data))
            pixels = _pixels(page, data, name)
    except ImageError:
        raise
    except Exception as error:  # struct.error, TiffFileError, ValueError, zlib.error, MemoryError, ... on damaged files
        raise ImageError(f"{name}: the TIFF is truncated or damaged ({type(error).__name__}); copy it again") from error
    finally:
        log.disabled = was_disabled
    return _decoded(pixels, photometric, name)


def _check_layout(page: Any, photometric: int, name: str, held: int) -> None:
    if photometric == PALETTE:
        raise ImageError(f"{name}: TIFF with a colour palette; save it as grey or RGB (8 bits per channel)")
    if photometric not in (MIN_IS_WHITE, MIN_IS_BLACK, RGB) and int(page.compression) != 7:
        raise ImageError(
            f"{name}: TIFF in an unsupported colour space (photometric {photometric}); save it as grey or RGB"
        )
    if page.dtype is None:
        raise ImageError(f"{name}: TIFF with {page.bitspersample} bits per pixel; save it with 8 or 16")
    if page.samplesperpixel not in (1, 3):
        raise ImageError(f"{name}: TIFF with {page.samplesperpixel} channels (transparency?); save it as grey or RGB")
    if page.imagedepth > 1:
        raise ImageError(f"{name}: TIFF holding a volume of {page.imagedepth} slices; save the wanted slice alone")
    each = page.samplesperpixel * page.dtype.itemsize
    check_size(page.imagelength, page.imagewidth, each, held, name, "TIFF")
    check_size(page.tilelength, page.tilewidth, each, held, name, "TIFF with tiles")


def _pixels(page: Any, data: bytes, name: str) -> npt.NDArray[Any]:
    """The page's pixels, [h, w] or [h, w, 3]."""
    lengths = sum(page.databytecounts)
    if lengths and max(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)) > len(data):
        raise ImageError(f"{name}: the TIFF is truncated (its pixels reach past the end of the file); copy it again")
    try:
        pixels = np.asarray(page.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        pixels = _with_pillow(page, data, name)
    if pixels.ndim == 3 and pixels.shape[0] == 3 and pixels.shape[-1] != 3:  # one plane per channel
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] != 3):
        raise ImageError(f"{name}: TIFF of shape {list(pixels.shape)}; expected [h, w] or [h, w, 3]")
    return pixels


def _with_pillow(page: Any, data: bytes, name: str) -> npt.NDArray[Any]:
    from PIL import Image

    compression = getattr(page.compression, "name", page.compression)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tags that are not read
            with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
                pixels = np.asarray(image.convert("RGB") if image.mode == "YCbCr" else image)
    except Exception as error:
        raise ImageError(
            f"{name}: TIFF with {compression} compression cannot be decoded here; save it without compression"
        ) from error
    if page.dtype.itemsize > 2 and page.dtype.kind != "f":
        raise ImageError(f"{name}: {page.dtype} TIFF with {compression} compression; save it without compression")
    return pixels.astype(page.dtype)


def _decoded(pixels: npt.NDArray[Any], photometric: int, name: str) -> Decoded:
    kind, bits = pixels.dtype.kind, 8 * pixels.dtype.itemsize
    if pixels.dtype == np.uint8:
        if photometric == MIN_IS_WHITE:
            return Decoded(255 - pixels, "uint8", "TIFF, 8-bit grey, inverted (white is zero)")
        return Decoded(pixels, "uint8", f"TIFF, 8-bit {'RGB' if pixels.ndim == 3 else 'grey'}")
    if pixels.ndim == 3:
        raise ImageError(f"{name}: {pixels.dtype} TIFF in colour; save it as 8-bit RGB, or as grey in HU")
    if photometric == MIN_IS_WHITE:
        raise ImageError(f"{name}: {pixels.dtype} TIFF in which zero is white; save it with zero as black")
    if pixels.dtype == np.uint16:
        return Decoded(pixels.astype(np.float32), "stored", "TIFF, unsigned 16-bit")
    if kind == "f":
        if not np.isfinite(pixels).all():
            raise ImageError(f"{name}: float TIFF with NaN or infinite pixels; replace them by a HU value, e.g. -1024")
        if pixels.size and 0 <= pixels.min() < pixels.max() <= 1:
            raise ImageError(
                f"{name}: float TIFF with all values in [0, 1], not HU; save display values as 8-bit instead"
            )
        if np.abs(pixels).max(initial=0) > np.finfo(np.float32).max:
            raise ImageError(f"{name}: float TIFF with values beyond float32; expected HU")
        return Decoded(pixels.astype(np.float32), "hu", f"TIFF, float{bits}, read as HU")
    if kind == "i" and bits in (16, 32):
        return Decoded(pixels.astype(np.float32), "hu", f"TIFF, signed {bits}-bit, read as HU")
    raise ImageError(f"{name}: TIFF with pixels of type {pixels.dtype}; expected 8-bit, 16-bit, signed 32-bit or float")
