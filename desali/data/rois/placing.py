"""Where squares of one side lie: on boxes, in masks, at borders, and which of two that overlap stays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

RULES = (
    "A box smaller than an ROI gets one ROI about its centre, with what surrounds it.",
    "A larger box is filled with as many ROIs as lie in it, a step apart, about its centre; along a shorter side one.",
    "What of a box lies outside the image is cut off; an ROI over the image's border is moved inside.",
    "An image smaller than an ROI gives none, and a box whose centre lies outside the image gives none.",
    "Of two ROIs of a slice that share more than the largest overlap, the later is left out if the labels are "
    "equal, and both if they differ.",
    "Each slice is treated by itself: a finding on five slices gives ROIs on five, of one patient.",
)
"""What `desali data rois` prints and its record keeps."""


@dataclass(frozen=True)
class Square:
    """A square of pixels [y, y + side) x [x, x + side)."""

    y: int
    x: int
    side: int


def on_box(box: tuple[float, float, float, float], side: int, step: int, shape: tuple[int, int]) -> list[Square] | None:
    """The squares of a box (top, left, height, width); None if the image is too small or the box's centre outside."""
    top, left, height, width = box
    if min(shape) < side:
        return None
    if not (0 <= top + height / 2 <= shape[0] and 0 <= left + width / 2 <= shape[1]):
        return None
    down, across = (
        _cut(start, extent, most) for start, extent, most in ((top, height, shape[0]), (left, width, shape[1]))
    )
    rows, columns = _places(*down, side, step), _places(*across, side, step)
    inside = [(min(max(0, y), shape[0] - side), min(max(0, x), shape[1] - side)) for y in rows for x in columns]
    return [Square(y, x, side) for y, x in dict.fromkeys(inside)]


def _cut(start: float, extent: float, most: int) -> tuple[float, float]:
    """Start and extent of what lies inside the image."""
    low, high = max(0.0, start), min(float(most), start + extent)
    return low, max(0.0, high - low)


def _places(start: float, extent: float, side: int, step: int) -> list[int]:
    count = 1 + max(0, math.floor((extent - side) / step + 1e-9))
    first = start + (extent - side - (count - 1) * step) / 2
    return [math.floor(first + k * step + 0.5) for k in range(count)]


def overlap(one: Square, other: Square) -> float:
    """Share of the smaller square that lies in the other."""
    down = min(one.y + one.side, other.y + other.side) - max(one.y, other.y)
    across = min(one.x + one.side, other.x + other.side) - max(one.x, other.x)
    return max(0, down) * max(0, across) / min(one.side, other.side) ** 2


def without_overlap(found: Sequence[tuple[Square, str, int]], most: float) -> tuple[list[int], int, int]:
    """Which squares of one slice stay; how many go as doubles, and between two labels.

    Args:
        found: squares with their label and the number of the annotation; those of one annotation may overlap.
    """
    between = {
        index
        for index, (one, label, _) in enumerate(found)
        for other, another, _ in found
        if another != label and overlap(one, other) > most
    }
    kept: list[int] = []
    doubles = 0
    for index, (one, _, source) in enumerate(found):
        if index in between:
            continue
        earlier = [found[number] for number in kept]
        if any(source != of and overlap(one, other) > most for other, _, of in earlier):
            doubles += 1
        else:
            kept.append(index)
    return kept, doubles, len(between)
