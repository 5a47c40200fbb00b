"""The regions that a channel answers to most strongly, as places in images, and what they give when run backwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from desali.comparison.answering import Answers
from desali.comparison.jackknife import half_width
from desali.comparison.networks import Subject
from desali.comparison.probe_set import ProbeSet
from desali.comparison.relu_inputs import ReluInput

if TYPE_CHECKING:
    from torch import Tensor

    from desali.reversal.graph.network import Network
    from desali.reversal.methods import Method

Window = tuple[int, int, int, int]


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


class Windows:
    """The regions of a layer's neurons: all as wide as the layer's field, or as the image where that is wider."""

    def __init__(self, network: Network, layer: ReluInput) -> None:
        self.network = network
        self.node = network.nodes[layer.index]
        self.middle = tuple(extent // 2 for extent in layer.positions)
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
        """Height and width of the largest; without any, those of the neuron in the map's middle."""
        found = [tile.window for band in bands for tiles in band.tiles for tile in tiles] or [self(self.middle)]
        return max(window[2] for window in found), max(window[3] for window in found)


def band_of(
    subject: Subject, own: Answers, channels: Sequence[int], probe: ProbeSet, windows: Windows, method: str | Method
) -> Band:
    """One network: its channels' strongest regions, and their reconstructions from one recording and one sweep.

    Every tile has its own copy of its image, so that all neurons, each on its own image, go back together.
    """
    import torch

    from desali.reversal.methods import method as find_method
    from desali.reversal.placing import Placed, Points
    from desali.reversal.recording import record
    from desali.reversal.values import Need

    deviation = own.deviation
    tiles: list[list[Tile]] = []
    channel: list[int] = []
    count = 0
    for c in channels:
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
        recording = record(subject.model, images, Need(reversed_=((find_method(method), (own.layer.name,)),)))
        one = torch.tensor([1 / deviation[c] for c in channel], dtype=images.dtype, device=images.device)
        neurons = torch.tensor([tile.position for tile in flat], dtype=torch.int64).reshape(count, 1, -1)
        points = Points(torch.tensor(channel, dtype=torch.int64)[:, None], neurons, one[:, None])
        name = own.layer.name
        maps = recording.reconstruct(name, Placed({name: [points]}), method)[:, 0].cpu()
    firing = [float(own.moments.firing[c]) for c in channels]
    return Band(subject.name, tiles, maps, firing, _relevances(own, channels))


def _relevances(own: Answers, channels: Sequence[int]) -> list[tuple[float, tuple[float, float] | None]]:
    if own.relevance is None:
        return []
    sums = own.relevance[:, list(channels)]
    mean = sums.sum(0) / own.images.sum()
    if len(sums) < 2:
        return [(float(value), None) for value in mean]
    half = half_width((sums.sum(0) - sums) / (own.images.sum() - own.images)[:, None])
    return [(float(value), (float(value - h), float(value + h))) for value, h in zip(mean, half, strict=True)]


def class_counts(tiles: Sequence[Tile], probe: ProbeSet) -> dict[str, int] | None:
    """How many of the tiles are of each class, the most frequent first; None where classes are not known."""
    if probe.labels is None:
        return None
    found = Counter(probe.labels[tile.place] for tile in tiles)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def patients_of(tiles: Sequence[Tile], probe: ProbeSet) -> int:
    """Of how many patients the tiles are."""
    return len({str(probe.patients[tile.place]) for tile in tiles})
