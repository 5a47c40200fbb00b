"""What the numbers of an image without a scale of its own mean, by their type; the same for TIFF, arrays and NIfTI."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.formats.decoded import Decoded
from desali.errors import ImageError, SeveralPagesError


def by_type(pixels: npt.NDArray[Any], what: str, name: str) -> Decoded:
    """Bytes are display values, signed integers and floats Hounsfield units, unsigned 16-bit numbers need an offset.

    Args:
        pixels: [h, w], or bytes [h, w, 3].
        what, name: format and file, for messages.

    Raises:
        ImageError: another type, NaN, values in [0, 1], or colour that is not in bytes.
    """
    kind, bits = pixels.dtype.kind, 8 * pixels.dtype.itemsize
    if kind == "b":
        return Decoded(np.where(pixels, 255, 0).astype(np.uint8), "uint8", f"{what}, 1-bit grey")
    if pixels.dtype == np.uint8:
        return Decoded(pixels, "uint8", f"{what}, 8-bit {'RGB' if pixels.ndim == 3 else 'grey'}")
    if pixels.ndim == 3:
        raise ImageError(f"{name}: {pixels.dtype} {what} in colour; save it as 8-bit RGB, or as grey in HU")
    if pixels.dtype == np.uint16:
        return Decoded(pixels.astype(np.float32), "stored", f"{what}, unsigned 16-bit")
    if kind == "f":
        if not np.isfinite(pixels).all():
            raise ImageError(
                f"{name}: float {what} with NaN or infinite pixels; replace them by a HU value, e.g. -1024"
            )
        if pixels.size and 0 <= pixels.min() < pixels.max() <= 1:
            raise ImageError(
                f"{name}: float {what} with all values in [0, 1], not HU; save display values as 8-bit instead"
            )
        if np.abs(pixels).max(initial=0) > np.finfo(np.float32).max:
            raise ImageError(f"{name}: float {what} with values beyond float32; expected HU")
        return Decoded(pixels.astype(np.float32), "hu", f"{what}, float{bits}, read as HU")
    if kind == "i" and bits in (16, 32):
        return Decoded(pixels.astype(np.float32), "hu", f"{what}, signed {bits}-bit, read as HU")
    raise ImageError(
        f"{name}: {what} with pixels of type {pixels.dtype}; expected 8-bit, 16-bit, signed 32-bit or float"
    )


def chosen(page: int | None, pages: int, name: str, what: str, each: str = "page") -> int:
    """The index of the page that was asked for, from 0.

    Args:
        page: from 1; None where none was named.
        what, each: the format, and what it calls its pages.

    Raises:
        ImageError: there are several and none was named, or there is none of that number.
    """
    if page is None:
        if pages > 1:
            raise SeveralPagesError(
                f"{name}: {what} with {pages} {each}s; choose one with page=1 to page={pages}, or in a table by its "
                "column 'page'",
                pages,
            )
        return 0
    if isinstance(page, bool) or not isinstance(page, int) or not 1 <= page <= pages:
        held = f"one {each}" if pages == 1 else f"{each}s 1 to {pages}"
        raise ImageError(f"{name}: page={page}: the {what} holds {held}")
    return page - 1
