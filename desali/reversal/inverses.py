"""What an inverse needs to know, and the inverses of ReLU, pooling, normalisation, convolution and linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali import ops
from desali.reversal.adjoints import local_response_norm
from desali.reversal.graph.network import Network, Node, parameter, within
from desali.reversal.graph.operations import (
    AveragePool,
    Convolution,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Other,
    Product,
    ReLU,
)
from desali.reversal.methods import TRUE_ADJOINT, Method
from desali.reversal.signals import Signal, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

Arrivals = dict[int, Signal]


@dataclass(frozen=True)
class Bottleneck:
    """What the forward pass leaves for the reversal (Mahendran and Vedaldi 2016, section 2.1).

    Attributes:
        masks: for every ReLU, uint8 [N, *S, ceil(C/8)].
        switches: for every max pooling, [N, *P, C].
        values: values of the nodes that do not depend on the image's values.
        inputs: gives the recorded inputs of a node, [N, ...] each.
    """

    masks: dict[int, Tensor]
    switches: dict[int, Tensor]
    values: list[Any]
    inputs: Callable[[Node], dict[int, Tensor]]


@dataclass(frozen=True)
class Reversal:
    """A recorded network with the method to reverse it by.

    Attributes:
        images: slice of the recorded images that the signals belong to.
        backend: "auto", "native" or "torch".
    """

    network: Network
    model: nn.Module
    bottleneck: Bottleneck
    method: Method
    images: slice
    backend: str

    def rule(self, node: Node) -> Method:
        """The method that a layer follows."""
        return rule_for(self.network, self.method, node)

    def shape(self, index: int) -> tuple[int, ...]:
        """[C, *spatial] of a node."""
        return self.network.nodes[index].shape

    def inputs(self, node: Node) -> dict[int, Tensor]:
        """The recorded inputs of a node for the images of this reversal, [n, ...]."""
        nodes = self.network.nodes
        return {
            index: tensor[self.images] if nodes[index].batched else tensor
            for index, tensor in self.bottleneck.inputs(node).items()
        }


def needs_values(node: Node) -> bool:
    """Whether a node's adjoint depends on the values of its inputs, and no decision of it was recorded."""
    if isinstance(node.operation, Other):
        return not (node.operation.linear and node.operation.batchwise)
    return isinstance(node.operation, (LocalResponseNorm, Product))


def rule_for(network: Network, method: Method, node: Node) -> Method:
    """The method that a layer follows: the given one, or the true adjoint where `only` leaves the layer out."""
    if method.only is None or any(within(node, name) or network.find(name) is node for name in method.only):
        return method
    return TRUE_ADJOINT


def relu(reversal: Reversal, node: Node, operation: ReLU, signal: Signal, fused: Node | None) -> Arrivals:
    rule = reversal.rule(node)
    tensor = ops.inverse_relu(
        signal.tensor,
        reversal.bottleneck.masks[node.index][reversal.images],
        map_size=node.shape[1:],
        relu_mask=rule.relu_mask,
        relu_backward=rule.relu_backward,
        origin=signal.origin,
        backend=reversal.backend,
    )
    return {node.inputs[0]: Signal(tensor, signal.origin)}


def _window(
    signal: Signal,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    map_size: tuple[int, ...],
) -> tuple[dict[str, Any], Tensor | None]:
    """The window of the map below that a window's signal reaches; the whole map once it is no smaller."""
    import torch

    from desali.ops.checks import constant

    if signal.origin is None:
        return {}, None
    size = tuple(
        (extent - 1) * step + (width - 1) * between + 1
        for extent, step, width, between in zip(signal.size, stride, kernel, dilation, strict=True)
    )
    if all(extent >= limit for extent, limit in zip(size, map_size, strict=True)):
        origin = torch.zeros_like(signal.origin)
        return {"origin": signal.origin, "out_origin": origin, "out_size": map_size}, None
    device = signal.origin.device
    origin = signal.origin * constant(stride, device) - constant(padding, device)
    return {"origin": signal.origin, "out_origin": origin, "out_size": size}, origin


def _fusion(reversal: Reversal, fused: Node | None) -> dict[str, Any]:
    if fused is None:
        return {}
    rule = reversal.rule(fused)
    return {
        "relu": reversal.bottleneck.masks[fused.index][reversal.images],
        "relu_mask": rule.relu_mask,
        "relu_backward": rule.relu_backward,
    }


def convolution(reversal: Reversal, node: Node, operation: Convolution, signal: Signal, fused: Node | None) -> Arrivals:
    source = node.inputs[0]
    geometry = (operation.kernel, operation.stride, operation.padding, operation.dilation)
    map_size = reversal.shape(source)[1:]
    window, origin = _window(signal, *geometry, map_size)
    tensor = ops.conv_transpose(
        signal.tensor,
        parameter(reversal.model, operation.weight),
        map_size=map_size,
        stride=operation.stride,
        padding=operation.padding,
        dilation=operation.dilation,
        groups=operation.groups,
        weight_cache=reversal.network.weight_caches.setdefault(operation.weight, ops.WeightCache()),
        backend=reversal.backend,
        **window,
        **_fusion(reversal, fused),
    )
    return {source if fused is None else fused.inputs[0]: Signal(tensor, origin)}


def max_pool(reversal: Reversal, node: Node, operation: MaxPool, signal: Signal, fused: Node | None) -> Arrivals:
    source = node.inputs[0]
    rule = reversal.rule(node)
    geometry = (operation.kernel, operation.stride, operation.padding, operation.dilation)
    map_size = reversal.shape(source)[1:]
    window, origin = _window(signal, *geometry, map_size)
    fusion = _fusion(reversal, fused)
    if fused is not None and rule.switches and isinstance(fused.operation, ReLU) and fused.operation.upper is None:
        fusion["relu"] = "positive_bit"
    tensor = ops.max_unpool(
        signal.tensor,
        reversal.bottleneck.switches[node.index][reversal.images],
        map_size=map_size,
        kernel=operation.kernel,
        stride=operation.stride,
        padding=operation.padding,
        dilation=operation.dilation,
        use_switches=rule.switches,
        overlap=rule.overlap,
        backend=reversal.backend,
        **window,
        **fusion,
    )
    return {source if fused is None else fused.inputs[0]: Signal(tensor, origin)}


def average_pool(
    reversal: Reversal, node: Node, operation: AveragePool, signal: Signal, fused: Node | None
) -> Arrivals:
    """Every mean spreads evenly over its window: a convolution of each channel with a constant kernel, reversed."""
    source = node.inputs[0]
    channels, *map_size = reversal.shape(source)
    ones = (1,) * len(operation.kernel)
    window, origin = _window(signal, operation.kernel, operation.stride, operation.padding, ones, tuple(map_size))
    weight = signal.tensor.new_full((channels, 1, *operation.kernel), 1 / operation.divisor)
    tensor = ops.conv_transpose(
        signal.tensor,
        weight,
        map_size=tuple(map_size),
        stride=operation.stride,
        padding=operation.padding,
        groups=channels,
        backend=reversal.backend,
        **window,
    )
    return {source: Signal(tensor, origin)}


def norm(reversal: Reversal, node: Node, operation: LocalResponseNorm, signal: Signal, fused: Node | None) -> Arrivals:
    source = node.inputs[0]
    if reversal.rule(node).lrn == "identity":
        return {source: signal}
    x = reversal.inputs(node)[source]
    return {source: Signal(local_response_norm(signal.tensor, x, operation, signal.origin), signal.origin)}


def linear(reversal: Reversal, node: Node, operation: Linear, signal: Signal, fused: Node | None) -> Arrivals:
    weight = parameter(reversal.model, operation.weight)
    return {node.inputs[0]: Signal(whole(signal, node.shape[1:]).tensor @ weight)}
