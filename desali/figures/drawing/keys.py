"""What the colours of a figure's panels mean, in the lines under it. Lengths are in points."""

from __future__ import annotations

from desali.figures.drawing import text
from desali.figures.drawing.panel import Grid

KEY_LINE, KEY_GAP, KEY_BAR = 16.0, 24.0, 72.0
KEYS = {
    "activation": ("activation:  0", "panel's maximum"),
    "reconstruction": ("reconstruction:  −s", "+s; 0 is mid-grey; ±s below each"),
    "contrast": ("class contrast:  against", "for the class, 0 is white"),
}
"""Kind of panel -> the words before and after its colour bar."""


def key_lines(grid: Grid, width: float, margin: float, size: float) -> list[list[str]]:
    """The kinds of panels whose colours are explained, in as many lines as they need."""
    lines: list[list[str]] = []
    x = width
    for kind in (kind for kind in KEYS if kind in grid.kinds()):
        long = sum(text.width(words, size) for words in KEYS[kind]) + KEY_BAR + 8.0
        if x + long > width - margin:
            lines.append([])
            x = margin
        lines[-1].append(kind)
        x += long + KEY_GAP
    return lines
