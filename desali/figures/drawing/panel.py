"""A figure as data: rows, columns in groups, and panels with captions; nothing here knows what they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.errors import DataError, UnknownNameError

COLORMAPS = {
    "input": "gray",
    "activation": "viridis",
    "reconstruction": "gray",
    "contrast": "RdBu_r",
    "control": "gray",
}
"""Kinds of panels and their default colour maps; viridis is safe for colour-blind readers."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a grid.

    Attributes:
        image: [h, w] or [h, w, 3] in [0, 1].
        caption: printed small under the picture, for instance its scale ("a = -0.013").
        kind: a key of `COLORMAPS`.
        cmap: a matplotlib colour map for a grey image instead of the kind's own.
        boxes: outlines drawn over it, (top, left, height, width) in its pixels; parts outside it are not drawn.

    Raises:
        DataError: another shape, or values outside [0, 1] or NaN. UnknownNameError: an unknown kind or colour map.
    """

    image: npt.NDArray[Any]
    caption: str = ""
    kind: str = "input"
    cmap: str | None = None
    boxes: tuple[tuple[int, int, int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in COLORMAPS:
            raise UnknownNameError("kind of panel", self.kind, COLORMAPS)
        if self.cmap is not None and self.cmap not in COLORMAPS.values():
            import matplotlib

            if self.cmap not in matplotlib.colormaps:
                raise UnknownNameError("colour map", self.cmap, ("viridis", "cividis", "magma", "gray"))
        image = np.asarray(self.image)
        grey_or_colour = image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 3)
        if not grey_or_colour or not image.size:
            raise DataError(f"a panel's image must have shape [h, w] or [h, w, 3], got {list(image.shape)}")
        if image.dtype.kind not in "fiub" or not (image.min() >= 0 and image.max() <= 1):
            raise DataError(
                f"a panel's image must lie in [0, 1], got {image.dtype} from {image.min()} to {image.max()}; "
                "use desali.figures.drawing.display first"
            )

    @property
    def colormap(self) -> str:
        """The colour map in use."""
        return self.cmap or COLORMAPS[self.kind]


@dataclass(frozen=True)
class Words:
    """A sentence in the place of pictures, `text` in the middle of `span` columns; the cells it covers are None."""

    text: str
    span: int = 1


@dataclass(frozen=True)
class Bars:
    """Some numbers by name in the place of a picture, as bars from a common zero.

    Attributes:
        names, values: one a bar, from above.
        marked: the bar that stands out; None for none.
        caption: printed small below.
    """

    names: Sequence[str]
    values: Sequence[float]
    marked: int | None = None
    caption: str = ""


Cell = Panel | Words | Bars | None


@dataclass(frozen=True)
class Matrix:
    """A small table of numbers in [-1, 1] under a row of pictures.

    Attributes:
        corner: what the numbers are.
        rows, columns: names.
        values: values[row][column]; None leaves the place empty.
        words: what is printed instead of a number, by (row, column).
        strong: places printed bold.
        note: beside the table.
    """

    corner: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    words: Mapping[tuple[int, int], str] = field(default_factory=dict)
    strong: frozenset[tuple[int, int]] = frozenset()
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A column's label, and the heading that it shares with its neighbours of the same group ("" for none).

    Attributes:
        note: printed smaller under the heading, the same for the whole group.
    """

    label: str
    group: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Grid:
    """Rows x columns of panels.

    Attributes:
        rows: a label per row; lines after the first are printed smaller.
        columns: a label per column; neighbours of one group stand close together under a common heading.
        panels: panels[row][column]; None leaves the place empty, or to the words before it.
        title: above the figure, "" for none.
        footnote: below the figure: what the data is, what the pictures cannot say.
        lead: under the title: what the figure shows, "" for nothing.
        below: a table under each row, or None; empty for no tables at all.
        plots: side by side under the lead, each drawn by a function into the matplotlib axes that it is given.

    Raises:
        DataError: no rows or columns, or panels that do not fit the labels.
    """

    rows: Sequence[str]
    columns: Sequence[Column]
    panels: Sequence[Sequence[Cell]]
    title: str = ""
    footnote: str = ""
    lead: str = ""
    below: Sequence[Matrix | None] = ()
    plots: Sequence[Callable[[Any], None]] = ()

    def __post_init__(self) -> None:
        if self.below and len(self.below) != len(self.rows):
            raise DataError(f"there must be a table or None below each of {len(self.rows)} rows, got {len(self.below)}")
        if not self.rows or not self.columns:
            raise DataError(f"a figure of {len(self.rows)} rows and {len(self.columns)} columns has nothing to show")
        widths = {len(row) for row in self.panels}
        if len(self.panels) != len(self.rows) or widths != {len(self.columns)}:
            raise DataError(
                f"panels must be {len(self.rows)} rows of {len(self.columns)}, as labelled; "
                f"got {len(self.panels)} rows of {sorted(widths)}"
            )
        for row in self.panels:
            for index, cell in enumerate(row):
                if isinstance(cell, Words) and any(row[index + 1 : index + cell.span]):
                    raise DataError(f"the words {cell.text!r} lie over {cell.span} cells, which must be empty")

    def spans(self) -> list[tuple[int, int, str]]:
        """Runs of neighbouring columns of one group: (first, past the last, heading)."""
        runs: list[tuple[int, int, str]] = []
        for index, column in enumerate(self.columns):
            if runs and column.group and runs[-1][2] == column.group:
                runs[-1] = (runs[-1][0], index + 1, column.group)
            else:
                runs.append((index, index + 1, column.group))
        return runs

    def texts(self) -> list[str]:
        """Every text that it prints, plots left out."""
        found = [self.title, self.lead, self.footnote, *self.rows]
        for column in self.columns:
            found += [column.label, column.group, column.note]
        for cell in (cell for row in self.panels for cell in row):
            if isinstance(cell, Words):
                found.append(cell.text)
            elif cell is not None:
                found += [cell.caption, *(cell.names if isinstance(cell, Bars) else ())]
        for matrix in (matrix for matrix in self.below if matrix is not None):
            found += [matrix.corner, matrix.note, *matrix.rows, *matrix.columns, *matrix.words.values()]
        return found

    def kinds(self) -> set[str]:
        """The kinds of panels that occur."""
        return {panel.kind for row in self.panels for panel in row if isinstance(panel, Panel)}
