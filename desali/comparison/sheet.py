"""The numbers of a sheet of channels: which channels, which regions each answers to most strongly, and what they give.

Zeiler and Fergus 2014 (section 4.1, figure 2): the nine strongest regions of a channel, each with its reconstruction.
Here for the same channel before and after a stage, chosen on one half of the patients and shown on the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison import choice, nulls
from desali.comparison.ancestry import LayerLineage, Lineage
from desali.comparison.answering import Answers, answers, own_correlation
from desali.comparison.choice import Choice
from desali.comparison.halves import halves
from desali.comparison.lineage import lineage_of
from desali.comparison.networks import Subject
from desali.comparison.notes import seen_in_training
from desali.comparison.probe_set import ProbeSet
from desali.comparison.relevance import classes_of
from desali.comparison.relu_inputs import ReluInput, relu_inputs, resolve
from desali.comparison.strongest import NINE
from desali.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from desali.reversal.graph.network import Network
    from desali.reversal.methods import Method

Floats = npt.NDArray[np.float64]
Window = tuple[int, int, int, int]
CONTROL = "random weights"


class StrangersError(DataError):
    """Two networks without a common ancestor: no channel of one has a counterpart in the other."""


@dataclass(frozen=True, eq=False)
class Tile:
    """One of a channel's strongest regions.

    Attributes:
        place: of its image in the set that the sheet is drawn from.
        row: of its image in the images that were given.
        position: of the neuron on its map.
        value: the channel's signal there, in standard deviations from zero; of a relevance, in units of the output.
        window: (top, left, height, width) of its region in the image; it may reach outside.
        map: which of the band's maps is its reconstruction.
    """

    place: int
    row: int
    position: tuple[int, ...]
    value: float
    window: Window
    map: int


@dataclass(frozen=True, eq=False)
class Band:
    """What one network shows, a list of tiles for each column.

    Attributes:
        name: "before", "after", "network" or `CONTROL`.
        tiles: of each column, the strongest first; none where a channel is silent.
        maps: reconstructions [T, C, H, W] of all tiles, of a seed that is one standard deviation's inverse.
        firing: share of positions where the ReLU is open, of each column.
        relevance: of each column, the mean over images, and its 95 % interval by patient; empty for activation.
    """

    name: str
    tiles: list[list[Tile]]
    maps: Tensor
    firing: list[float]
    relevance: list[tuple[float, tuple[float, float] | None]]


@dataclass(frozen=True, eq=False)
class Column:
    """One channel.

    Attributes:
        choice: its number and why it is shown.
        state: of the lineage, as found on the images that the choice was made on; None for a single network.
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


def sheet(
    pair: Sequence[Subject],
    again: Sequence[Subject],
    probe: ProbeSet,
    layer: str,
    channels: Sequence[int] | None,
    by: str,
    method: str | Method,
    random_networks: int,
    seed: int,
) -> Sheet:
    """Choose channels, find their strongest regions and run these backwards.

    Args:
        pair: the networks before and after, or one network.
        layer: a ReLU, a layer before one, or a container.
        by: "activation", or of a single network "relevance".

    Raises:
        StrangersError: the networks share no ancestor, or the layer's channels stand in another order.
        DataError: see `desali.channels`. UnknownNameError: no such layer.
    """
    start = pair[-1].capture(_sample(pair[-1], probe))
    found = _followed(start, layer)
    split = halves(probe, seed)
    chosen_on, drawn_from = (probe, probe) if channels is not None else (split.chosen_on, split.drawn_from)
    classes = None
    if by == "relevance":
        outputs = start.nodes[start.output].shape[0]
        classes = classes_of(probe.labels, tuple(pair[-1].card.get("classes") or ()), outputs)
    change = _change(pair, again, chosen_on, found.name, random_networks, seed) if len(pair) > 1 else None
    place = None if change is None else change[found.name]
    if channels is not None:
        chosen, rule = choice.named(channels, found.channels, found.name), "the channels that were named"
    elif place is not None:
        chosen, rule = choice.of_pair(place, seed)
    else:
        part = None if classes is None else classes[_places(probe, chosen_on)]
        chosen, rule = _of_one(answers(pair, chosen_on, found.name, part)[0][0], seed)
    twin, missing = _twin(pair[-1], random_networks, seed)
    networks = [*pair, *([] if twin is None else [twin])]
    part = None if classes is None else classes[_places(probe, drawn_from)]
    looked, products = answers(networks, drawn_from, found.name, part)
    if not any(one.strongest.image.max() >= 0 for one in looked[: len(pair)]):
        raise DataError(
            f"no ReLU of {found.name} opens on any of these images: nothing passes this layer; check the weights and "
            "how the images are scaled, or take an earlier layer"
        )
    columns = _columns(chosen, place, looked, products)
    windows = _Windows(start, found)
    bands = [_band(one, own, columns, drawn_from, windows, method) for one, own in zip(networks, looked, strict=True)]
    size = windows.size(bands)
    notes = _notes(pair, again, chosen_on, drawn_from, split.why_whole, channels is not None, place, missing)
    made = Sheet(found, columns, bands, drawn_from, size, rule, notes)
    made.record.update(_record(made, pair, again, probe, chosen_on, place, by, random_networks, seed))
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
            f"a sheet shows regions of two-dimensional images, and these are {list(network.nodes[0].shape)}: follow the "
            "channels in numbers with desali.lineage"
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
    pair: Sequence[Subject], again: Sequence[Subject], probe: ProbeSet, layer: str, random_networks: int, seed: int
) -> Lineage:
    """The lineage at one layer.

    Raises:
        StrangersError, DataError: no channel has a counterpart, or nothing changed.
    """
    change = lineage_of(pair, again, probe, [layer], random_networks, seed)
    found = change[layer]
    alone = "draw each network alone (after=None; --model), or compare them in numbers with desali.lineage"
    matched = (
        f"{found.matched:.0%} of {layer}'s channels have a mutual partner of any number, median r "
        f"{found.matched_correlation:.2f}"
    )
    beside = _span(found.random.matched)
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
    return change


FEW_MATCHED = 0.5
"""Share of matched channels from which on strangers at one layer are the same channels in another order."""


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
    alive = (after.image >= 0).any(1)
    found = []
    for one in chosen:
        c = one.channel
        mine = before.image[c][before.image[c] >= 0]
        counts = np.isin(after.image, mine).sum(1)
        rest = alive & (np.arange(len(alive)) != c)
        others = float(counts[rest].mean()) if rest.any() else float("nan")
        found.append(Column(one, str(place.state[c]), float(r[c]), intervals[c], int(counts[c]), others))
    return found


class _Windows:
    """The regions of a layer's neurons, as wide as the layer's own field everywhere, or as the image where it is wider."""

    def __init__(self, network: Network, layer: ReluInput) -> None:
        self.network = network
        self.node = network.nodes[layer.index]
        self.image = network.nodes[0].shape[1:]
        self.known: dict[tuple[int, ...], Window] = {}

    def __call__(self, position: tuple[int, ...]) -> Window:
        """(top, left, height, width) in the image; it counts padding, so it may reach outside."""
        if position not in self.known:
            from desali.reversal.receptive_field import image_cells

            start = (*(range(size) for size in self.node.shape[:1]), *((at,) for at in position))
            cells = image_cells(self.network, self.node, start, inside=False)
            spans = []
            for part, extent in zip([range(0)] * 2 if cells is None else cells[1:], self.image, strict=True):
                low, wide = (min(part), max(part) - min(part) + 1) if len(part) else (0, extent)
                spans.append((0, extent) if wide >= extent else (low, wide))
            (top, height), (left, width) = spans
            self.known[position] = (top, left, height, width)
        return self.known[position]

    def size(self, bands: Sequence[Band]) -> tuple[int, int]:
        """Height and width of the largest."""
        found = [tile.window for band in bands for tiles in band.tiles for tile in tiles]
        return max(window[2] for window in found), max(window[3] for window in found)


def _band(
    subject: Subject, own: Answers, columns: Sequence[Column], probe: ProbeSet, windows: _Windows, method: str | Method
) -> Band:
    """One network: its tiles, and their reconstructions from one recording and one sweep."""
    import torch

    from desali.reversal.placing import Placed, Points
    from desali.reversal.recording import record

    deviation = own.deviation
    tiles: list[list[Tile]] = []
    channel: list[int] = []
    count = 0
    for column in columns:
        c = column.choice.channel
        row = []
        for value, place, at in own.strongest.of(c):
            position = tuple(int(k) for k in np.unravel_index(at, own.layer.positions)) if own.layer.positions else ()
            shown = value if own.relevance is not None else value / deviation[c]
            where = int(probe.row(np.array([place]))[0])
            row.append(Tile(place, where, position, shown, windows(position), count))
            channel.append(c)
            count += 1
        tiles.append(row)
    flat = [tile for row in tiles for tile in row]
    if not flat:
        maps = torch.zeros(0, *windows.network.nodes[0].shape)
    else:
        images = probe.tensor(np.array([tile.place for tile in flat])).to(subject.device, subject.dtype)
        recording = record(subject.model, images)
        value = torch.tensor([1 / deviation[c] for c in channel], dtype=images.dtype, device=images.device)
        position = torch.tensor([tile.position for tile in flat], dtype=torch.int64).reshape(count, 1, -1)
        points = Points(torch.tensor(channel, dtype=torch.int64)[:, None], position, value[:, None])
        name = own.layer.name
        maps = recording.reconstruct(name, Placed({name: [points]}), method)[:, 0].cpu()
    firing = [float(own.moments.firing[column.choice.channel]) for column in columns]
    return Band(subject.name, tiles, maps, firing, _relevances(own, columns))


def _relevances(own: Answers, columns: Sequence[Column]) -> list[tuple[float, tuple[float, float] | None]]:
    if own.relevance is None:
        return []
    from scipy.special import stdtrit

    from desali.evaluation.statistics import LEVEL

    blocks = len(own.images)
    found: list[tuple[float, tuple[float, float] | None]] = []
    for column in columns:
        sums = own.relevance[:, column.choice.channel]
        mean = float(sums.sum() / own.images.sum())
        if blocks < 2:
            found.append((mean, None))
            continue
        without = (sums.sum() - sums) / (own.images.sum() - own.images)
        error = math.sqrt((blocks - 1) / blocks * float(((without - without.mean()) ** 2).sum()))
        half = float(stdtrit(blocks - 1, (1 + LEVEL) / 2)) * error
        found.append((mean, (mean - half, mean + half)))
    return found


def _notes(
    pair: Sequence[Subject],
    again: Sequence[Subject],
    chosen_on: ProbeSet,
    drawn_from: ProbeSet,
    why_whole: str,
    named: bool,
    place: LayerLineage | None,
    missing: str,
) -> list[str]:
    found = []
    if named or chosen_on is drawn_from:
        found.append(f"Drawn from {_counted(drawn_from)}.")
        if not named:
            found.append(f"Chosen on the same images: {why_whole}, so the choice flatters what is shown.")
    else:
        found.append(f"Chosen on {_counted(chosen_on)}, drawn from {_counted(drawn_from)} that the choice did not see.")
    counts = drawn_from.class_counts
    if counts is not None:
        found.append(f"Classes of the images drawn from: {', '.join(f'{name} {n}' for name, n in counts.items())}.")
    unit = drawn_from.unit
    if not drawn_from.known:
        found.append("Patients are not known: several of a channel's images may be of one.")
    elif drawn_from.count_of_patients < NINE:
        found.append(
            f"At most one image a {unit}, as far as {drawn_from.count_of_patients} {unit}s go: one each first, then the "
            "next strongest."
        )
    else:
        found.append(f"At most one image a {unit}, unless a channel answers to fewer than {NINE} {unit}s.")
    if place is not None:
        if not again:
            found.append(
                "No replicates (the same stage from the same parent with another seed): kept and reshaped channels are "
                "not told apart."
            )
        beside = _span(place.random.correlation, "+.2f")
        if beside:
            found.append(
                f"Median r of the layer {place.own_correlation:+.2f}, of {len(place.random.correlation)} networks with "
                f"random weights {beside}."
            )
        if place.strangers:
            found.append(
                f"AT THIS LAYER the channels are no more alike to themselves than those of two unrelated networks "
                f"({round(place.traceable * place.channels)} of {place.channels} traceable): one number need not be one "
                "channel."
            )
    if missing:
        found.append(missing)
    return found + seen_in_training(drawn_from, [*pair, *again])


def _counted(probe: ProbeSet) -> str:
    many = probe.count_of_patients
    return f"{len(probe)} images" + (f" of {many} {probe.unit}{'s' if many > 1 else ''}" if probe.known else "")


def _span(values: Sequence[float], form: str = ".2f") -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return ""
    low, high = format(min(known), form), format(max(known), form)
    return low if low == high else f"{low} to {high}"


def class_counts(tiles: Sequence[Tile], probe: ProbeSet) -> dict[str, int] | None:
    """How many of the tiles are of each class, the most frequent first; None where classes are not known."""
    if probe.labels is None:
        return None
    found = Counter(probe.labels[tile.place] for tile in tiles)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def patients_of(tiles: Sequence[Tile], probe: ProbeSet) -> int:
    """Of how many patients the tiles are."""
    return len({str(probe.patients[tile.place]) for tile in tiles})


def _record(
    made: Sheet,
    pair: Sequence[Subject],
    again: Sequence[Subject],
    probe: ProbeSet,
    chosen_on: ProbeSet,
    place: LayerLineage | None,
    by: str,
    random_networks: int,
    seed: int,
) -> dict[str, Any]:
    drawn_from = made.drawn_from

    def tile(one: Tile) -> dict[str, Any]:
        return {
            "image": one.row,
            "sha256": drawn_from.hashes[one.place],
            "patient": str(drawn_from.patients[one.place]) if drawn_from.known else None,
            "class": None if drawn_from.labels is None else drawn_from.labels[one.place],
            "position": list(one.position),
            "value": one.value,
            "receptive_field": list(one.window),
        }

    columns = []
    for k, column in enumerate(made.columns):
        shown = {}
        for band in made.bands:
            mean, interval = band.relevance[k] if band.relevance else (None, None)
            shown[band.name] = {
                "firing": band.firing[k],
                "classes": class_counts(band.tiles[k], drawn_from),
                "patients": patients_of(band.tiles[k], drawn_from) if drawn_from.known else None,
                **({"relevance": mean, "relevance_interval": interval} if band.relevance else {}),
                "strongest": [tile(one) for one in band.tiles[k]],
            }
        own = {"channel": column.choice.channel, "why": column.choice.why}
        if column.state is not None:
            own |= {
                "state": column.state,
                "r": column.r,
                "r_interval": column.interval,
                "shared": column.shared,
                "shared_with_others": column.others,
            }
        columns.append({**own, "shown": shown})

    def images(part: ProbeSet) -> dict[str, Any]:
        return {
            "count": len(part),
            "sha256": part.fingerprint,
            "patients": part.count_of_patients if part.known else None,
            "classes": part.class_counts,
        }

    return {
        "networks": {one.name: one.facts() for one in (*pair, *again)},
        "layer": made.layer.name,
        "channels": made.layer.channels,
        "by": by,
        "rule": made.rule,
        "images": {
            **images(probe),
            "unit": probe.unit if probe.known else "image",
            "preprocessing": None if probe.preprocessing is None else probe.preprocessing.to_dict(),
            "chosen_on": images(chosen_on),
            "drawn_from": images(drawn_from),
        },
        "random": {"seed": seed, "seeds": nulls.random_seeds(random_networks, seed)},
        "lineage": None if place is None else place.row(),
        "tile": list(made.size),
        "columns": columns,
        "notes": made.notes,
    }
