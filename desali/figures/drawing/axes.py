"""A page of vectors and pictures: matplotlib's axes over the whole figure, for PDF, SVG and pages with plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from desali.figures.drawing import text
from desali.figures.drawing.canvas import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class AxesCanvas:
    """`Canvas` by matplotlib.

    Args:
        axes: over the whole figure, in points from its upper left corner.
    """

    def __init__(self, axes: Axes) -> None:
        self._axes = axes

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
        self._axes.text(
            x, y, words, fontsize=size, family=text.family(), va="top", ha=ha, color=color, weight=weight,
            style=style, parse_math=False, zorder=3,
        )  # fmt: skip

    def line(self, start: tuple[float, float], end: tuple[float, float], color: str, width: float) -> None:
        ends = list(zip(start, end, strict=True))
        self._axes.plot(*ends, color=color, linewidth=width, solid_capstyle="butt")

    def fill(self, x: float, y: float, width: float, height: float, color: str) -> None:
        from matplotlib.patches import Rectangle

        self._axes.add_patch(Rectangle((x, y), width, height, color=color, linewidth=0))

    def frame(self, x: float, y: float, width: float, height: float, color: str, line: float) -> None:
        from matplotlib.patches import Rectangle

        self._axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=color, linewidth=line))

    def picture(self, values: Any, cmap: str, x: float, y: float, width: float, height: float) -> None:
        limits = self._axes.get_xlim(), self._axes.get_ylim()
        rows, columns = values.shape[:2]
        fine = columns > width * self._axes.figure.dpi / 72 or rows > height * self._axes.figure.dpi / 72
        self._axes.imshow(
            np.asarray(values, np.float64), cmap=cmap, vmin=0, vmax=1, extent=(x, x + width, y + height, y),
            interpolation="hanning" if fine and rows > 1 else "nearest", aspect="auto",
        )  # fmt: skip
        self._axes.set(xlim=limits[0], ylim=limits[1])  # imshow moves them
