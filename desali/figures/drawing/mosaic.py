"""Several small pictures of one size as one: rows and columns with white lines between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from desali.figures.drawing.display import FloatArray

GREY, WHITE = 0.5, 1.0
CLEAR = 96
"""Pixels that a tile's longer side has at least: smaller ones are enlarged by a whole number, so pixels stay square."""
LINE = 24
"""A line between tiles is one in so many parts of a tile."""


def cut(
    picture: npt.NDArray[np.float64],
    window: tuple[int, int, int, int],
    size: tuple[int, int],
    outside: float = GREY,
) -> FloatArray:
    """A window of a picture [h, w] or [h, w, 3] in the middle of a tile; `outside` where it reaches outside.

    Args:
        window: (top, left, height, width), at most as large as the tile.
        size: height and width of the tile.
    """
    top, left = window[0] - (size[0] - window[2]) // 2, window[1] - (size[1] - window[3]) // 2
    tile = np.full((*size, *picture.shape[2:]), outside)
    height, width = picture.shape[:2]
    y, x = slice(max(top, 0), min(top + size[0], height)), slice(max(left, 0), min(left + size[1], width))
    if y.start < y.stop and x.start < x.stop:
        tile[y.start - top : y.stop - top, x.start - left : x.stop - left] = picture[y, x]
    return tile


def mosaic(tiles: Sequence[FloatArray], across: int, clear: int = CLEAR) -> FloatArray:
    """Tiles of one size [h, w] or [h, w, 3] in [0, 1], row by row; places that stay empty are white.

    Args:
        clear: pixels that a tile's longer side has at least.
    """
    height, width = tiles[0].shape[:2]
    times = max(1, -(-clear // max(height, width)))
    line = max(1, times * max(height, width) // LINE)
    step = times * height + line, times * width + line
    down = across
    whole = np.full((down * step[0] - line, across * step[1] - line, *tiles[0].shape[2:]), WHITE)
    for k, tile in enumerate(tiles):
        y, x = (k // across) * step[0], (k % across) * step[1]
        grown = tile.repeat(times, 0).repeat(times, 1)
        whole[y : y + grown.shape[0], x : x + grown.shape[1]] = grown
    return whole
