"""The tables of a lineage for reading, as text and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from desali.comparison import tracing
from desali.comparison.numbers_table import numbers_tables

if TYPE_CHECKING:
    from desali.comparison.ancestry import LayerLineage


def tables(layers: Sequence[LayerLineage]) -> list[tuple[str, list[list[str]]]]:
    """Titles and rows of cells: of the channels, which has no title, then of the numbers by layer."""
    return [("", _cells(layers)), *numbers_tables(layers)]


def html_of(verdict: str, layers: Sequence[LayerLineage], notes: Sequence[str]) -> str:
    """Verdict, tables and notes as a notebook shows them."""
    made = "".join((f"<p>{html.escape(title)}</p>" if title else "") + _html(cells) for title, cells in tables(layers))
    said = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return f"<p><b>{html.escape(verdict)}</b></p>{made}<ul>{said}</ul>"


def share_span(values: Sequence[float]) -> str:
    """The range of some shares in per cent; a dash for none."""
    if not values:
        return "-"
    low, high = f"{min(values):.0%}", f"{max(values):.0%}"
    return low if low == high else f"{low} to {high}"


def _cells(found: Sequence[LayerLineage]) -> list[list[str]]:
    replicates = any(layer.replicate for layer in found)
    rows = [["layer", "channels", "traceable", "95 %", "random", "replicates", "r", "states"]]
    for layer in found:
        interval = "-" if layer.interval is None else f"{layer.interval[0]:.0%} to {layer.interval[1]:.0%}"
        floor = share_span(layer.replicate) + (" (no difference shown)" if layer.no_difference else "")
        words = tracing.in_words(layer.counts, layer.decided)
        if layer.strangers:
            words = f"strangers: {layer.matched:.0%} matched at r {_signed(layer.matched_correlation)}"
        own = _signed(layer.own_correlation)
        shares = [f"{layer.traceable:.0%}", interval, share_span(layer.null), floor]
        rows.append([layer.name, str(layer.channels), *shares, own, words])
    return rows if replicates else [row[:5] + row[6:] for row in rows]


def _html(cells: Sequence[Sequence[str]]) -> str:
    head, *rows = cells
    lines = [f"<tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def _signed(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:+.2f}"
