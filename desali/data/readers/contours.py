"""Square windows inside a contour."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from desali.errors import DataError
from desali.limits import IMAGE_PIXELS


def windows(
    points: Sequence[tuple[float, float]],
    side: int,
    stride: int,
    inside: float,
    shape: tuple[int, int] | None = None,
) -> list[tuple[int, int]]:
    """Upper left corners (y, x) of the windows of a closed contour.

    Windows stand on a grid of `stride` pixels that begins at the first pixel centre within the contour's bounding box.
    One is taken if it lies in the image and at least the share `inside` of its pixel centres lies within the contour;
    the centre of pixel (y, x) has the coordinates x, y.

    Args:
        points: (x, y) in pixels.
        side: of a window, in pixels.
        shape: (height, width) of the image; None if it is not known, then only its upper and left edges count.
    """
    if len(points) < 3:
        return []
    from matplotlib.path import Path as Outline

    outline = np.asarray(points, float)
    left, top = (max(0, math.ceil(value)) for value in outline.min(axis=0))
    right, bottom = (math.floor(value) + side for value in outline.max(axis=0))  # a window may reach over the edge
    if shape is not None:
        left, top = min(left, shape[1]), min(top, shape[0])
        bottom, right = min(bottom, shape[0]), min(right, shape[1])
    height, width = bottom - top, right - left
    if min(height, width) < side:
        return []
    too_many = IMAGE_PIXELS.exceeded(height * width)
    if too_many:
        raise DataError(f"a contour over {too_many}")
    y, x = np.mgrid[top:bottom, left:right]
    mask = Outline(outline).contains_points(np.column_stack([x.ravel(), y.ravel()])).reshape(height, width)
    return [(top + row, left + column) for row, column in inside_of(mask, side, stride, inside)]


def inside_of(mask: npt.NDArray[np.bool_], side: int, stride: int, inside: float) -> list[tuple[int, int]]:
    """Upper left corners of the windows on a grid over a mask [h, w] of which at least the share `inside` is in it."""
    height, width = mask.shape
    summed = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    corners = []
    for row in range(0, height - side + 1, stride):
        for column in range(0, width - side + 1, stride):
            low, high = summed[row], summed[row + side]
            count = high[column + side] - high[column] - low[column + side] + low[column]
            if count >= inside * side * side:
                corners.append((row, column))
    return corners
