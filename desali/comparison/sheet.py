"""The numbers of a sheet of channels: which channels, which regions each answers to most strongly, and what they give.

Zeiler and Fergus 2014 (section 4.1, figure 2): the nine strongest regions of a channel, each with its reconstruction.
Here for the same channel before and after a stage, chosen on one half of the patients and shown on the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison import choice, nulls, tracing
from desali.comparison.ancestry import LayerLineage, Lineage
from desali.comparison.answering import Answers, answers, own_correlation
from desali.comparison.choice import Choice
from desali.comparison.halves import Halves, halves
from desali.comparison.lineage import lineage_of
from desali.comparison.networks import Subject
from desali.comparison.probe_set import ProbeSet
from desali.comparison.relevance import classes_of
from desali.comparison.relu_inputs import ReluInput, common, relu_inputs, resolve
from desali.comparison.sheet_facts import notes, record, span
from desali.comparison.strongest import NINE
from desali.comparison.tiles import Band, Windows, band_of
from desali.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from desali.reversal.graph.network import Network
    from desali.reversal.methods import Method

Floats = npt.NDArray[np.float64]
CONTROL = "random weights"
"""The band of a network with random weights."""
FEW_MATCHED = 0.5
"""Share of matched channels from which on strangers at one layer are the same channels in another order."""


class StrangersError(DataError):
    """Two networks without a common ancestor: no channel of one has a counterpart in the other."""


@dataclass(frozen=True, eq=False)
class Column:
    """One channel.

    Attributes:
        choice: its number and why it is shown.
        state: of the lineage on the images that the choice was made on, as a reader is told it (`tracing.shown`); None
            for a single network.
        r: correlation with itself in the other network, on the images shown; NaN where constant, None for one network.
        interval: 95 %, by patient.
        shared: how many of the strongest images before are among those after; None for a single network.
        others: how many are shared, on average, with a channel of another number: what chance gives.
    """

    choice: Choice
    state: str | None = None
    r: float | None = None
    interval: tuple[float, float] | None = None
    shared: int | None = None
    others: float | None = None


@dataclass(frozen=True, eq=False)
class Sheet:
    """All that a figure of channels shows.

    Attributes:
        layer: the ReLU.
        columns, bands: the channels, and the networks.
        drawn_from: the images of the tiles.
        size: height and width of a tile in the network's input.
        rule: how the channels were chosen.
        notes: what the sheet rests on and what it lacks, a sentence each.
        record: JSON-serialisable.
    """

    layer: ReluInput
    columns: list[Column]
    bands: list[Band]
    drawn_from: ProbeSet
    size: tuple[int, int]
    rule: str
    notes: list[str]
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """How a sheet is made.

    Attributes:
        layer: a ReLU, a layer before one, or a container.
        channels: that are shown; None: by rule.
        by: "activation", or of a single network "relevance".
        method: of the reconstructions.
        random_networks: that the test for strangers has; 0: no network with random weights is shown.
        seed: of the halves, the channels at random and the random weights.
        progress: show bars on stderr.
    """

    layer: str
    channels: Sequence[int] | None
    by: str
    method: str | Method
    random_networks: int
    seed: int
    progress: bool = False


def sheet(pair: Sequence[Subject], again: Sequence[Subject], probe: ProbeSet, asked: Asked) -> Sheet:
    """Choose channels, find their strongest regions and run these backwards.

    Args:
        pair: the networks before and after, or one network.
        again: replicates of the one after.

    Raises:
        StrangersError: the networks share no ancestor, or the layer's channels stand in another order.
        DataError: see `desali.channels`. UnknownNameError: no such layer.
    """
    start = _start(pair, probe)
    found = _followed(start, asked.layer)
    split = halves(probe, asked.seed)
    chosen_on = probe if asked.channels is not None else split.chosen_on
    place = None
    if len(pair) > 1:
        place = _comparable(_change(pair, again, chosen_on, [found.name], asked), found.name)
    return _sheet(pair, again, probe, asked, found, split, place)


def sheets(
    pair: Sequence[Subject], again: Sequence[Subject], probe: ProbeSet, layers: Sequence[str], asked: Asked
) -> tuple[list[Sheet], dict[str, str]]:
    """`sheet` of several layers of a pair, whose channels are chosen from one lineage of all of them.

    Args:
        layers: names of ReLUs; the layer that `asked` names does not matter.

    Returns:
        the sheets; and for each layer that has none, why.

    Raises:
        StrangersError, DataError, UnknownNameError: see `sheet`; what is wrong with one layer alone is returned.
    """
    start = _start(pair, probe)
    split = halves(probe, asked.seed)
    change = _change(pair, again, split.chosen_on, layers, asked)
    made, missing = [], {}
    for name in layers:
        found = _followed(start, name)
        try:
            made.append(_sheet(pair, again, probe, asked, found, split, _comparable(change, found.name)))
        except DataError as error:
            missing[found.name] = str(error)
    return made, missing


def _start(pair: Sequence[Subject], probe: ProbeSet) -> Network:
    from desali.reversal.graph.share import adopt

    start = pair[-1].capture(_sample(pair[-1], probe))
    if len(pair) > 1:
        adopt(pair[0].model, pair[-1].model)
        common(pair[0].capture(_sample(pair[0], probe)), start)
    return start


def _sheet(
    pair: Sequence[Subject],
    again: Sequence[Subject],
    probe: ProbeSet,
    asked: Asked,
    found: ReluInput,
    split: Halves,
    place: LayerLineage | None,
) -> Sheet:
    """The sheet of one layer.

    Args:
        place: what became of its channels on the images that the choice is made on; None for one network.
    """
    start = pair[-1].capture(_sample(pair[-1], probe))
    named = asked.channels is not None
    chosen_on, drawn_from = (probe, probe) if named else (split.chosen_on, split.drawn_from)
    classes = None
    if asked.by == "relevance":
        outputs = start.nodes[start.output].shape[0]
        classes = classes_of(probe.labels, tuple(pair[-1].card.get("classes") or ()), outputs)
    if asked.channels is not None:
        chosen, rule = choice.named(asked.channels, found.channels, found.name), "those that were named"
    elif place is not None:
        chosen, rule = choice.of_pair(place, asked.seed)
    else:
        part = None if classes is None else classes[_places(probe, chosen_on)]
        own = answers(pair, chosen_on, found.name, part, asked.progress)[0][0]
        chosen, rule = _of_one(own, asked.seed)
    twin, missing = _twin(pair[-1], asked.random_networks, asked.seed)
    networks = [*pair, *([] if twin is None else [twin])]
    part = None if classes is None else classes[_places(probe, drawn_from)]
    looked, products = answers(networks, drawn_from, found.name, part, asked.progress)
    if not any(one.strongest.image.max() >= 0 for one in looked[: len(pair)]):
        raise DataError(
            f"no ReLU of {found.name} opens on any of these images: nothing passes this layer; check the weights and "
            "how the images are scaled, or take an earlier layer"
        )
    columns = _columns(chosen, place, looked, products)
    windows = Windows(start, found)
    channels = [column.choice.channel for column in columns]
    bands = [
        band_of(one, own, channels, drawn_from, windows, asked.method)
        for one, own in zip(networks, looked, strict=True)
    ]
    said = notes([*pair, *again], bool(again), chosen_on, drawn_from, split.why_whole, named, place)
    made = Sheet(found, columns, bands, drawn_from, windows.size(bands), rule, [*said, *([missing] if missing else [])])
    made.record.update(record(made, [*pair, *again], probe, chosen_on, place, asked))
    return made


def _sample(subject: Subject, probe: ProbeSet) -> Tensor:
    return probe.tensor(np.arange(2)).to(subject.device, subject.dtype)


def _followed(network: Network, name: str) -> ReluInput:
    """The layer of a name.

    Raises:
        UnknownNameError: no such layer. DataError: no ReLU reads it, or the images are not two-dimensional.
    """
    inputs = relu_inputs(network)
    if not inputs:
        raise DataError("the network has no ReLU, and channels are followed at the inputs of ReLUs")
    if len(network.nodes[0].shape) != 3:
        raise DataError(
            f"a sheet shows regions of two-dimensional images, and these are {list(network.nodes[0].shape)}: follow "
            "the channels in numbers with desali.lineage"
        )
    names = [item.name for item in inputs]
    try:
        known = resolve(network, name, names)
    except UnknownNameError:
        network.find(name)  # says it if there is no such layer at all
        raise DataError(
            f"layer {name!r} has no channels to show: no ReLU reads it; take one of {', '.join(names[:8])}"
            f"{', ...' if len(names) > 8 else ''}"
        ) from None
    return next(item for item in inputs if item.name == known)


def _places(whole: ProbeSet, part: ProbeSet) -> npt.NDArray[np.int64]:
    """Where the images of a part stand in the whole."""
    return np.arange(len(whole)) if part is whole or part.rows is None else part.rows


def _change(
    pair: Sequence[Subject], again: Sequence[Subject], probe: ProbeSet, layers: Sequence[str], asked: Asked
) -> Lineage:
    """The lineage at some layers, without classes."""
    return lineage_of(
        pair, again, replace(probe, labels=None), layers, asked.random_networks, asked.seed, asked.progress
    )


def _comparable(change: Lineage, layer: str) -> LayerLineage:
    """What became of a layer's channels.

    Raises:
        StrangersError, DataError: no channel has a counterpart, or nothing changed.
    """
    found = change[layer]
    alone = "draw each network alone (after=None; --model), or compare them in numbers with desali.lineage"
    matched = (
        f"{found.matched:.0%} of {layer}'s channels have a mutual partner of any number, median r "
        f"{found.matched_correlation:.2f}"
    )
    beside = span(found.random.matched)
    matched += f" (random networks {beside})" if beside else ""
    if change.strangers:
        raise StrangersError(f"{change.verdict} No sheet of channels is drawn; {matched}. Way out: {alone}")
    above = [value for value in found.random.matched if not math.isnan(value)]
    if found.strangers and above and found.matched_correlation > max(above) and found.matched > FEW_MATCHED:
        raise StrangersError(
            f"the channels of {layer} stand in another order: {matched}, but {found.traceable:.0%} are traceable under "
            f"their own number; {alone}"
        )
    if found.equal:
        raise DataError(
            f"the weights of {layer} and everything below are equal, bit by bit: every channel is the same before and "
            "after; take a later layer, or draw one network alone (after=None; --model)"
        )
    return found


def _of_one(own: Answers, seed: int) -> tuple[list[Choice], str]:
    if own.relevance is not None:
        score = own.relevance.sum(0) / own.images.sum()
        return choice.of_one(np.where(score > 0, score, np.nan), "most relevant", "highest mean relevance", seed)
    values = np.where(np.isfinite(own.strongest.value), own.strongest.value, np.nan) / own.deviation[:, None]
    count = (~np.isnan(values)).sum(1)
    score = np.where(count == values.shape[1], np.nan_to_num(values).sum(1) / np.maximum(count, 1), np.nan)
    words = f"highest mean of the {NINE} strongest answers, in standard deviations of the channel"
    return choice.of_one(score, "sharpest", words, seed)


def _twin(subject: Subject, random_networks: int, seed: int) -> tuple[Subject | None, str]:
    """A network with random weights to stand beside, and what to say of it."""
    if not random_networks:
        return None, "No network with random weights stands beside: what is shown may need no learning."
    from desali.reversal.graph.share import adopt

    model, kept = nulls.random_network(subject.model, nulls.random_seeds(1, seed)[0])
    adopt(model, subject.model)
    said = f"The random network keeps {len(kept)} weights that no layer draws anew ({kept[0]}, ...)." if kept else ""
    return Subject(CONTROL, model, {}, None), said


def _columns(
    chosen: Sequence[Choice], place: LayerLineage | None, looked: Sequence[Answers], products: Floats
) -> list[Column]:
    if place is None:
        return [Column(one) for one in chosen]
    before, after = looked[0].strongest, looked[1].strongest
    r, intervals = own_correlation(looked[0].moments, looked[1].moments, products)
    alive: npt.NDArray[np.bool_] = np.asarray((after.image >= 0).any(1))
    found = []
    for one in chosen:
        c = one.channel
        mine = before.image[c][before.image[c] >= 0]
        counts = np.isin(after.image, mine).sum(1)
        rest = alive & (np.arange(len(alive)) != c)
        others = float(counts[rest].mean()) if rest.any() else float("nan")
        found.append(
            Column(
                one,
                tracing.shown(str(place.state[c]), place.decided),
                float(r[c]),
                intervals[c],
                int(counts[c]),
                others,
            )
        )
    return found
