"""Where channels are followed: the inputs of a network's ReLUs, which are the same in two networks of one architecture.

A ReLU's input is what its layer computed before it is cut at zero: a convolution, a batch normalisation, the sum at the
end of a residual block, several convolutions joined. What no ReLU reads (the last layer, a convolution in the middle of
a residual sum, a linear bottleneck) has no signal of its own here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali.errors import DataError, UnknownNameError
from desali.reversal.graph.network import within
from desali.reversal.layers.arranging import Identity
from desali.reversal.layers.call import Parameter
from desali.reversal.layers.norms import BatchNorm

if TYPE_CHECKING:
    from torch import Tensor

    from desali.reversal.graph.network import Network
    from desali.reversal.layers.base import Node

POSITIONS = 256
"""Positions of a map, at most, at which a channel's signal is read."""


@dataclass(frozen=True)
class ReluInput:
    """One place where channels are followed.

    Attributes:
        name: of the ReLU.
        channels: C.
        positions: shape of its map.
        index: of the ReLU in the network's nodes.
        source: index of the node whose value the ReLU reads.
    """

    name: str
    channels: int
    positions: tuple[int, ...]
    index: int
    source: int


def relu_inputs(network: Network) -> list[ReluInput]:
    """The inputs of all ReLUs in forward order; one that several ReLUs read stands there once, by the first."""
    found: dict[int, ReluInput] = {}
    for relu in network.relus():
        source = network.nodes[relu.inputs[0]]
        if source.batched and source.shape and relu.name:
            channels, *positions = source.shape
            item = ReluInput(relu.name, channels, tuple(positions), relu.index, source.index)
            found.setdefault(source.index, item)
    return list(found.values())


def common(
    before: Network, after: Network, names: tuple[str, str] = ("before", "after")
) -> tuple[list[str], list[str]]:
    """Names of the layers that both networks have, and of those that only the classifier of one has.

    A rectified classifier may have another number of classes, or be missing in one of the two; all else must agree.

    Raises:
        DataError: two architectures.
    """
    first, second = relu_inputs(before), relu_inputs(after)
    for name, layers in zip(names, (first, second), strict=True):
        if not layers:
            raise DataError(f"{name} has no ReLU, and channels are followed at the inputs of ReLUs")
    shared = 0
    for one, other in zip(first, second, strict=False):
        if (one.name, one.channels) != (other.name, other.channels):
            break
        shared += 1
    rest = first[shared:], second[shared:]
    heads = [_rectifies_classifier(*pair) for pair in zip((before, after), rest, strict=True)]
    if not shared or not all(heads):
        raise DataError(_difference(names, first[shared : shared + 1], second[shared : shared + 1]))
    return [layer.name for layer in first[:shared]], list(dict.fromkeys(one.name for part in rest for one in part))


def _rectifies_classifier(network: Network, layers: Sequence[ReluInput]) -> bool:
    """Whether there is at most one layer, and no weights behind it."""
    return not layers or (len(layers) == 1 and not any(map(parameters_of, network.nodes[layers[0].index + 1 :])))


def parameters_of(node: Node) -> set[str]:
    """Qualified names of the parameters and buffers that a node reads itself."""
    found: set[str] = set()
    pending: list[Any] = [node.args, tuple(node.kwargs.values())]
    while pending:
        item = pending.pop()
        if isinstance(item, Parameter):
            found.add(item.name)
        elif isinstance(item, (list, tuple)):
            pending.extend(item)
    return found


def _difference(names: tuple[str, str], first: Sequence[ReluInput], second: Sequence[ReluInput]) -> str:
    words = [
        f"{part[0].name} with {part[0].channels} channels" if part else "no further ReLU" for part in (first, second)
    ]
    return (
        f"{names[0]} and {names[1]} are two architectures: where {names[0]} has {words[0]}, {names[1]} has {words[1]}; "
        "channels can be followed between networks of one architecture only"
    )


def resolve(network: Network, name: str, known: Sequence[str]) -> str:
    """The layer that a name means: a ReLU's, that of the layer before it, or a container's (its last ReLU).

    The end of a name does, where only one layer's ends so ("conv4" for "features.conv4").

    Args:
        known: names to choose from.

    Raises:
        UnknownNameError: it means none of them; the nearest is suggested.
    """
    if name in known:
        return name
    layers = [layer for layer in relu_inputs(network) if layer.name in known]
    ends = []
    for layer in layers:
        node = network.nodes[layer.source]
        own = {layer.name, node.name, node.module}
        while isinstance(node.operation, (BatchNorm, Identity)):
            node = network.nodes[node.inputs[0]]
            own |= {node.name, node.module}
        if name and name in own:
            return layer.name
        if name and any(one.endswith(f".{name}") for one in own):
            ends.append(layer.name)
    inside = [layer.name for layer in layers if within(network.nodes[layer.index], name)]
    if inside and name:
        return inside[-1]
    if len(ends) == 1:
        return ends[0]
    raise UnknownNameError("layer", name, known)


def read_at(positions: Sequence[int]) -> tuple[int, ...]:
    """How many positions of a map of that shape are read: at most 16 x 16 of a plane, 256 of a line, 6 x 6 x 6 else."""
    return tuple(math.ceil(extent / step) for extent, step in zip(positions, _steps(positions), strict=True))


def _steps(positions: Sequence[int]) -> tuple[int, ...]:
    most = int(POSITIONS ** (1 / max(1, len(positions))) + 1e-9)
    return tuple(max(1, math.ceil(extent / most)) for extent in positions)


def strided(value: Tensor) -> Tensor:
    """The signals of a map [N, C, *spatial], read at evenly spaced positions (see `read_at`): float64 [C, N, P]."""
    import torch

    index: Any = (slice(None), slice(None), *(slice(None, None, step) for step in _steps(value.shape[2:])))
    value = value[index]
    turned = value.reshape(*value.shape[:2], -1).transpose(0, 1).contiguous()  # quicker before it is made wider
    return turned.to(torch.float64)


def opened(value: Tensor) -> Tensor:
    """How many positions of each channel's map the ReLU lets through, int64 [N, C]."""
    import torch

    return torch.count_nonzero((value > 0).reshape(*value.shape[:2], -1), 2)
