"""One batch of images through one network: its signals at the layers that are followed, and sums taken on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from desali.comparison.relu_inputs import ReluInput, read_at, relu_inputs
from desali.output.progress import bar as progress_bar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from desali.comparison.channel_statistics import Sums
    from desali.comparison.descriptors import Descriptors
    from desali.reversal.graph.network import Network
    from desali.reversal.layers.base import Node

BATCH_BYTES = 128 << 20
MOST_IMAGES = 64

Signals = dict[str, "Tensor"]


def read_signals(
    network: Network,
    weights: Mapping[str, Tensor],
    images: Tensor,
    layers: Mapping[str, int],
    sums: Sums,
    block: Tensor,
    descriptors: Descriptors | None = None,
    place: int | None = None,
    use: Callable[[str, Tensor], Any] | None = None,
) -> Signals:
    """Run a network, add to its sums, and hand each signal [C, N, P] to `use`, or keep and return them all.

    Args:
        network: as captured for these images.
        weights: parameters and buffers by qualified name.
        layers: channels of each layer that is followed.
        block: of each image [N].
        descriptors: to add to, where there are any.
        place: where the batch stands in the sample that they describe; None: it is none of the sample.
    """
    from desali.reversal.graph.quiet import quiet
    from desali.reversal.graph.run import run

    wanted = {layer.source: layer.name for layer in followed_inputs(network, layers)}
    kept: Signals = {}

    def observe(node: Node, value: Tensor) -> None:
        if node.index in wanted:
            name = wanted[node.index]
            z = sums.add(name, value, block)
            if descriptors is not None and place is not None:
                descriptors.add(name, value, place)
            if use is None:
                kept[name] = z
            else:
                use(name, z)

    with quiet(images.device):
        run(network, dict(weights), images, None, observe, max(wanted))
    return kept


def followed_inputs(network: Network, layers: Mapping[str, int]) -> list[ReluInput]:
    """The ReLUs' inputs of a network that are followed, in forward order."""
    return [layer for layer in relu_inputs(network) if layer.name in layers]


def batch_size(network: Network, layers: Sequence[ReluInput], dtype: torch.dtype, networks: int = 2) -> int:
    """How many images are run at a time: a function of the network, and of how many networks' signals are held."""
    largest = max(math.prod(node.shape) for node in network.nodes)
    held = sum(layer.channels * math.prod(read_at(layer.positions)) for layer in layers)
    return max(1, min(MOST_IMAGES, BATCH_BYTES // (3 * dtype.itemsize * largest + networks * 8 * held)))


def bar(images: int, progress: bool) -> Any:
    """A bar over images on stderr, lines where no terminal shows it, or nothing."""
    return progress_bar(images, "images", "image", shown=progress, leave=False)
