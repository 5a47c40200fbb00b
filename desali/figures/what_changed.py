"""The main picture: what a stage of training changed, by depth, above the same channels before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.comparison import choice
from desali.comparison.checks import check_asked
from desali.comparison.lineage import lineage_of
from desali.comparison.networks import check_together, subject
from desali.comparison.probe_set import ProbeSet, probe_set
from desali.comparison.sheet import Asked, Sheet, sheet
from desali.errors import DataError
from desali.figures import lineage as lineage_figure
from desali.figures import lineage_numbers
from desali.figures.facts import method_words
from desali.figures.figure import KIND, Figure
from desali.figures.sheet_grid import arrange
from desali.models.checkpoint import versions
from desali.reversal.methods import method as find_method

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
    from torch import Tensor, nn

    from desali.comparison.ancestry import LayerLineage, Lineage
    from desali.comparison.networks import Subject
    from desali.data.imageset import ImageSet
    from desali.models.checkpoint import LoadedModel

COLUMNS = 4
HALF = 0.5
"""Share of traceable channels that the layer shown has at least; the deepest such layer is shown."""
OTHERS = ("#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#E69F00")
DEEPEST = ", the deepest layer of which half of the channels can be traced"
FIRST = ", the first layer whose weights changed; at no layer half of the channels can be traced"
OUTSIDE = (
    "The curves are of all images, the regions of one half of the patients (or images). Of the channels that the rule "
    "finds the first of a kind is shown, and those drawn at random."
)


@dataclass(frozen=True)
class Curve:
    """Similarity of the network after to another model."""

    name: str
    values: tuple[float, ...]


class WhatChangedFigure(Figure):
    """What `what_changed` makes; its record holds the lineage and the sheet.

    Attributes:
        change: the lineage.
    """

    def __init__(self, grid: Any, record: Mapping[str, Any], change: Lineage) -> None:
        super().__init__(grid, record)
        self.change = change

    def table(self) -> str:
        """The lineage's tables."""
        return self.change.text(notes=False)

    def __repr__(self) -> str:
        return f"WhatChangedFigure({self.grid.title!r}; .save(path), .to_dict(), .table(), .change)"


def what_changed(
    before: nn.Module | LoadedModel,
    after: nn.Module | LoadedModel,
    images: Tensor | ImageSet,
    layer: str | None = None,
    groups: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    *,
    replicates: Sequence[nn.Module | LoadedModel] = (),
    layers: Sequence[str] | None = None,
    others: Mapping[str, nn.Module | LoadedModel] | None = None,
    random_networks: int = 5,
    seed: int = 0,
    device: str | torch.device | None = None,
    title: str = "",
    notes: Sequence[str] = (),
    progress: bool = False,
) -> WhatChangedFigure:
    """What a stage of training changed, in one picture: curves by depth, and four channels before and after.

    Above: the share of channels that are still themselves, the similarity of layers, and linear probes, each with what
    random networks and replicates give. Below: one kept and one reshaped channel of a layer and two drawn at random,
    with the regions that they answer to most and the reconstructions, before, after and with random weights.

    Args:
        before, after, images, groups, labels, replicates, layers, random_networks, seed, device: as `desali.lineage`
            takes them.
        layer: whose channels are shown; None: the deepest of which half of the channels can still be traced.
        others: further models of the same architecture, by name; the similarity of the network after to each is drawn.
        title: before the verdict's figure.
        notes: sentences that stand under the figure besides its own.
        progress: show bars over the images on stderr.

    Raises:
        DataError, StrangersError: see `desali.lineage` and `desali.channels`.
    """
    from desali.ops.device import resolve as find_device

    where = None if device is None else find_device(device)
    check_asked(random_networks, seed, layers, replicates)
    if layer is not None and not isinstance(layer, str):
        raise DataError(f"layer must be one name, got {layer!r}")
    if others is not None and not isinstance(others, Mapping):
        raise DataError(f"others must be networks by name, got {type(others).__name__}")
    pair = [subject("before", before, where), subject("after", after, where)]
    again = [subject(f"replicate {k}", one, where) for k, one in enumerate(replicates, 1)]
    beside = [subject(name, one, where) for name, one in (others or {}).items()]
    probe = probe_set(images, groups, labels, check_together([*pair, *again, *beside]))
    classes = labels is None or len(labels) > 0
    change = lineage_of(pair, again, probe, layers, random_networks, seed, progress, classes)
    if change.strangers:
        raise DataError(f"{change.verdict} There is no change to show; draw each network alone (desali.channels)")
    curves = [_similar(one, pair[1], probe, change, progress) for one in beside]
    shown, why = _layer(change) if layer is None else (change[layer].name, "")
    rule = find_method("desalinet")
    made = _four(sheet(pair, again, probe, Asked(shown, None, "activation", rule, random_networks, seed, progress)))
    words = method_words("desalinet")
    grid, scales = arrange(made, words)
    once = [note for note in change.notes if note not in grid.footnote]  # both say what was done to the images
    footnote = " ".join([OUTSIDE, *once, grid.footnote, *notes])
    heading = f"{title}: what changed" if title else "What changed"
    below = f"Below: {made.layer.name}, {made.layer.channels} channels{why}."
    plots = _plots(list(change), curves)
    grid = replace(grid, title=heading, lead=f"{change.verdict}\n{below}", plots=plots, footnote=footnote)
    record = {
        "kind": KIND,
        "figure": "what changed",
        "title": heading,
        "lineage": change.to_dict(),
        "similarity_to_others": {curve.name: dict(zip(change.layers, curve.values, strict=True)) for curve in curves},
        "sheet": made.record,
        "shown": [column.choice.channel for column in made.columns],
        "method": rule.to_dict(),
        "scales": scales,
        "note": footnote,
        "versions": versions(),
    }
    return WhatChangedFigure(grid, record, change)


def _similar(other: Subject, after: Subject, probe: ProbeSet, change: Lineage, progress: bool) -> Curve:
    found = lineage_of([other, after], [], probe, list(change.layers), 0, 0, progress, classes=False)
    return Curve(other.name, tuple(float(found[name].similarity.value) for name in change.layers))


def _layer(change: Lineage) -> tuple[str, str]:
    """The deepest layer of which half of the channels can be traced and whose weights changed, and why it is shown."""
    changed = [layer for layer in change if not layer.equal]
    if not changed:
        raise DataError("no weights changed between the networks before and after: there is no change to show")
    traced = [layer for layer in changed if layer.traceable >= HALF and not layer.strangers]
    return (traced[-1].name, DEEPEST) if traced else (changed[0].name, FIRST)


def _four(made: Sheet) -> Sheet:
    """The sheet with its first kept and reshaped channel (or whatever the rule found instead) and the two at random."""
    drawn = [k for k, column in enumerate(made.columns) if column.choice.why == choice.DRAWN]
    reasons: dict[str, int] = {}
    for k, column in enumerate(made.columns):
        if k not in drawn:
            reasons.setdefault(column.choice.why, k)
    chosen = [*list(reasons.values())[: COLUMNS - len(drawn)], *drawn]
    bands = [
        replace(
            band,
            tiles=[band.tiles[k] for k in chosen],
            firing=[band.firing[k] for k in chosen],
            relevance=[band.relevance[k] for k in chosen] if band.relevance else [],
        )
        for band in made.bands
    ]
    return replace(made, columns=[made.columns[k] for k in chosen], bands=bands)


def _plots(layers: Sequence[LayerLineage], curves: Sequence[Curve]) -> list[Callable[[Axes], None]]:
    """The curves by depth, for axes side by side."""

    def named(draw: Callable[[Axes, Sequence[LayerLineage]], None], title: str) -> Callable[[Axes], None]:
        def plot(axis: Axes) -> None:
            draw(axis, layers)
            lineage_figure.ticks(axis, layers)
            axis.set_ylabel("")
            axis.set_title(title, fontsize=7.5, loc="left", x=-0.1, y=1.0, pad=52)
            axis.tick_params(labelsize=6.0)
            lineage_figure.small_legend(axis)

        return plot

    def similarity(axis: Axes, found: Sequence[LayerLineage]) -> None:
        lineage_numbers.similarity(axis, found)
        x = np.arange(len(found))
        for curve, colour in zip(curves, OTHERS, strict=False):
            axis.plot(x, curve.values, "-", color=colour, linewidth=1.0, label=f"{curve.name} to after")

    plots = [
        named(lineage_figure.shares, "channels that are still themselves"),
        named(lineage_figure.states, "what became of the channels"),
        named(similarity, "similarity of layers (CKA)"),
    ]
    if any(layer.probe is not None for layer in layers):
        plots.append(named(lineage_numbers.probe, "linear probe (balanced accuracy)"))
    return plots
