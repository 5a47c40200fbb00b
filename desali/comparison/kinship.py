"""Which channels of several networks are one another's: every two of them, in one pass over the images.

What `lineage` measures between two networks, for as many as stand in one figure and at the figure's layers alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.comparison import nulls, tracing
from desali.comparison.channel_statistics import Products, Sums, correlation
from desali.comparison.frozen import frozen_channels, same_signal
from desali.comparison.networks import Subject
from desali.comparison.probe_set import ProbeSet
from desali.comparison.relu_inputs import common, relu_inputs, resolve
from desali.comparison.sweep import batch_size, followed_inputs, read_signals
from desali.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from desali.comparison.probe_set import Integers
    from desali.reversal.graph.network import Network

RANDOM_NETWORKS = 5
RANDOM_IMAGES = 128
"""How many images the random networks are run on, where there are more."""


@dataclass(frozen=True, eq=False)
class Kin:
    """The channels of one layer in two networks.

    Attributes:
        traceable: whether each is its own mutual nearest neighbour, or frozen [C].
        frozen: whether its weights and everything below are equal bit by bit [C].
        correlation: of each with itself [C]; NaN where it is constant.
        strangers: whether they are no more alike than those of unrelated networks; no channel is called the same then.
    """

    traceable: tracing.Bools
    frozen: tracing.Bools
    correlation: tracing.Floats
    strangers: bool

    def same(self, channel: int) -> bool:
        """Whether a channel is the same in both."""
        return bool(self.traceable[channel] and not self.strangers)


@dataclass(frozen=True, eq=False)
class Kinship:
    """Channels followed between every two of several networks.

    Attributes:
        pairs: (earlier network, later network, layer as it was asked for) -> its channels.
        facts: what was measured on what, JSON-serialisable.
    """

    pairs: dict[tuple[str, str, str], Kin] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def between(self, one: str, other: str, layer: str) -> Kin | None:
        """The channels of a layer in two networks, named in their order; None where they were not followed."""
        return self.pairs.get((one, other, layer))


def kinship(networks: Sequence[Subject], probe: ProbeSet, names: Sequence[str], seed: int = 0) -> Kinship:
    """Follow the channels of some layers between every two networks of one architecture.

    Args:
        networks: two at least, on one device.
        names: of layers: ReLUs, layers before them, or containers, whose last ReLU it is. Others are not followed.
        seed: of the random networks that say what strangers show.

    Raises:
        DataError: two architectures, NaN, or no weight that can be drawn anew.
    """
    from desali.reversal.graph.share import adopt
    from desali.reversal.graph.structure import tensors

    first = networks[0]
    sample = probe.tensor(np.arange(2)).to(first.device, first.dtype)
    captured = first.capture(sample)
    shared = [layer.name for layer in relu_inputs(captured)]
    for other in networks[1:]:
        adopt(other.model, first.model)
        found = common(captured, other.capture(sample), (first.name, other.name))[0]
        shared = [name for name in shared if name in found]
    followed = {name: layer for name in names if (layer := _followed(captured, name, shared)) is not None}
    inputs = [layer for layer in relu_inputs(captured) if layer.name in {shared[0], *followed.values()}]
    layers = {layer.name: layer.channels for layer in inputs}
    seeds = nulls.random_seeds(RANDOM_NETWORKS, seed)
    twins = [nulls.random_network(networks[-1].model, one, True)[0] for one in seeds]
    sums = {one.name: Sums(one.name, layers, 1, first.device, False) for one in networks}
    pairs = list(itertools.combinations(range(len(networks)), 2))
    products = {pair: Products(layers, 1, first.device) for pair in pairs}
    sampled = {one.name: Sums(one.name, layers, 1, first.device, False) for one in networks[1:]}
    random = [Sums(f"random network {k}", layers, 1, first.device, False) for k, _ in enumerate(twins, 1)]
    against = [[Products(layers, 1, first.device) for _ in networks[1:]] for _ in twins]
    frozen: dict[tuple[int, int], dict[str, Any]] = {}
    size = batch_size(captured, inputs, first.dtype, len(networks))
    sample_of = probe.sample(RANDOM_IMAGES)
    parts = (sample_of, np.setdiff1d(np.arange(len(probe)), sample_of))
    one_block = np.zeros(len(probe), np.int64)
    seen = 0
    for images, at in probe.batches(parts, one_block, size, first.device, first.dtype):
        block = one_block[at]
        seen += len(images)
        graphs = [one.capture(images) for one in networks]
        index = _zeros(block, images)
        values = [
            read_signals(graph, one.tensors, images, layers, sums[one.name], index)
            for graph, one in zip(graphs, networks, strict=True)
        ]
        for a, b in pairs:
            if (a, b) not in frozen:
                start, end = networks[a], networks[b]
                frozen[a, b] = frozen_channels(
                    graphs[a], start.tensors, graphs[b], end.tensors, followed_inputs(graphs[b], layers), images[:2]
                )
            for layer in layers:
                products[a, b].add(layer, values[a][layer], values[b][layer], block)
        if seen > len(sample_of):
            continue
        for other, own in zip(networks[1:], values[1:], strict=True):
            for layer, z in own.items():
                sampled[other.name].add_signal(layer, z, index)
        for twin, own_sums, each in zip(twins, random, against, strict=True):
            drawn = read_signals(graphs[-1], tensors(twin), images, layers, own_sums, index)
            for to, other_signals in zip(each, values[1:], strict=True):
                for layer, z in drawn.items():
                    to.add(layer, z, other_signals[layer], block)
    made = {}
    for a, b in pairs:
        one, other = networks[a], networks[b]
        kin = {}
        for layer in layers:
            moments = sums[one.name].moments(layer), sums[other.name].moments(layer)
            m = correlation(*moments, products[a, b].of(layer))
            middles = [
                nulls.median(np.diagonal(correlation(
                    own_sums.moments(layer), sampled[other.name].moments(layer), each[b - 1].of(layer)
                )))
                for own_sums, each in zip(random, against, strict=True)
            ]  # fmt: skip
            kin[layer] = _kin(m, frozen[a, b][layer] & same_signal(*moments), tuple(middles))
        apart = kin[shared[0]].strangers
        for name, layer in followed.items():
            found_kin = kin[layer]
            made[one.name, other.name, name] = Kin(
                found_kin.traceable, found_kin.frozen, found_kin.correlation, apart or found_kin.strangers
            )
    facts = {
        "images": len(probe),
        "sha256": probe.fingerprint,
        probe.unit if probe.known else "patient": probe.count_of_patients if probe.known else None,
        "random_networks": len(twins),
        "random_seed": seed,
    }
    return Kinship(made, facts)


def _followed(network: Network, name: str, shared: Sequence[str]) -> str | None:
    try:
        return resolve(network, name, shared)
    except UnknownNameError:
        return None


def _kin(m: tracing.Floats, frozen: tracing.Bools, middles: tuple[float, ...]) -> Kin:
    traceable = tracing.own_nearest(m) | frozen
    r = np.array(np.diagonal(m))
    strangers = not frozen.all() and nulls.strangers(traceable, r, nulls.Null(correlation=middles))
    return Kin(traceable, frozen, r, strangers)


def _zeros(block: Integers, images: Tensor) -> Tensor:
    import torch

    return torch.zeros(len(block), dtype=torch.int64, device=images.device)
