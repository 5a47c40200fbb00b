"""What a grid is drawn on: the same calls make vectors (`axes`) or pixels (`pixels`)."""

from __future__ import annotations

from typing import Any, Protocol

INK = "#1a1a1a"


class Canvas(Protocol):
    """A page. All lengths are in points (1/72 inch), y runs downwards; colours are "#rrggbb"."""

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
        """One line of drawable text from `y` downwards; x is its left end, its middle or its right end."""

    def line(self, start: tuple[float, float], end: tuple[float, float], color: str, width: float) -> None:
        """A horizontal or vertical line."""

    def fill(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """A rectangle without an outline."""

    def frame(self, x: float, y: float, width: float, height: float, color: str, line: float) -> None:
        """The outline of a rectangle."""

    def picture(self, values: Any, cmap: str, x: float, y: float, width: float, height: float) -> None:
        """An image [h, w] in a colour map, or [h, w, 3], in [0, 1]: its pixels as squares, or averages where the page
        has fewer."""
