"""The numbers by layer as tables for reading, and what they do not show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from desali.comparison.score import Interval, Score

if TYPE_CHECKING:
    from desali.comparison.ancestry import LayerLineage

Rows = list[list[str]]
TITLES = {
    "purity": ("purity", "class purity of the nine strongest images"),
    "probe": ("probe", "balanced accuracy of a linear probe"),
}


def numbers_tables(layers: Sequence[LayerLineage]) -> list[tuple[str, Rows]]:
    """Titles and rows of cells: purity and probe side by side, as far as there are classes, and similarity."""
    replicates = any(layer.replicate for layer in layers)
    scores = [name for name in ("purity", "probe") if any(getattr(layer, name) is not None for layer in layers)]
    found: list[tuple[str, Rows]] = []
    if scores:
        heads = [[TITLES[name][0], "95 % after", "random", "replicates"] for name in scores]
        rows: Rows = [["layer", *(word for head in heads for word in _shown(head, replicates))]]
        for layer in layers:
            parts = [_shown(_score(getattr(layer, name)), replicates) for name in scores]
            rows.append([layer.name, *(word for part in parts for word in part)])
        found.append((f"{' and '.join(TITLES[name][1] for name in scores)}, before > after:".capitalize(), rows))
    rows = [["layer", *_shown(["similarity", "95 %", "random", "replicates"], replicates)]]
    for layer in layers:
        alike = layer.similarity
        cells = [_decimal(alike.value), _interval(alike.interval), _range(alike.null), _range(alike.replicate)]
        rows.append([layer.name, *_shown(cells, replicates)])
    return [*found, ("Similarity of before and after (unbiased CKA without the input's own):", rows)]


def no_difference(layers: Sequence[LayerLineage]) -> list[str]:
    """A sentence for each number by which some changed layers differ no more than replicates do."""
    found = []
    words = {"purity": "class purity", "probe": "the linear probe", "similarity": "similarity"}
    for name, word in words.items():
        numbers = [(layer.name, getattr(layer, name)) for layer in layers if not layer.equal]
        same = [layer for layer, one in numbers if one is not None and one.no_difference]
        if same:
            where = ", ".join(same) if len(same) <= 4 else f"{len(same)} of {len(numbers)} layers ({same[0]}, ...)"
            found.append(f"By {word} no difference beyond that of replicates is shown at {where}.")
    return found


def _shown(cells: list[str], replicates: bool) -> list[str]:
    return cells if replicates else cells[:-1]


def _score(score: Score | None) -> list[str]:
    if score is None:
        return ["-"] * 4
    both = f"{_decimal(score.before)} > {_decimal(score.after)}"
    return [both, _interval(score.after_interval), _range(score.null), _range(score.replicate)]


def _decimal(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}".replace("0.", ".", 1)


def _interval(interval: Interval) -> str:
    return "-" if interval is None else f"{_decimal(interval[0])} to {_decimal(interval[1])}"


def _range(values: Sequence[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    low, high = _decimal(min(known)), _decimal(max(known))
    return low if low == high else f"{low} to {high}"
