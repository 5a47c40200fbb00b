"""Cut a map to a receptive field."""

from __future__ import annotations

from typing import Any

import numpy as np

from desali.errors import DataError
from desali.figures.drawing.display import FloatArray, finite_array


def crop_map(map: Any, window: tuple[int, int, int, int]) -> FloatArray:
    """The part of a map [..., H, W] inside `window`, zero where the window reaches outside.

    Args:
        window: (top, left, height, width) in pixels, as `Recording.receptive_field` gives it.

    Returns:
        float64 [..., height, width].

    Raises:
        DataError: a map with fewer than two axes, NaN or infinity, or an empty window.
    """
    values = finite_array(map)
    top, left, height, width = window
    if values.ndim < 2 or height < 1 or width < 1:
        raise DataError(f"cannot cut a window of {height} x {width} from a map of shape {list(values.shape)}")
    rows, columns = values.shape[-2:]
    out = np.zeros((*values.shape[:-2], height, width))
    y, x = slice(max(top, 0), max(0, min(top + height, rows))), slice(max(left, 0), max(0, min(left + width, columns)))
    inside = values[..., y, x]
    if inside.size:
        out[..., y.start - top : y.stop - top, x.start - left : x.stop - left] = inside
    return out
