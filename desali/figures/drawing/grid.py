"""Draw a grid and write it as PNG, PDF or SVG. All lengths are in points (1/72 inch), y runs downwards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.errors import OutputError
from desali.figures.drawing import text
from desali.figures.drawing.canvas import Canvas
from desali.figures.drawing.keys import KEY_BAR, KEY_GAP, KEY_LINE, KEYS, key_lines
from desali.figures.drawing.panel import COLORMAPS, Bars, Column, Grid, Panel, Words
from desali.figures.drawing.pixels import PixelCanvas
from desali.figures.drawing.tables import draw_bars, draw_matrix, matrix_height
from desali.output.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Column", "Grid", "Layout", "Panel", "arrange", "draw", "save"]

SUFFIXES = (".png", ".pdf", ".svg")
PAGE = 864.0  # 12 inches: 1800 pixels at the default resolution
MARGIN, GAP, GROUP_GAP, ROW_GAP = 16.0, 4.0, 14.0, 9.0
PANEL_MIN, PANEL_MAX = 62.0, 160.0
LABEL_MAX, PAGE_MIN = 84.0, 300.0
PLOT_HEIGHT, PLOT_ABOVE, PLOT_BELOW, PLOT_BESIDE = 110.0, 66.0, 34.0, 24.0  # axes, and room for legends and ticks
TITLE, LEAD, HEADING, LABEL, NOTE, SMALL = 11.0, 8.5, 8.5, 7.5, 7.0, 6.3
SOFT, RULE, MARK = "#5a5a5a", "#9a9a9a", "#e69f00"


@dataclass(frozen=True)
class Layout:
    """Where everything stands."""

    width: float
    height: float
    side: float  # of the square that each panel fills or fits into
    lead_top: float
    label_width: float
    lefts: list[float]  # per column
    tops: list[float]  # per row
    tables: list[float]  # per row, where what stands under its captions begins
    heading_top: float
    column_top: float
    footer_top: float


def save(grid: Grid, path: str | os.PathLike[str], dpi: int = 150) -> Path:
    """Write the figure; PNG, PDF or SVG by the suffix. The same grid gives the same bytes.

    Args:
        dpi: pixels per inch; a full page is 12 inches wide. In PDF and SVG it only rounds the panels' places.

    Raises:
        OutputError: another suffix, a bad resolution, or a path that cannot be written.
    """
    target = Path(path)
    suffix = check(target, dpi)
    canvas = pixels(grid, dpi) if suffix == ".png" else None
    if canvas is not None:
        with atomic_path(target) as temporary:
            canvas.save(temporary)
        return target
    with atomic_path(target) as temporary:
        render(grid, temporary, suffix[1:], dpi)
    return target


def render(grid: Grid, file: Any, kind: str, dpi: int = 150, stamp: Mapping[str, str] | None = None) -> None:
    """Write the figure by matplotlib, without a date or a version.

    Args:
        file: a path, or a file that is open for bytes.
        kind: "png", "pdf" or "svg".
        stamp: what the file says of itself.
    """
    import matplotlib

    stamps: dict[str, Any] = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    figure = draw(grid, dpi)
    with matplotlib.rc_context({"svg.hashsalt": "desali", "savefig.bbox": None}):
        figure.savefig(file, dpi=dpi, format=kind, metadata={**stamps[kind], **(stamp or {})}, facecolor="white")


def check(target: Path, dpi: float) -> str:
    """The suffix of a figure that can be written so.

    Raises:
        OutputError: another suffix than PNG's, PDF's or SVG's, or a bad resolution.
    """
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{target}: unknown kind of figure {suffix or 'without suffix'!r}; use {', '.join(SUFFIXES)}")
    if not isinstance(dpi, int | float) or not 20 <= dpi <= 2400:
        raise OutputError(f"{target}: {dpi} pixels per inch; expected 20 to 2400")
    return suffix


def draw(grid: Grid, dpi: int = 150) -> Figure:
    """The figure as a matplotlib object that belongs to no window and no global state."""
    from matplotlib.figure import Figure

    from desali.figures.drawing.axes import AxesCanvas

    layout = arrange(grid, dpi)
    figure = Figure(figsize=(layout.width / 72, layout.height / 72), dpi=dpi)
    figure.suppressComposite = True  # keep each panel's own pixels in PDF and SVG
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, layout.width), ylim=(layout.height, 0), autoscale_on=False)
    axes.axis("off")
    _plots(figure, grid, layout)
    _paint(AxesCanvas(axes), grid, layout)
    return figure


def pixels(grid: Grid, dpi: int = 150) -> PixelCanvas | None:
    """The figure in pixels; None if only matplotlib can draw it: plots, and characters of other fonts."""
    if grid.plots or not text.own_font(grid.texts()):
        return None
    layout = arrange(grid, dpi)
    canvas = PixelCanvas(layout.width, layout.height, dpi)
    _paint(canvas, grid, layout)
    return canvas


def _paint(canvas: Canvas, grid: Grid, layout: Layout) -> None:
    room = layout.width - 2 * MARGIN
    _lines(canvas, MARGIN, MARGIN, text.wrap(grid.title, room, TITLE, weight="bold"), TITLE, weight="bold")
    _lines(canvas, MARGIN, layout.lead_top, text.wrap(grid.lead, room, LEAD), LEAD)
    _headings(canvas, grid, layout)
    for matrix, top in zip(grid.below, layout.tables, strict=False):
        if matrix is not None:
            draw_matrix(canvas, matrix, layout.lefts[0], top, layout.width - MARGIN)
    for top, label, row in zip(layout.tops, grid.rows, grid.panels, strict=True):
        _row_label(canvas, label, top, layout)
        for index, (left, cell) in enumerate(zip(layout.lefts, row, strict=True)):
            if isinstance(cell, Panel):
                _panel(canvas, cell, left, top, layout.side)
            elif isinstance(cell, Bars):
                draw_bars(canvas, cell, left, top, layout.side)
                lines = text.wrap(cell.caption, layout.side, SMALL)
                _lines(canvas, left + layout.side / 2, top + layout.side + 2.0, lines, SMALL, ha="center", color=SOFT)
            elif isinstance(cell, Words):
                width = _span_width(layout.lefts, layout.side, index, index + cell.span)
                _words(canvas, cell, left, width, top, layout)
    _footer(canvas, grid, layout)


def arrange(grid: Grid, dpi: int = 150) -> Layout:
    """Compute the layout; panels start and end on whole pixels of `dpi`."""

    def snap(length: float) -> float:
        return round(length * dpi / 72) * 72 / dpi

    label_width = min(LABEL_MAX, max(_label_width(label) for label in grid.rows))
    left = MARGIN + label_width + (8.0 if label_width else 0.0)
    starts = {first for first, _, _ in grid.spans()}
    gaps = [0.0] + [GROUP_GAP if i in starts and _grouped(grid) else GAP for i in range(1, len(grid.columns))]
    room = (PAGE - left - MARGIN - sum(gaps)) / len(grid.columns)
    side = snap(min(PANEL_MAX, max(PANEL_MIN, room)))
    lefts = [snap(left + sum(gaps[: i + 1]) + i * side) for i in range(len(gaps))]
    width = max(PAGE_MIN, lefts[-1] + side + MARGIN)

    y = MARGIN + _height(text.wrap(grid.title, width - 2 * MARGIN, TITLE, weight="bold"), TITLE)
    lead_top = y + (4.0 if grid.lead else 0.0)
    y = lead_top + _height(text.wrap(grid.lead, width - 2 * MARGIN, LEAD), LEAD)
    y += (PLOT_ABOVE + PLOT_HEIGHT + PLOT_BELOW) if grid.plots else 0.0
    heading_top = y + (10.0 if grid.title or grid.lead else 0.0)
    headings = [_heading_height(grid, lefts, side, a, b) for a, b, _ in grid.spans()]
    y = heading_top + (max(headings) + 7.0 if max(headings) else 0.0)
    column_top = y
    labels = max(len(text.wrap(c.label, side, LABEL)) for c in grid.columns)
    y += labels * LABEL * text.LEADING + (3.0 if labels else 0.0)
    tops, tables = [], []
    for number, row in enumerate(grid.panels):
        tops.append(snap(y))
        captions = [len(text.wrap(cell.caption, side, SMALL)) for cell in row if isinstance(cell, Panel | Bars)]
        tables.append(tops[-1] + side + 2.0 + max(captions, default=0) * SMALL * text.LEADING)
        y = tables[-1] + (matrix_height(grid.below[number]) if grid.below else 0.0) + ROW_GAP
    footer_top = y + 2.0
    y = footer_top + KEY_LINE * len(key_lines(grid, width, MARGIN, NOTE))
    y += _height(text.wrap(grid.footnote, width - 2 * MARGIN, NOTE), NOTE)
    return Layout(
        width,
        np.ceil(y + MARGIN * 0.75),
        side,
        lead_top,
        label_width,
        lefts,
        tops,
        tables,
        heading_top,
        column_top,
        footer_top,
    )


def _plots(figure: Figure, grid: Grid, layout: Layout) -> None:
    """Side by side over the whole width, between the lead and the pictures."""
    lead = text.wrap(grid.lead, layout.width - 2 * MARGIN, LEAD)
    top = layout.lead_top + _height(lead, LEAD) + PLOT_ABOVE
    each = (layout.width - 2 * MARGIN) / max(1, len(grid.plots))
    for number, plot in enumerate(grid.plots):
        left = MARGIN + number * each + PLOT_BESIDE
        bottom = layout.height - top - PLOT_HEIGHT
        wide, high = (each - PLOT_BESIDE - 8.0) / layout.width, PLOT_HEIGHT / layout.height
        plot(figure.add_axes((left / layout.width, bottom / layout.height, wide, high)))


def _heading_height(grid: Grid, lefts: list[float], side: float, first: int, past: int) -> float:
    """Of a group's heading and the note under it."""
    room, column = _span_width(lefts, side, first, past), grid.columns[first]
    return _height(text.wrap(column.group, room, HEADING, weight="bold"), HEADING) + _height(
        text.wrap(column.note, room, LABEL), LABEL
    )


def _grouped(grid: Grid) -> bool:
    return any(column.group for column in grid.columns)


def _span_width(lefts: list[float], side: float, first: int, past: int) -> float:
    return lefts[past - 1] + side - lefts[first]


def _height(lines: list[str], size: float) -> float:
    return len(lines) * size * text.LEADING


def _label_width(label: str) -> float:
    first, *rest = text.drawable(label).splitlines() or [""]
    return max([text.width(first, LABEL, "bold"), *(text.width(line, SMALL) for line in rest)]) if label else 0.0


def _lines(canvas: Canvas, x: float, y: float, lines: list[str], size: float, **style: Any) -> float:
    """Draw lines from the top downwards and return where the next one would start."""
    for line in lines:
        canvas.write(x, y, line, size, **style)
        y += size * text.LEADING
    return y


def _headings(canvas: Canvas, grid: Grid, layout: Layout) -> None:
    for first, past, heading in grid.spans():
        if not heading:
            continue
        left, room = layout.lefts[first], _span_width(layout.lefts, layout.side, first, past)
        lines = text.wrap(heading, room, HEADING, weight="bold")
        rule = layout.column_top - 4.0
        note = text.wrap(grid.columns[first].note, room, LABEL)
        top = rule - 3.0 - _height(lines, HEADING) - _height(note, LABEL)
        below = _lines(canvas, left + room / 2, top, lines, HEADING, weight="bold", ha="center")
        _lines(canvas, left + room / 2, below, note, LABEL, ha="center", color=SOFT)
        canvas.line((left, rule), (left + room, rule), RULE, 0.6)
    base = layout.tops[0] - 3.0
    for left, column in zip(layout.lefts, grid.columns, strict=True):
        lines = text.wrap(column.label, layout.side, LABEL)
        _lines(canvas, left + layout.side / 2, base - _height(lines, LABEL), lines, LABEL, ha="center", color=SOFT)


def _row_label(canvas: Canvas, label: str, top: float, layout: Layout) -> None:
    first, *rest = label.splitlines() or [""]
    bold = text.wrap(first, layout.label_width, LABEL, weight="bold", max_lines=4)
    small = text.wrap("\n".join(rest), layout.label_width, SMALL, max_lines=3)
    y = top + (layout.side - _height(bold, LABEL) - _height(small, SMALL)) / 2
    y = _lines(canvas, MARGIN, y, bold, LABEL, weight="bold")
    _lines(canvas, MARGIN, y, small, SMALL, color=SOFT)


def _panel(canvas: Canvas, panel: Panel, left: float, top: float, side: float) -> None:
    height, width = panel.image.shape[:2]
    w, h = side * width / max(width, height), side * height / max(width, height)
    x, y = left + (side - w) / 2, top + (side - h) / 2
    canvas.picture(panel.image, panel.colormap, x, y, w, h)
    canvas.frame(x, y, w, h, RULE, 0.4)
    for box_top, box_left, box_height, box_width in panel.boxes:
        t, b = max(box_top, 0), min(box_top + box_height, height)
        a, z = max(box_left, 0), min(box_left + box_width, width)
        if t < b and a < z:
            size = (z - a) * w / width, (b - t) * h / height
            canvas.frame(x + a * w / width, y + t * h / height, *size, MARK, 0.8)
    lines = text.wrap(panel.caption, side, SMALL)
    _lines(canvas, left + side / 2, top + side + 2.0, lines, SMALL, ha="center", color=SOFT)


def _words(canvas: Canvas, words: Words, left: float, room: float, top: float, layout: Layout) -> None:
    lines = text.wrap(words.text, room - 2 * GAP, LABEL)
    y = top + (layout.side - _height(lines, LABEL)) / 2
    _lines(canvas, left + room / 2, y, lines, LABEL, ha="center", color=SOFT, style="italic")


def _footer(canvas: Canvas, grid: Grid, layout: Layout) -> None:
    y = layout.footer_top
    for kinds in key_lines(grid, layout.width, MARGIN, NOTE):
        x = MARGIN
        for kind in kinds:
            x = _key(canvas, x, y, COLORMAPS[kind], *KEYS[kind]) + KEY_GAP
        y += KEY_LINE
    lines = text.wrap(grid.footnote, layout.width - 2 * MARGIN, NOTE)
    _lines(canvas, MARGIN, y, lines, NOTE, color=SOFT)


def _key(canvas: Canvas, x: float, y: float, cmap: str, low: str, high: str) -> float:
    """A colour bar between the words for its two ends; returns where it stops."""
    bar, thick = KEY_BAR, 7.0
    _lines(canvas, x, y, [low], NOTE, color=SOFT)
    x += text.width(low, NOTE) + 4.0
    canvas.picture(np.linspace(0, 1, 256)[None], cmap, x, y, bar, thick)
    _lines(canvas, x + bar + 4.0, y, [high], NOTE, color=SOFT)
    return x + bar + 4.0 + text.width(high, NOTE)
