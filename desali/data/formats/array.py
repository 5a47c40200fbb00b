"""One NumPy array in a .npy file: an image, or a stack of them."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.formats.colours import on_white
from desali.data.formats.decoded import Decoded
from desali.data.formats.numbers import by_type, chosen
from desali.errors import ImageError

WHAT = ".npy array"


def read_array(data: bytes, name: str, page: int | None = None) -> Decoded:
    """Decode a .npy file: [h, w] or [h, w, 1], bytes [h, w, 3] or [h, w, 4] (transparency last), or one of a stack
    [n, h, w] or bytes [n, h, w, 3].

    Bytes and truth values are display values, as are floats in [0, 1]; signed integers are Hounsfield units; unsigned
    16-bit numbers are "stored". Other floats have no unit: they may be HU or normalised values.

    Args:
        page: of a stack, from 1.

    Raises:
        ImageError: damaged, pickled objects, another shape or type, NaN, or floats outside [0, 1].
    """
    try:
        _check_length(data)
        whole = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # ValueError, EOFError, SyntaxError, TypeError, MemoryError, ... on damaged files
        raise ImageError(
            f"{name}: the {WHAT} is truncated, damaged or holds objects ({type(error).__name__}); save it again"
        ) from error
    pixels, note, said = _one(np.asarray(whole), name, page)
    if pixels.dtype.kind == "f":
        if pixels.size and np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1:
            decoded = Decoded(pixels.astype(np.float32), "unit", f"{WHAT}, {pixels.dtype} in [0, 1]")
            return decoded.noted(note) if note else decoded
        raise ImageError(
            f"{name}: {WHAT} of {pixels.dtype} from {np.nanmin(pixels):g} to {np.nanmax(pixels):g} names no unit; save "
            "Hounsfield units as int16, display values as uint8 or in [0, 1]"
            if pixels.size and np.isfinite(pixels).any()
            else f"{name}: {WHAT} of {pixels.dtype} without a finite value; save it again"
        )
    decoded = replace(by_type(pixels, WHAT, name), said=said)
    return decoded.noted(note) if note else decoded


def _check_length(data: bytes) -> None:
    """Raise a ValueError if the header names more pixels than follow it, before room is made for them."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if math.prod(shape) * dtype.itemsize > len(data) - stream.tell():
        raise ValueError("truncated")


def _one(whole: npt.NDArray[Any], name: str, page: int | None) -> tuple[npt.NDArray[Any], str, str]:
    """The image that is meant, [h, w] or [h, w, 3], where it stood, and what must be said of its transparency."""
    shape = " x ".join(map(str, whole.shape)) or "one number"
    said = ""
    if whole.ndim == 3 and whole.shape[-1] == 1:
        whole = whole[..., 0]
    elif whole.ndim == 3 and whole.shape[-1] == 4 and whole.dtype == np.uint8:
        whole, said = on_white(whole[..., :3], whole[..., 3])
    colour = whole.ndim in (3, 4) and whole.shape[-1] == 3 and whole.dtype.kind in "fu"
    if whole.ndim - colour not in (2, 3):
        raise ImageError(f"{name}: {WHAT} of {shape}; expected one image H x W or H x W x 3, or a stack of them")
    if 0 in whole.shape:
        raise ImageError(f"{name}: {WHAT} of {shape} holds no pixels; save it again")
    if whole.ndim - colour == 2:
        chosen(page, 1, name, WHAT, "image")
        return whole, "", said
    index = chosen(page, len(whole), name, f"{WHAT} of {shape}", "image")
    return whole[index], f"image {index + 1} of {len(whole)}", ""
