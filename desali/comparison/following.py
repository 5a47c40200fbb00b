"""One forward pass of every network over the probe set, batch by batch, with all sums taken on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali.comparison.channel_statistics import Products, Sums
from desali.comparison.frozen import Bools, frozen_channels
from desali.comparison.networks import Subject
from desali.comparison.probe_set import Integers, ProbeSet
from desali.comparison.relu_inputs import ReluInput, common, read_at, relu_inputs, resolve

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from desali.reversal.graph.network import Network
    from desali.reversal.layers.base import Node

BATCH_BYTES = 128 << 20
MOST_IMAGES = 64
PRODUCT_BYTES = 1 << 30
"""Memory for the blocks' products of one pair of networks."""
MOST_BLOCKS, LEAST_BLOCKS = 50, 8
RANDOM_IMAGES = 128
"""About how many images random networks are run on, where there are many more: what chance gives needs no more."""

Signals = dict[str, "Tensor"]


@dataclass(frozen=True, eq=False)
class Replicate:
    """What a pass over the images left of one replicate.

    Attributes:
        sums: its own.
        before, after: products of the networks before and after with it.
        frozen: channels [C] whose weights and everything below are bitwise those of the network before.
    """

    sums: Sums
    before: Products
    after: Products
    frozen: dict[str, Bools]


@dataclass(frozen=True, eq=False)
class Followed:
    """What one pass over the images left.

    Attributes:
        layers: channels of each layer, in forward order.
        left_out: layers that only the classifier of one of the networks has.
        blocks: B, blocks of patients.
        before, after: sums of the two networks.
        pair: products before x after, by block.
        frozen: channels [C] whose weights and everything below are bitwise equal.
        replicates: as given.
        sampled: sums of the network after over the images that the random networks are run on.
        random: of each random network its sums, and the products random x after.
        random_images: how many images these are.
        network: the captured network after.
    """

    layers: dict[str, int]
    left_out: list[str]
    blocks: int
    before: Sums
    after: Sums
    pair: Products
    frozen: dict[str, Bools]
    replicates: list[Replicate]
    sampled: Sums
    random: list[tuple[Sums, Products]]
    random_images: int
    network: Network


def follow(
    before: Subject,
    after: Subject,
    replicates: Sequence[Subject],
    random: Sequence[nn.Module],
    probe: ProbeSet,
    names: Sequence[str] | None,
    progress: bool = False,
) -> Followed:
    """Run every network once over the images and add up the sums.

    Args:
        progress: show a bar over the images on stderr.
        random: copies of the network after with other weights; they are run as its captured network.
        names: of the layers, as users name them; None: all. The first of the network is always followed.

    Raises:
        DataError: two architectures, NaN in an image or a signal. UnknownNameError: no such layer.
    """
    import numpy as np

    from desali.reversal.graph.share import adopt
    from desali.reversal.graph.structure import tensors

    device, dtype = before.device, before.dtype
    sample = probe.tensor(np.arange(2)).to(device, dtype)
    network = before.capture(sample)
    for other in (after, *replicates):
        adopt(other.model, before.model)
    captured = after.capture(sample)
    shared, left_out = common(network, captured)
    for one in replicates:
        shared = [name for name in shared if name in common(captured, one.capture(sample), ("after", one.name))[0]]
    chosen = shared if names is None else [resolve(captured, name, shared) for name in names]
    inputs = [layer for layer in relu_inputs(captured) if layer.name in {shared[0], *chosen}]
    layers = {layer.name: layer.channels for layer in inputs}
    blocks, count = _blocks(probe, layers)
    sums = {one.name: Sums(one.name, layers, count, device) for one in (before, after, *replicates)}
    pair = Products(layers, count, device)
    again = [
        Replicate(sums[one.name], Products(layers, 1, device), Products(layers, 1, device), {}) for one in replicates
    ]
    drawn = [
        (tensors(twin), Sums(f"random network {k}", layers, 1, device, False), Products(layers, 1, device))
        for k, twin in enumerate(random, 1)
    ]
    sampled, random_images = Sums(after.name, layers, 1, device, False), 0
    frozen: dict[str, Bools] = {}
    size = batch_size(captured, inputs, dtype)
    every = max(1, len(probe) // RANDOM_IMAGES)
    bar = _bar(len(probe), progress)
    for number, (images, block) in enumerate(probe.batches(blocks, size, device, dtype)):
        bar.update(len(images))
        index = _on(block, device)
        start, end = before.capture(images), after.capture(images)
        first = signals(start, before.tensors, images, layers, sums[before.name], index)
        second = signals(end, after.tensors, images, layers, sums[after.name], index)
        if not frozen:
            frozen.update(_frozen(before, start, after, end, layers, images))
        for layer in layers:
            pair.add(layer, first[layer], second[layer], block)
        for one, kept in zip(replicates, again, strict=True):
            again_captured = one.capture(images)
            if not kept.frozen:
                kept.frozen.update(_frozen(before, start, one, again_captured, layers, images))

            def both(layer: str, z: Tensor, to: Replicate = kept) -> None:
                to.before.add(layer, first[layer], z, block)  # noqa: B023 (used in this turn alone)
                to.after.add(layer, second[layer], z, block)  # noqa: B023

            signals(again_captured, one.tensors, images, layers, sums[one.name], index, both)
        if number % every:
            continue
        random_images += len(images)
        for layer, z in second.items():
            sampled.add_signal(layer, z, index * 0)
        for weights, own, products in drawn:

            def nulls(layer: str, z: Tensor, to: Products = products) -> None:
                to.add(layer, z, second[layer], block)  # noqa: B023

            signals(end, weights, images, layers, own, index * 0, nulls)
    bar.close()
    return Followed(
        layers=layers,
        left_out=left_out,
        blocks=count,
        before=sums[before.name],
        after=sums[after.name],
        pair=pair,
        frozen=frozen,
        replicates=again,
        sampled=sampled,
        random=[(own, products) for _, own, products in drawn],
        random_images=random_images,
        network=captured,
    )


def _bar(images: int, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=images, desc="images", unit="image", leave=False, disable=not progress)


def _frozen(
    before: Subject, start: Network, after: Subject, end: Network, layers: Mapping[str, int], images: Tensor
) -> dict[str, Bools]:
    return frozen_channels(start, before.tensors, end, after.tensors, only(end, layers), images)


def signals(
    network: Network,
    weights: Mapping[str, Tensor],
    images: Tensor,
    layers: Mapping[str, int],
    sums: Sums,
    block: Tensor,
    use: Callable[[str, Tensor], Any] | None = None,
) -> Signals:
    """Run a network, add to its sums, and hand each signal to `use`, or keep and return them all."""
    from desali.reversal.graph.quiet import quiet
    from desali.reversal.graph.run import run

    wanted = {layer.source: layer.name for layer in only(network, layers)}
    kept: Signals = {}

    def observe(node: Node, value: Tensor) -> None:
        if node.index in wanted:
            name = wanted[node.index]
            z = sums.add(name, value, block)
            if use is None:
                kept[name] = z
            else:
                use(name, z)

    with quiet(images.device):
        run(network, dict(weights), images, None, observe, max(wanted))
    return kept


def only(network: Network, layers: Mapping[str, int]) -> list[ReluInput]:
    """The inputs of these ReLUs."""
    return [layer for layer in relu_inputs(network) if layer.name in layers]


def _blocks(probe: ProbeSet, layers: Mapping[str, int]) -> tuple[Integers, int]:
    """The block of each image and how many there are: a patient each, as far as the memory for the products goes."""
    each = 8 * sum(channels**2 for channels in layers.values())
    blocks = probe.blocks(min(MOST_BLOCKS, max(LEAST_BLOCKS, PRODUCT_BYTES // each)))
    return blocks, int(blocks.max()) + 1


def batch_size(network: Network, layers: Sequence[ReluInput], dtype: torch.dtype, kept: int = 2) -> int:
    """How many images are run at a time: a function of the network alone.

    Args:
        kept: networks whose signals are held together.
    """
    import math

    largest = max(math.prod(node.shape) for node in network.nodes)
    numbers = sum(layer.channels * math.prod(read_at(layer.positions)) for layer in layers)
    each = 3 * dtype.itemsize * largest + kept * 8 * numbers
    return max(1, min(MOST_IMAGES, BATCH_BYTES // each))


def _on(block: Integers, device: torch.device) -> Tensor:
    import torch

    return torch.from_numpy(block).to(device)
