"""The table of a figure: for every image a row of class contrast and a row for each layer, and the numbers in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from desali.comparison.controls import Likeness
from desali.figures.block import Block
from desali.figures.drawing.panel import Cell, Column, Grid, Matrix
from desali.figures.row import Row, Scale

EDGES = "edge detector"


@dataclass
class Table:
    """Rows and columns of a figure, and the numbers that it prints.

    Attributes:
        numbers: of the layers' rows, a dictionary each.
        contrasts: of the rows of class contrast.
    """

    rows: list[str] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    panels: list[list[Cell]] = field(default_factory=list)
    below: list[Matrix | None] = field(default_factory=list)
    numbers: list[dict[str, Any]] = field(default_factory=list)
    contrasts: list[dict[str, Any]] = field(default_factory=list)

    def grid(self, title: str, footnote: str, lead: str = "") -> Grid:
        """To be drawn."""
        return Grid(self.rows, self.columns, self.panels, title, footnote, lead, self.below)


def table(blocks: Sequence[Block], scale: Scale, notes: Mapping[str, str] | None = None) -> Table:
    """Lay the figure out: input, then activation and reconstruction of every model, then replicates and controls.

    Args:
        blocks: of the same models and controls.
        scale: "panel" normalises every panel by itself, "row" gives all models' reconstructions of a layer one scale,
            and all their activations another; a random network, whose magnitudes mean nothing, keeps its own.
        notes: under the models' names, by model.
    """
    first = blocks[0]
    made = Table()
    made.columns.append(Column("input"))
    several = max(seen.look.views[0].maps.shape[0] for seen in first.models.values())
    for name in first.models:
        note = (notes or {}).get(name, "")
        made.columns.append(Column("activation", name, note))
        labels = ["reconstruction"] if several == 1 else [f"seed {k + 1}" for k in range(several)]
        made.columns += [Column(label, name, note) for label in labels]
    which = "" if several == 1 else ", seed 1"
    made.columns += [Column(f"{label}{which}", "other seeds") for label in first.replicates]
    made.columns += [Column(f"{label}{which}", "controls") for label in first.controls]
    made.columns.append(Column(EDGES, "controls"))
    likeness = Likeness()
    for block in blocks:
        rows = [Row(block, None, scale, likeness, several)] if _contrasted(block) else []
        layers = len(next(iter(block.models.values())).look.views)
        rows += [Row(block, index, scale, likeness, several) for index in range(layers)]
        for number, row in enumerate(rows):
            made.panels.append(row.panels(first=number == 0))
            made.below.append(row.alike.matrix())
            made.rows.append(row.label())
            (made.contrasts if row.index is None else made.numbers).append(row.numbers)
    return made


def _contrasted(block: Block) -> bool:
    return any(seen.look.contrast is not None for seen in block.models.values())
