"""Numbers among pictures: bars by name, and a small table under a row. Lengths are in points, y runs downwards."""

from __future__ import annotations

from typing import Any

from desali.figures.drawing import text
from desali.figures.drawing.canvas import Canvas
from desali.figures.drawing.panel import Bars, Matrix

SIZE, TINY = 6.3, 5.6
SOFT, BAR, MARKED = "#5a5a5a", "#c9c9c9", "#e69f00"
CELL, LONGEST, PAD = 12.0, 84.0, 8.0
ABOVE, BELOW = 3.0, 5.0


def matrix_height(matrix: Matrix | None) -> float:
    """What a table takes under its row."""
    return 0.0 if matrix is None else ABOVE + CELL * (len(matrix.rows) + 1) + BELOW


def draw_matrix(canvas: Canvas, matrix: Matrix, left: float, top: float, right: float) -> None:
    """Draw a table: darker cells are more alike, and a note to its right."""
    names = [_short(name, LONGEST) for name in matrix.rows]
    heads = [_short(name, LONGEST) for name in matrix.columns]
    first = max(text.width(name, SIZE) for name in [matrix.corner, *names]) + PAD
    widths = [max(text.width(name, SIZE), 24.0) + PAD for name in heads]
    y = top + ABOVE
    _write(canvas, left, y, matrix.corner, color=SOFT, style="italic")
    x = left + first
    for name, width in zip(heads, widths, strict=True):
        _write(canvas, x + width / 2, y, name, ha="center", color=SOFT)
        x += width
    for row, name in enumerate(names):
        y += CELL
        _write(canvas, left, y, name)
        x = left + first
        for column, width in enumerate(widths):
            value = matrix.values[row][column]
            words = matrix.words.get((row, column), "" if value is None else f"{value:.2f}")
            if value is not None:
                shade = 1 - 0.45 * max(0.0, min(1.0, value))
                level = round(shade * 255)
                canvas.fill(x + 1, y - 1.5, width - 2, CELL - 1.5, f"#{level:02x}{level:02x}ff")
            weight = "bold" if (row, column) in matrix.strong else "normal"
            _write(canvas, x + width / 2, y, words.replace("-", "\N{MINUS SIGN}"), ha="center", weight=weight)
            x += width
    room = right - x - 12
    if matrix.note and room > 80:
        lines = text.wrap(matrix.note, room, SIZE, max_lines=len(matrix.rows) + 1)
        for k, line in enumerate(lines):
            _write(canvas, x + 12, top + ABOVE + k * SIZE * text.LEADING, line, color=SOFT)


def draw_bars(canvas: Canvas, bars: Bars, left: float, top: float, side: float) -> None:
    """Draw bars into a square, each with its name and number above it."""
    low, high = min(0.0, *bars.values), max(0.0, *bars.values)
    span = (high - low) or 1.0
    each = side / max(4, len(bars.values))
    zero = left + side * -low / span
    for k, (name, value) in enumerate(zip(bars.names, bars.values, strict=True)):
        y = top + k * each
        number = f"{value:.2g}" if abs(value) < 0.095 else f"{value:.1f}"
        number = number.replace("-", "\N{MINUS SIGN}")
        weight = "bold" if k == bars.marked else "normal"
        label = _short(name, side - text.width(number, TINY, weight) - 2, TINY, weight)
        _write(canvas, left, y, label, TINY, weight=weight)
        _write(canvas, left + side, y, number, TINY, ha="right", weight=weight)
        start, width = sorted((zero, zero + side * value / span))[0], side * abs(value) / span
        thick = max(1.0, min(3.0, each - TINY * 1.3))
        colour = MARKED if k == bars.marked else BAR
        canvas.fill(start, y + TINY * 1.25, width, thick, colour)
        canvas.line((zero, y + TINY * 1.2), (zero, y + TINY * 1.3 + thick), SOFT, 0.4)


def _write(canvas: Canvas, x: float, y: float, words: str, size: float = SIZE, **style: Any) -> None:
    canvas.write(x, y, text.drawable(words), size, **style)


def _short(name: str, room: float, size: float = SIZE, weight: str = "normal") -> str:
    lines = text.wrap(name, room, size, weight=weight, max_lines=1)
    return lines[0] if lines else ""
