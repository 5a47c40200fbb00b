"""One forward pass of every network over the probe set, batch by batch, with all sums taken on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desali.comparison.channel_statistics import Products, Sums
from desali.comparison.descriptors import Descriptors, InputDescriptors
from desali.comparison.frozen import Bools, frozen_channels
from desali.comparison.networks import Subject
from desali.comparison.probe_set import Integers, ProbeSet
from desali.comparison.relu_inputs import common, relu_inputs, resolve
from desali.comparison.sweep import bar, batch_size, followed_inputs, read_signals

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from desali.reversal.graph.network import Network

PRODUCT_BYTES = 1 << 30
"""Memory for the blocks' products of one pair of networks."""
MOST_BLOCKS, LEAST_BLOCKS = 50, 8
LEAST_SAMPLE, MOST_SAMPLE = 128, 512
"""Where there are 256 images and more, random networks run on a sample of them: half, but within these bounds."""
SAMPLE_BYTES = 512 << 20
"""Memory for the sample's descriptors in all networks."""


@dataclass(frozen=True, eq=False)
class Replicate:
    """What a pass over the images left of one replicate.

    Attributes:
        sums: its own.
        descriptors: of the sample's images.
        before, after: products of the networks before and after with it.
        frozen: channels [C] whose weights and everything below are bitwise those of the network before.
    """

    sums: Sums
    descriptors: Descriptors
    before: Products
    after: Products
    frozen: dict[str, Bools]


@dataclass(frozen=True, eq=False)
class Random:
    """What a pass over the sample left of a random network: its sums, products with the network after, descriptors."""

    sums: Sums
    after: Products
    descriptors: Descriptors


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
        sample: indices of the images that the random networks are run on, in the order in which they were read.
        sampled: sums of the network after over the sample.
        random: the random networks.
        described: the sample's images in the networks before and after.
        inputs: the sample's images themselves.
        block: of each image [N].
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
    sample: Integers
    sampled: Sums
    random: list[Random]
    described: tuple[Descriptors, Descriptors]
    inputs: InputDescriptors
    block: Integers
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
    places = [layer for layer in relu_inputs(captured) if layer.name in {shared[0], *chosen}]
    layers = {layer.name: layer.channels for layer in places}
    blocks, count = _blocks(probe, layers)
    sums = {one.name: Sums(one.name, layers, count, device) for one in (before, after, *replicates)}
    pair = Products(layers, count, device)
    chosen_images = probe.ordered(
        probe.sample(_sample_size(len(probe), layers, 2 + len(replicates) + len(random))), blocks
    )
    n = len(chosen_images)
    described = Descriptors(layers, n, device, dtype), Descriptors(layers, n, device, dtype)
    inputs = InputDescriptors(sample.shape[1:], n, device)
    again = [
        Replicate(
            sums[one.name],
            Descriptors(layers, n, device, dtype),
            Products(layers, 1, device),
            Products(layers, 1, device),
            {},
        )
        for one in replicates
    ]
    drawn = [
        Random(
            Sums(f"random network {k}", layers, 1, device, False),
            Products(layers, 1, device),
            Descriptors(layers, n, device, dtype),
        )
        for k in range(1, len(random) + 1)
    ]
    sampled = Sums(after.name, layers, 1, device, False)
    frozen: dict[str, Bools] = {}
    size = batch_size(captured, places, dtype)
    rest = np.setdiff1d(np.arange(len(probe)), chosen_images)
    seen = 0
    shown = bar(len(probe), progress)
    for images, index in probe.batches((chosen_images, rest), blocks, size, device, dtype):
        shown.update(len(images))
        block, at = blocks[index], _on(blocks[index], device)
        start, end = before.capture(images), after.capture(images)
        place = seen if seen < n else None
        seen += len(images)
        first = read_signals(start, before.tensors, images, layers, sums[before.name], at, described[0], place)
        second = read_signals(end, after.tensors, images, layers, sums[after.name], at, described[1], place)
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

            read_signals(again_captured, one.tensors, images, layers, kept.sums, at, kept.descriptors, place, both)
        if place is None:
            continue
        inputs.add(images, place)
        for layer, z in second.items():
            sampled.add_signal(layer, z, at * 0)
        for twin, own in zip(random, drawn, strict=True):

            def nulls(layer: str, z: Tensor, to: Products = own.after) -> None:
                to.add(layer, z, second[layer], block)  # noqa: B023

            read_signals(end, tensors(twin), images, layers, own.sums, at * 0, own.descriptors, place, nulls)
    shown.close()
    return Followed(
        layers=layers,
        left_out=left_out,
        blocks=count,
        before=sums[before.name],
        after=sums[after.name],
        pair=pair,
        frozen=frozen,
        replicates=again,
        sample=chosen_images,
        sampled=sampled,
        random=drawn,
        described=described,
        inputs=inputs,
        block=blocks,
        network=captured,
    )


def _frozen(
    before: Subject, start: Network, after: Subject, end: Network, layers: Mapping[str, int], images: Tensor
) -> dict[str, Bools]:
    return frozen_channels(start, before.tensors, end, after.tensors, followed_inputs(end, layers), images)


def _blocks(probe: ProbeSet, layers: Mapping[str, int]) -> tuple[Integers, int]:
    """The block of each image and how many there are: a patient each, as far as the memory for the products goes."""
    each = 8 * sum(channels**2 for channels in layers.values())
    blocks = probe.blocks(min(MOST_BLOCKS, max(LEAST_BLOCKS, PRODUCT_BYTES // each)))
    return blocks, int(blocks.max()) + 1


def _sample_size(images: int, layers: Mapping[str, int], networks: int) -> int:
    """How many images random networks are run on, and numbers by layer computed from."""
    if images < 2 * LEAST_SAMPLE:
        return images
    room = SAMPLE_BYTES // (8 * sum(layers.values()) * networks)
    return max(LEAST_SAMPLE, min(MOST_SAMPLE, images // 2, room))


def _on(block: Integers, device: torch.device) -> Tensor:
    import torch

    return torch.from_numpy(block).to(device)
