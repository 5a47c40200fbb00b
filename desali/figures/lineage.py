"""The drawing of a lineage: the share of traceable channels by depth with its nulls, what became of them, and the
numbers by layer."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.comparison import tracing
from desali.errors import OutputError
from desali.figures.drawing.text import ELLIPSIS, drawable, family, width, wrap
from desali.figures.lineage_numbers import FLOOR, PAIR, RANDOM, band, legend, panels
from desali.figures.sidecar import refuse_other, sidecar, write_sidecar
from desali.output.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from desali.comparison.ancestry import LayerLineage, Lineage

SCREEN = 100
"""Pixels per inch where a notebook shows a figure."""
COLOURS = {
    tracing.FROZEN: "#3B4A6B",
    tracing.KEPT: "#0072B2",
    tracing.TRACEABLE: "#0072B2",
    tracing.RESHAPED: "#8CC5E8",
    tracing.LOST: "#D55E00",
    tracing.SILENCED: "#111111",
    tracing.WOKEN: "#009E73",
    tracing.SILENT_THROUGHOUT: "#B0B0B0",
    tracing.FAINT: "#E4E4E4",
    tracing.UNDECIDED: "#D2D2D2",
}
"""Of the states; Okabe and Ito's palette where it has them."""
STRANGERS = "#FFFFFF"
MOST_LABELS, FEW_LABELS = 44, 12
SHORT = 16
"""Letters of a layer's name where there is little room."""
LONGEST = 30
"""Letters of a layer's name that are shown."""
SLANT = 60
NUMBERS = 2.0
"""Height of a panel of the numbers by layer, where that of the shares is 3."""
LEAST_INCHES, MOST_INCHES = 8.0, 17.0


class LineageFigure:
    """The figure of a `desali.lineage`; its record holds every number of it."""

    def __init__(self, change: Lineage) -> None:
        self._change = change

    def to_dict(self) -> dict[str, Any]:
        """The record, as `Lineage.to_dict` gives it."""
        return self._change.to_dict()

    def save(self, path: str | os.PathLike[str], *, dpi: int = 150) -> Path:
        """Write the figure as PNG, PDF or SVG by the suffix, and its record beside it as JSON: both or neither.

        Raises:
            OutputError: the path cannot be written, or has another file's record beside it.
        """
        target = Path(path)
        record = self.to_dict()
        refuse_other(sidecar(target), record["kind"], "a lineage")
        if target.suffix.lower() not in (".png", ".pdf", ".svg"):
            raise OutputError(f"{target}: a figure is written as .png, .pdf or .svg")
        with atomic_path(target) as temporary:
            _figure(self._change).savefig(temporary, dpi=dpi, facecolor="white")
            write_sidecar(target, record)
        return target

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        _figure(self._change).savefig(buffer, dpi=SCREEN, format="png", facecolor="white")
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"LineageFigure({len(self._change)} layers; .save(path), .to_dict())"


def draw(change: Lineage) -> LineageFigure:
    """The figure of a lineage."""
    return LineageFigure(change)


def _figure(change: Lineage) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers = list(change)
    wide = min(MOST_INCHES, max(LEAST_INCHES, 2.6 + 0.34 * len(layers)))
    room = (wide - 0.6) * 72
    head = wrap(change.verdict, room, 11, weight="bold")
    foot = [line for note in change.notes for line in wrap(note, room, 8)]
    if change.strangers:
        foot += wrap("Between strangers no channel has a counterpart: what became of each is not drawn.", room, 8)
    top, bottom = 0.3 + 0.2 * len(head), 0.2 + 0.155 * len(foot)
    names = max(width(_label(layer), 8) for layer in layers) * math.sin(math.radians(SLANT)) / 72
    more = panels(layers)
    ratios = [3.0, *([] if change.strangers else [2.4]), *[NUMBERS] * len(more)]
    high = top + bottom + names + 0.95 * sum(ratios) + (-0.25 if change.strangers else 0.07)
    figure = Figure(figsize=(wide, high))
    FigureCanvasAgg(figure)
    figure.text(0.3 / wide, 1 - 0.15 / high, "\n".join(head), size=11, weight="bold", va="top", family=family())
    figure.text(0.3 / wide, 0.12 / high, "\n".join(foot), size=8, va="bottom", family=family(), color="0.25")
    figure.set_layout_engine("constrained", rect=(0, bottom / high, 1, 1 - (top + bottom) / high))
    axes = list(figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios, squeeze=False)[:, 0])
    shares(axes[0], layers)
    if not change.strangers:
        states(axes[1], layers)
    for axis, draw_numbers in zip(axes[len(axes) - len(more) :], more, strict=True):
        draw_numbers(axis, layers)
    ticks(axes[-1], layers, SLANT)
    axes[-1].set_xlabel("ReLU in forward order (channels)" + _skipped(layers))
    return figure


def shares(axis: Axes, layers: Sequence[LayerLineage]) -> None:
    """Curves by depth of the share of traceable channels, with its nulls."""
    x = np.arange(len(layers))
    if layers[0].null:
        low, high = ([edge(layer.null) for layer in layers] for edge in (min, max))
        band(axis, x, low, high, f"{len(layers[0].null)} networks with random weights")
    axis.plot(x, [layer.chance for layer in layers], ":", color=RANDOM, linewidth=1.2, label="chance, 1 / channels")
    replicates = len(layers[0].replicate)
    for k in range(replicates):
        style: Any = {"color": FLOOR, "linewidth": 1.2, "marker": "d", "markersize": 3.5}
        label = None if k else "after to replicate: the noise floor"
        axis.plot(x, [layer.replicate[k] for layer in layers], "--", label=label, **style)
    for k in range(replicates):
        label = None if k else "before to replicate: another seed"
        axis.plot(x, [layer.repeated[k] for layer in layers], "-", color=PAIR, linewidth=0.8, alpha=0.6, label=label)
    values = np.array([layer.traceable for layer in layers])
    spans = [layer.interval or (layer.traceable, layer.traceable) for layer in layers]
    errors = np.abs(np.array(spans).T - values)
    interval = ", 95 % by patient" if any(layer.interval for layer in layers) else ""
    axis.errorbar(
        x, values, yerr=errors, color=PAIR, linewidth=2.0, marker="o", markersize=5, capsize=2.5, elinewidth=1.0,
        label=f"before to after{interval}",
    )  # fmt: skip
    equal = [k for k, layer in enumerate(layers) if layer.equal]
    if equal:
        axis.plot(x[equal], values[equal], "s", color="white", markeredgecolor=PAIR, markersize=8, zorder=5,
                  label="weights equal bit by bit")  # fmt: skip
    axis.set(ylim=(-0.02, 1.04), ylabel="share of channels\nthat are traceable")
    axis.yaxis.set_major_formatter(_percent())
    axis.grid(axis="y", color="0.92")
    axis.set_axisbelow(True)
    legend(axis, 3)


def states(axis: Axes, layers: Sequence[LayerLineage]) -> None:
    """A stacked bar a layer."""
    x = np.arange(len(layers))
    base = np.zeros(len(layers))
    apart = np.array([layer.strangers for layer in layers])
    for state in (*tracing.STATES, tracing.UNDECIDED):
        share = np.array([float((layer.shown == state).mean()) for layer in layers])
        if share[~apart].any():
            share = np.where(apart, 0, share)
            axis.bar(x, share, 0.82, base, color=COLOURS[state], edgecolor="white", linewidth=0.4, label=state)
            base += share
    if apart.any():
        axis.bar(x, np.where(apart, 1, 0), 0.82, color=STRANGERS, edgecolor="0.5", hatch="///", linewidth=0,
                 label="strangers")  # fmt: skip
    axis.set(ylim=(0, 1), ylabel="states of the channels")
    axis.yaxis.set_major_formatter(_percent())
    legend(axis, 5)


def ticks(axis: Axes, layers: Sequence[LayerLineage], slant: float | None = None) -> None:
    """The layers' names along the axis: slanted with their channels, or short and level where there is little room."""
    most = MOST_LABELS if slant is not None else FEW_LABELS
    shown = range(0, len(layers), -(-len(layers) // most))
    if slant is not None:
        labels = [_label(layers[k]) for k in shown]
        axis.set_xticks(list(shown), labels, rotation=slant, ha="right", rotation_mode="anchor", fontsize=8)
    else:
        ends = endings([layer.name for layer in layers])
        labels = [drawable(ends[k] if len(ends[k]) <= SHORT else ELLIPSIS + ends[k][1 - SHORT :]) for k in shown]
        axis.set_xticks(list(shown), labels, rotation=40, ha="right", rotation_mode="anchor", fontsize=5.6)
    axis.set_xlim(-0.6, len(layers) - 0.4)


def small_legend(axis: Axes) -> None:
    """The legend for axes of a third of the page, above them in two columns."""
    lines, names = axis.get_legend_handles_labels()
    axis.legend(lines, names, fontsize=5.4, loc="lower left", bbox_to_anchor=(-0.04, 1.0), ncols=1, frameon=False,
                borderpad=0.1, handlelength=1.6, labelspacing=0.15)  # fmt: skip


def _skipped(layers: Sequence[LayerLineage]) -> str:
    step = -(-len(layers) // MOST_LABELS)
    return f", one in {step} named" if step > 1 else ""


def endings(names: Sequence[str]) -> list[str]:
    """The shortest ends of names, cut at points, that tell them apart."""
    parts = [name.split(".") for name in names]
    for length in range(1, max(map(len, parts)) + 1):
        ends = [".".join(one[-length:]) for one in parts]
        if len(set(ends)) == len(ends):
            return ends
    return list(names)


def _label(layer: LayerLineage) -> str:
    """The layer's name, or its end where it is long, and its channels."""
    name = layer.name if len(layer.name) <= LONGEST else ELLIPSIS + layer.name[1 - LONGEST :]
    return drawable(f"{name}  ({layer.channels})")


def _percent() -> Any:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1.0, decimals=0)
