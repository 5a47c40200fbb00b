"""A page of pixels: what PNG figures are drawn on, without a plotting library."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.figures.drawing import faces
from desali.figures.drawing.canvas import INK
from desali.figures.drawing.colours import coloured
from desali.figures.drawing.png import write_png
from desali.figures.drawing.text import SAFETY


class PixelCanvas:
    """`Canvas` by Pillow: words are laid out once and then copied, pictures are pasted as they are.

    Args:
        width, height: of the page in points.
        dpi: pixels per inch.
    """

    def __init__(self, width: float, height: float, dpi: float) -> None:
        self._scale = dpi / 72
        self._dpi = dpi
        self._page = np.full((max(1, int(height * self._scale)), max(1, int(width * self._scale)), 3), 255, np.uint8)

    def write(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        *,
        ha: str = "left",
        color: str = INK,
        weight: str = "normal",
        style: str = "normal",
    ) -> None:
        pixels = size * self._scale
        parts = words.split(" ")
        found = [(word, *faces.ink(word, pixels, weight, style)) for word in parts if word]
        rises = [-top for _, _, _, top in found]
        base = round(y * self._scale) + max([faces.above(pixels, weight, style), *rises])
        wide = [faces.advance(word, pixels, weight, style) for word in parts]
        gap = faces.advance(" ", pixels, weight, style)
        if len(parts) > 1:  # no wider than it was measured to be
            most = faces.width(words, weight, style) * pixels * SAFETY
            gap = max(gap / 2, min(gap, (most - sum(wide)) / (len(parts) - 1)))
        whole = sum(wide) + gap * (len(parts) - 1)
        at = x * self._scale - {"left": 0.0, "center": whole / 2, "right": whole}[ha]
        for word, width in zip(parts, wide, strict=True):
            if word:
                _, ink, left, top = found.pop(0)
                self._blend(round(at) + left, base + top, ink, color)
            at += width + gap

    def line(self, start: tuple[float, float], end: tuple[float, float], color: str, width: float) -> None:
        (x0, x1), (y0, y1) = (sorted(ends) for ends in zip(start, end, strict=True))
        scale, thick = self._scale, width * self._scale
        if y0 == y1:
            for row, share in _rows(y0 * scale, thick):
                self._cover(round(x0 * scale), row, round(x1 * scale), row + 1, color, share)
        else:
            for column, share in _rows(x0 * scale, thick):
                self._cover(column, round(y0 * scale), column + 1, round(y1 * scale), color, share)

    def fill(self, x: float, y: float, width: float, height: float, color: str) -> None:
        left, top, right, bottom = (round(edge * self._scale) for edge in (x, y, x + width, y + height))
        self._cover(left, top, right, bottom, color, 1.0)

    def frame(self, x: float, y: float, width: float, height: float, color: str, line: float) -> None:
        scale, thick = self._scale, line * self._scale
        columns = [_rows(edge * scale, thick) for edge in (x, x + width)]
        rows = [_rows(edge * scale, thick) for edge in (y, y + height)]
        left, right = columns[0][0][0], columns[1][-1][0] + 1
        for row, share in [*rows[0], *rows[1]]:
            self._cover(left, row, right, row + 1, color, share)
        top, bottom = rows[0][-1][0] + 1, rows[1][0][0]
        for column, share in [*columns[0], *columns[1]]:
            self._cover(column, top, column + 1, bottom, color, share)

    def picture(self, values: Any, cmap: str, x: float, y: float, width: float, height: float) -> None:
        from PIL import Image

        left, top, right, bottom = (round(edge * self._scale) for edge in (x, y, x + width, y + height))
        size = max(1, right - left), max(1, bottom - top)
        image = Image.fromarray(coloured(np.asarray(values, np.float64), cmap))
        fine = image.height > 1 and (image.width > size[0] or image.height > size[1])
        if image.size != size:
            image = image.resize(size, Image.Resampling.HAMMING if fine else Image.Resampling.NEAREST)
        area = self._page[top : top + size[1], left : left + size[0]]
        area[:] = np.asarray(image)[: area.shape[0], : area.shape[1]]

    def save(self, path: Path) -> None:
        """Write the page as PNG."""
        write_png(path, self._page, self._dpi)

    def _cover(self, left: int, top: int, right: int, bottom: int, color: str, share: float) -> None:
        """Colour a rectangle of pixels, of each only a share."""
        area = self._page[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        area[:] = _colour(color) if share >= 1 else np.rint(area + (_colour(color) - area) * np.float32(share))

    def _blend(self, left: int, top: int, ink: faces.Share, color: str) -> None:
        """Colour pixels by the share of each that is covered; what lies outside the page is lost."""
        ink = ink[max(0, -top) :, max(0, -left) :]
        area = self._page[max(0, top) : max(0, top) + ink.shape[0], max(0, left) : max(0, left) + ink.shape[1]]
        ink = ink[: area.shape[0], : area.shape[1]]
        area[:] = area + (_colour(color) - area) * ink + np.float32(0.5)


@functools.cache
def _colour(color: str) -> npt.NDArray[np.float32]:
    return np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)], np.float32)


def _rows(at: float, thick: float) -> list[tuple[int, float]]:
    """The rows of pixels that a line covers, each with its share: lines are put so that their edges are sharp."""
    centre = math.floor(at) + 0.5 if math.ceil(thick) % 2 else float(round(at))
    low, high = centre - thick / 2, centre + thick / 2
    rows = range(math.floor(low), math.ceil(high))
    return [(row, min(high, row + 1) - max(low, row)) for row in rows]
