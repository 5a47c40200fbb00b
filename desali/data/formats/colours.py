"""What colours mean: transparency is laid on white, and an image whose channels are equal is grey."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
JPEG_ROUNDING = 4
"""The channels of a grey image differ by so many levels at most if each of JPEG's two colour differences is off by one:
R and B by 1.402 + 1.772, rounded up (ITU-T T.871, section 7)."""
ON_WHITE = "Transparent pixels were laid on white."
NO_ALPHA = "A transparency of 0 everywhere was left out."


def grey_of(colour: npt.NDArray[Any], *, lossy: bool = False) -> npt.NDArray[Any] | None:
    """The grey image [h, w] that is stored as [h, w, 3]; None if it is in colour.

    Args:
        colour: bytes, or floating-point values.
        lossy: bytes that went through JPEG: channels may differ by its rounding, and their luma is taken.
    """
    red, green, blue = (colour[..., k] for k in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.ascontiguousarray(red)
    if not lossy or colour.dtype != np.uint8:
        return None
    span = colour.max(-1).astype(np.int16) - colour.min(-1)
    if int(span.max()) > JPEG_ROUNDING:
        return None
    grey: Bytes = np.rint(0.299 * red + 0.587 * green + 0.114 * blue).astype(np.uint8)
    return grey


def on_white(values: Bytes, alpha: Bytes, *, multiplied: bool = False) -> tuple[Bytes, str]:
    """Pixels [h, w] or [h, w, 3] with their transparency [h, w] laid on white, and what to say of it.

    An image that is opaque everywhere stays as it is and nothing is said; one that is transparent everywhere was
    written by a program that does not use the channel, and it is left out.

    Args:
        multiplied: whether the pixels are multiplied by alpha already.
    """
    if int(alpha.min(initial=255)) == 255:
        return values, ""
    if int(alpha.max(initial=0)) == 0:
        return values, NO_ALPHA
    share = alpha.astype(np.float64) / 255
    share = share[..., None] if values.ndim == 3 else share
    own = values if multiplied else values * share
    mixed: Bytes = np.rint(np.clip(own + 255 * (1 - share), 0, 255)).astype(np.uint8)
    return mixed, ON_WHITE


def upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Pixels [h, w, ...] turned as their orientation says, 1 (as they are) to 8 (EXIF 2.32, section 4.6.4)."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
