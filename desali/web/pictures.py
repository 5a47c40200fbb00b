"""Arrays as pictures that stand inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

WIDEST = 1800
"""Pixels of a picture from disk; a wider one is made smaller."""
GAP = 1
"""White pixels on either side of a picture in a strip."""


def as_bytes(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Pixels in [0, 1] as 0 to 255; what are bytes already as they are."""
    return pixels if pixels.dtype == np.uint8 else np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def as_image(pixels: npt.NDArray[Any]) -> Image.Image:
    """Pixels [h, w] or [h, w, 3], in [0, 1] or bytes, as an image."""
    from PIL import Image

    return Image.fromarray(as_bytes(pixels))


def data_uri(pixels: npt.NDArray[Any], *, lossy: bool = False) -> str:
    """Pixels [h, w] or [h, w, 3], in [0, 1] or bytes, as a picture; PNG where Pillow has no WebP.

    Args:
        lossy: a quarter of the bytes, for pictures of which there are hundreds.
    """
    from PIL import features

    image = as_image(pixels)
    buffer = io.BytesIO()
    if features.check("webp"):
        if lossy:
            image.save(buffer, "WEBP", quality=82, method=2)
        else:
            image.save(buffer, "WEBP", lossless=True, quality=40, method=2)
        kind = "webp"
    else:
        image.save(buffer, "PNG", optimize=True)
        kind = "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def file_uri(path: Path) -> tuple[str, tuple[int, int]]:
    """A picture from disk as it stands in a page, and its width and height there.

    Raises:
        OSError: it cannot be read. PIL.Image.DecompressionBombError: it is absurdly large.
    """
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        shown = image.convert("RGB")
    if shown.width > WIDEST:
        shown = shown.resize((WIDEST, round(shown.height * WIDEST / shown.width)), Image.Resampling.LANCZOS)
    return data_uri(np.asarray(shown)), shown.size


def within(pixels: npt.NDArray[Any], side: int) -> npt.NDArray[np.uint8]:
    """Pixels [h, w] or [h, w, 3], in [0, 1] or bytes, made smaller where they are larger than `side`."""
    from PIL import Image

    image = as_image(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def strip(cells: Sequence[npt.NDArray[Any]], side: int) -> npt.NDArray[np.uint8]:
    """Pictures [h, w] or [h, w, 3], in [0, 1] or bytes, as squares of `side` pixels in one row, in colour."""
    from PIL import Image

    squares = []
    for cell in cells:
        values = as_bytes(cell)
        values = np.stack([values] * 3, -1) if values.ndim == 2 else values
        image = Image.fromarray(values)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        if image.width < side and image.height < side:
            grow = side / max(image.size)
            image = image.resize((round(image.width * grow), round(image.height * grow)), Image.Resampling.BICUBIC)
        square = np.full((side, side + 2 * GAP, 3), 255, np.uint8)
        top, left = (side - image.height) // 2, GAP + (side - image.width) // 2
        square[top : top + image.height, left : left + image.width] = np.asarray(image)
        squares.append(square)
    return np.concatenate(squares, 1)
