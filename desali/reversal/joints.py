"""Inverses of the layers that scale, join, cut and rearrange maps, and of everything that has no rule of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desali.errors import UnsupportedLayerError
from desali.reversal.adjoints import vector_jacobian
from desali.reversal.graph.network import Node, parameter
from desali.reversal.graph.operations import (
    BatchNorm,
    ChannelShuffle,
    Concatenation,
    GlobalAverage,
    Identity,
    Other,
    Permutation,
    Product,
    Reshape,
    Slice,
    Sum,
)
from desali.reversal.inverses import Arrivals, Reversal
from desali.reversal.signals import Signal, add, spread, whole

if TYPE_CHECKING:
    from torch import Tensor


def identity(reversal: Reversal, node: Node, operation: Identity, signal: Signal, fused: Node | None) -> Arrivals:
    return {node.inputs[0]: signal}


def reshape(reversal: Reversal, node: Node, operation: Reshape, signal: Signal, fused: Node | None) -> Arrivals:
    source = node.inputs[0]
    full = whole(signal, node.shape[1:]).tensor
    return {source: Signal(full.reshape(*full.shape[:2], *reversal.shape(source)))}


def permutation(reversal: Reversal, node: Node, operation: Permutation, signal: Signal, fused: Node | None) -> Arrivals:
    full = whole(signal, node.shape[1:]).tensor
    back = [operation.order.index(dim) for dim in range(len(operation.order))]
    return {node.inputs[0]: Signal(full.permute(0, 1, *(2 + dim for dim in back)))}


def channel_shuffle(
    reversal: Reversal, node: Node, operation: ChannelShuffle, signal: Signal, fused: Node | None
) -> Arrivals:
    n, k, channels, *size = signal.tensor.shape
    dealt = signal.tensor.reshape(n, k, channels // operation.groups, operation.groups, *size)
    return {node.inputs[0]: Signal(dealt.transpose(2, 3).reshape(signal.tensor.shape), signal.origin)}


def batch_norm(reversal: Reversal, node: Node, operation: BatchNorm, signal: Signal, fused: Node | None) -> Arrivals:
    """A factor for each channel."""
    factor = (parameter(reversal.model, operation.variance) + operation.eps).rsqrt()
    if operation.weight is not None:
        factor = factor * parameter(reversal.model, operation.weight)
    factor = factor.to(signal.tensor.dtype).view(-1, *(1,) * len(signal.size))
    return {node.inputs[0]: Signal(signal.tensor * factor, signal.origin)}


def global_average(
    reversal: Reversal, node: Node, operation: GlobalAverage, signal: Signal, fused: Node | None
) -> Arrivals:
    shape = reversal.shape(node.inputs[0])
    full = whole(signal, node.shape[1:]).tensor
    cells = 1
    for size in shape[1:]:
        cells *= size
    even = (full / cells).reshape(*full.shape[:3], *(1,) * len(shape[1:]))
    return {node.inputs[0]: Signal(even.expand(*full.shape[:3], *shape[1:]))}


def total(reversal: Reversal, node: Node, operation: Sum, signal: Signal, fused: Node | None) -> Arrivals:
    arrivals: Arrivals = {}
    for index, factor in operation.terms:
        part = signal if factor == 1 else Signal(signal.tensor * factor, signal.origin)
        _arrive(reversal, arrivals, index, _unbroadcast(part, node.shape, reversal.shape(index)))
    return arrivals


def product(reversal: Reversal, node: Node, operation: Product, signal: Signal, fused: Node | None) -> Arrivals:
    """Each factor receives the signal times the other factor."""
    inputs = reversal.inputs(node)
    arrivals: Arrivals = {}
    for index, other in ((operation.first, operation.second), (operation.second, operation.first)):
        x = inputs[other]
        flat = all(size == 1 for size in x.shape[2:])
        around = x.unsqueeze(1) if flat else spread(x.expand(-1, *node.shape), signal)
        part = Signal(signal.tensor * around, signal.origin)
        _arrive(reversal, arrivals, index, _unbroadcast(part, node.shape, reversal.shape(index)))
    return arrivals


def concatenation(
    reversal: Reversal, node: Node, operation: Concatenation, signal: Signal, fused: Node | None
) -> Arrivals:
    arrivals: Arrivals = {}
    first = 0
    for index in operation.parts:
        channels = reversal.shape(index)[0]
        part = Signal(signal.tensor.narrow(2, first, channels), signal.origin)
        first += channels
        _arrive(reversal, arrivals, index, part)
    return arrivals


def cut(reversal: Reversal, node: Node, operation: Slice, signal: Signal, fused: Node | None) -> Arrivals:
    shape = reversal.shape(node.inputs[0])
    if operation.dim > 0:
        signal = whole(signal, node.shape[1:])
    sizes = list(signal.tensor.shape)
    sizes[2 + operation.dim] = shape[operation.dim]
    back = signal.tensor.new_zeros(sizes)
    target: list[slice] = [slice(None)] * len(sizes)
    target[2 + operation.dim] = slice(
        operation.start, operation.start + (node.shape[operation.dim] - 1) * operation.step + 1, operation.step
    )
    back[tuple(target)] = signal.tensor
    return {node.inputs[0]: Signal(back, signal.origin)}


def other(reversal: Reversal, node: Node, operation: Other, signal: Signal, fused: Node | None) -> Arrivals:
    """Vector-Jacobian product at the recorded point."""
    rule = reversal.rule(node)
    if operation.pooling and (not rule.switches or rule.overlap != "sum"):
        raise UnsupportedLayerError(
            f"layer {node.name!r}: {operation.kind} takes maxima over unequal windows, for which only switches=True "
            "and overlap='sum' are defined; use a method with both (saliency, desalinet) or leave the layer out with "
            "Method(..., only=[...])"
        )
    tensor = whole(signal, node.shape[1:]).tensor
    parts = vector_jacobian(
        reversal.network, reversal.model, node, operation, tensor, reversal.inputs(node), reversal.bottleneck.values
    )
    return {index: Signal(part) for index, part in parts.items()}


def _arrive(reversal: Reversal, arrivals: Arrivals, index: int, part: Signal) -> None:
    known = arrivals.get(index)
    arrivals[index] = part if known is None else add(known, part, reversal.shape(index)[1:])


def _unbroadcast(signal: Signal, shape: tuple[int, ...], target: tuple[int, ...]) -> Signal:
    """Sum over what was broadcast from `target` to `shape`."""
    if shape == target:
        return signal
    tensor: Tensor = signal.tensor if shape[1:] == target[1:] else whole(signal, shape[1:]).tensor
    dims = [2 + dim for dim, size in enumerate(target) if size != shape[dim]]
    tensor = tensor.sum(dim=dims, keepdim=True)
    return Signal(tensor, signal.origin if shape[1:] == target[1:] else None)
