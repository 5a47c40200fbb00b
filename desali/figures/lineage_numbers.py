"""The numbers by layer as curves by depth: similarity, linear probe and class purity, with what stands beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from desali.comparison.ancestry import LayerLineage
    from desali.comparison.score import Interval

PAIR, FLOOR, RANDOM, BEFORE = "#0072B2", "#B8860B", "#9A9A9A", "#56A0C8"
Panel = Callable[["Axes", Sequence["LayerLineage"]], None]


def panels(layers: Sequence[LayerLineage]) -> list[Panel]:
    """The panels that these layers have numbers for, in the order in which they are drawn."""
    found: list[Panel] = [similarity]
    found += [probe] if any(layer.probe is not None for layer in layers) else []
    return found + ([purity] if any(layer.purity is not None for layer in layers) else [])


def similarity(axis: Axes, layers: Sequence[LayerLineage]) -> None:
    """CKA of before and after, between the random networks' and the replicates'."""
    alike = [layer.similarity for layer in layers]
    _nulls(axis, [one.null for one in alike], [one.replicate for one in alike], "after to ")
    _curve(axis, [one.value for one in alike], [one.interval for one in alike], "before to after")
    axis.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    axis.set(ylim=(min(-0.1, *axis.get_ylim()), 1.04), ylabel="similarity\n(CKA, input removed)")
    legend(axis)


def probe(axis: Axes, layers: Sequence[LayerLineage]) -> None:
    """Balanced accuracy of the linear probes."""
    _score(axis, layers, "probe")
    known = next(layer.probe for layer in layers if layer.probe is not None)
    style: Any = {"color": "0.35", "linewidth": 1.1}
    axis.axhline(known.input, linestyle="-.", label="the input's mean and deviation", **style)
    axis.axhline(known.chance, linestyle=":", label="chance", **style)
    axis.set_ylabel("linear probe\n(balanced accuracy)")
    legend(axis)


def purity(axis: Axes, layers: Sequence[LayerLineage]) -> None:
    """Mean class purity of the channels' nine strongest images."""
    _score(axis, layers, "purity")
    axis.set_ylabel("class purity of\nnine strongest")
    legend(axis)


def legend(axis: Axes, columns: int = 3) -> None:
    """Above the axes, growing upwards."""
    axis.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False, borderpad=0.2)


def band(axis: Axes, x: Any, low: Sequence[float], high: Sequence[float], label: str) -> None:
    """The range of the random networks."""
    if len(x) == 1:  # a band needs some width
        x, low, high = np.array([-0.4, 0.4]), [low[0]] * 2, [high[0]] * 2
    axis.fill_between(x, low, high, color=RANDOM, alpha=0.45, linewidth=0, label=label)


def _score(axis: Axes, layers: Sequence[LayerLineage], name: str) -> None:
    scores = [getattr(layer, name) for layer in layers]
    _nulls(axis, [one.null for one in scores], [one.replicate for one in scores], "")
    _curve(axis, [one.before for one in scores], [one.before_interval for one in scores], "before", BEFORE, "s")
    _curve(axis, [one.after for one in scores], [one.after_interval for one in scores], "after")


def _curve(
    axis: Axes, values: Sequence[float], intervals: Sequence[Interval], label: str, colour: str = PAIR, mark: str = "o"
) -> None:
    y = np.array(values, np.float64)
    spans = np.array([interval or (value, value) for value, interval in zip(values, intervals, strict=True)])
    first = mark == "o"
    style: Any = {"linewidth": 2.0 if first else 1.4, "linestyle": "-" if first else "--"}
    axis.errorbar(
        np.arange(len(y)) + (0 if first else -0.12), y, yerr=np.abs(spans.T - y), color=colour, marker=mark,
        markersize=4.5, capsize=2.0, elinewidth=0.9, label=label, **style,
    )  # fmt: skip
    axis.grid(axis="y", color="0.92")
    axis.set_axisbelow(True)


def _nulls(axis: Axes, null: Sequence[Sequence[float]], replicate: Sequence[Sequence[float]], to: str) -> None:
    x = np.arange(len(null))
    if null[0]:
        low, high = ([_edge(values, edge) for values in null] for edge in (np.nanmin, np.nanmax))
        band(axis, x, low, high, f"{to}networks with random weights")
    for k in range(len(replicate[0])):
        label = None if k else f"{to}replicate: the noise floor" if to else "replicates of after"
        style: Any = {"color": FLOOR, "linewidth": 1.2, "marker": "d", "markersize": 3.5}
        axis.plot(x, [values[k] for values in replicate], "--", label=label, **style)


def _edge(values: Sequence[float], edge: Callable[[Any], Any]) -> float:
    return float("nan") if np.isnan(values).all() else float(edge(values))
