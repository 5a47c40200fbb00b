"""Square windows inside a contour."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def windows(points: Sequence[tuple[float, float]], side: int, stride: int, inside: float) -> list[tuple[int, int]]:
    """Upper left corners (y, x) of the windows of a closed contour.

    Windows stand on a grid of `stride` pixels that begins at the upper left corner of the contour's bounding box. One
    is taken if at least the share `inside` of its pixel centres lies within the contour; the centre of pixel (y, x) has
    the coordinates x, y. A window that would begin left of or above the image is not taken.

    Args:
        points: (x, y) in pixels.
        side: of a window, in pixels.
    """
    if len(points) < 3:
        return []
    from matplotlib.path import Path as Outline

    outline = np.asarray(points, float)
    left, top = (math.floor(value) for value in outline.min(axis=0))
    right, bottom = (math.ceil(value) for value in outline.max(axis=0))
    width, height = right - left + side, bottom - top + side  # room for a window that reaches over the edge
    y, x = np.mgrid[top : top + height, left : left + width]
    mask = Outline(outline).contains_points(np.column_stack([x.ravel(), y.ravel()])).reshape(height, width)
    summed = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    corners = []
    for row in range(0, height - side + 1, stride):
        for column in range(0, width - side + 1, stride):
            low, high = summed[row], summed[row + side]
            count = high[column + side] - high[column] - low[column + side] + low[column]
            if count >= inside * side * side and top + row >= 0 and left + column >= 0:
                corners.append((top + row, left + column))
    return corners
