"""The reverse sweep: signals walk down the network from the seeded layers to the image, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali import ops
from desali.adjoints import local_response_norm, vector_jacobian
from desali.errors import UnsupportedLayerError
from desali.graph.network import Network, Node, parameter, within
from desali.graph.operations import (
    Convolution,
    Identity,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Other,
    ReLU,
    Reshape,
)
from desali.rules import TRUE_ADJOINT, Method
from desali.signals import Signal, add, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


@dataclass(frozen=True)
class Bottleneck:
    """What the forward pass leaves for the reversal (Mahendran and Vedaldi 2016, section 2.1).

    Attributes:
        masks: for every ReLU, uint8 [N, *S, ceil(C/8)].
        switches: for every max pooling, [N, *P, C].
        sizes: values of the nodes that are not tensors.
        inputs: gives the recorded inputs of a node, [N, ...] each.
    """

    masks: dict[int, Tensor]
    switches: dict[int, Tensor]
    sizes: list[Any]
    inputs: Callable[[Node], dict[int, Tensor]]


def rule_for(network: Network, method: Method, node: Node) -> Method:
    """The method that a layer follows: the given one, or the true adjoint where `only` leaves the layer out."""
    if method.only is None or any(within(node, name) or network.find(name) is node for name in method.only):
        return method
    return TRUE_ADJOINT


def steps(network: Network, tops: list[int]) -> list[int]:
    """Indices of the nodes between the image and the seeded layers, from the top down, the image excluded."""
    reached = set(tops)
    order: list[int] = []
    for index in range(max(tops, default=0), 0, -1):
        if index in reached:
            order.append(index)
            reached.update(network.nodes[index].inputs)
    return order


class Sweep:
    """One downward sweep through a network.

    Args:
        images: slice of the recorded images that the signals belong to.
        backend: "auto", "native" or "torch".
    """

    def __init__(
        self,
        network: Network,
        model: nn.Module,
        bottleneck: Bottleneck,
        method: Method,
        images: slice,
        backend: str,
    ) -> None:
        self.network = network
        self.model = model
        self.bottleneck = bottleneck
        self.method = method
        self.images = images
        self.backend = backend

    def run(self, seeds: dict[int, Signal]) -> dict[int, Signal]:
        """Walk from the seeded layers to the image.

        Args:
            seeds: signals by node index.

        Returns:
            The signals that arrive at the image, by the node index of the seed.
        """
        pending: dict[int, dict[int, Signal]] = {index: {index: signal} for index, signal in seeds.items()}
        for index in steps(self.network, list(seeds)):
            arrived = pending.pop(index, None)
            if not arrived:
                continue
            node = self.network.nodes[index]
            for owners, signal in _batches(arrived):
                fused = self._relu_below(node, seeds)
                for source, result in self._reverse(node, signal, fused).items():
                    target = source if fused is None else fused.inputs[0]
                    self._deliver(pending.setdefault(target, {}), target, owners, result)
        return pending.get(0, {})

    def _deliver(self, slot: dict[int, Signal], target: int, owners: list[tuple[int, int]], result: Signal) -> None:
        start = 0
        for owner, count in owners:
            part = result
            if len(owners) > 1:
                origin = None if result.origin is None else result.origin[:, start : start + count]
                part = Signal(result.tensor[:, start : start + count], origin)
            start += count
            shape = self.network.nodes[target].shape
            slot[owner] = add(slot[owner], part, shape[1:]) if owner in slot else part

    def _relu_below(self, node: Node, seeds: dict[int, Signal]) -> Node | None:
        """The ReLU whose inverse can be done in the same pass as this layer's."""
        if not isinstance(node.operation, (Convolution, MaxPool)):
            return None
        below = self.network.nodes[node.inputs[0]]
        alone = len(self.network.consumers[below.index]) == 1 and below.index not in seeds
        return below if isinstance(below.operation, ReLU) and alone else None

    def _reverse(self, node: Node, signal: Signal, fused: Node | None) -> dict[int, Signal]:
        operation = node.operation
        if isinstance(operation, ReLU):
            return {node.inputs[0]: self._relu(node, signal)}
        if isinstance(operation, Convolution):
            return {node.inputs[0]: self._convolution(node, operation, signal, fused)}
        if isinstance(operation, MaxPool):
            return {node.inputs[0]: self._max_pool(node, operation, signal, fused)}
        if isinstance(operation, Identity):
            return {node.inputs[0]: signal}
        if isinstance(operation, LocalResponseNorm):
            return {node.inputs[0]: self._norm(node, operation, signal)}
        if isinstance(operation, Linear):
            weight = parameter(self.model, operation.weight)
            return {node.inputs[0]: Signal(whole(signal, node.shape[1:]).tensor @ weight)}
        full = whole(signal, node.shape[1:]).tensor
        if isinstance(operation, Reshape):
            source = self.network.nodes[node.inputs[0]]
            return {source.index: Signal(full.reshape(*full.shape[:2], *source.shape))}
        if isinstance(operation, Other):
            return {index: Signal(tensor) for index, tensor in self._other(node, operation, full).items()}
        raise UnsupportedLayerError(f"layer {node.name!r} has no rule")

    def _relu(self, node: Node, signal: Signal) -> Signal:
        rule = rule_for(self.network, self.method, node)
        tensor = ops.inverse_relu(
            signal.tensor,
            self.bottleneck.masks[node.index][self.images],
            map_size=node.shape[1:],
            relu_mask=rule.relu_mask,
            relu_backward=rule.relu_backward,
            origin=signal.origin,
            backend=self.backend,
        )
        return Signal(tensor, signal.origin)

    def _window(
        self, signal: Signal, operation: Convolution | MaxPool, map_size: tuple[int, ...]
    ) -> tuple[dict[str, Any], Tensor | None]:
        """The window of the map below that a window's signal reaches; the whole map once it is no smaller."""
        import torch

        if signal.origin is None:
            return {}, None
        stride, padding = operation.stride, operation.padding
        size = tuple(
            (extent - 1) * step + (kernel - 1) * dilation + 1
            for extent, step, kernel, dilation in zip(
                signal.size, stride, operation.kernel, operation.dilation, strict=True
            )
        )
        if all(extent >= limit for extent, limit in zip(size, map_size, strict=True)):
            origin = torch.zeros_like(signal.origin)
            return {"origin": signal.origin, "out_origin": origin, "out_size": map_size}, None
        origin = signal.origin * torch.tensor(stride) - torch.tensor(padding)
        return {"origin": signal.origin, "out_origin": origin, "out_size": size}, origin

    def _fusion(self, fused: Node | None) -> dict[str, Any]:
        if fused is None:
            return {}
        rule = rule_for(self.network, self.method, fused)
        return {
            "relu": self.bottleneck.masks[fused.index][self.images],
            "relu_mask": rule.relu_mask,
            "relu_backward": rule.relu_backward,
        }

    def _convolution(self, node: Node, operation: Convolution, signal: Signal, fused: Node | None) -> Signal:
        map_size = self.network.nodes[node.inputs[0]].shape[1:]
        window, origin = self._window(signal, operation, map_size)
        cache = self.network.weight_caches.setdefault(operation.weight, ops.WeightCache())
        tensor = ops.conv_transpose(
            signal.tensor,
            parameter(self.model, operation.weight),
            map_size=map_size,
            stride=operation.stride,
            padding=operation.padding,
            dilation=operation.dilation,
            groups=operation.groups,
            weight_cache=cache,
            backend=self.backend,
            **window,
            **self._fusion(fused),
        )
        return Signal(tensor, origin)

    def _max_pool(self, node: Node, operation: MaxPool, signal: Signal, fused: Node | None) -> Signal:
        rule = rule_for(self.network, self.method, node)
        map_size = self.network.nodes[node.inputs[0]].shape[1:]
        window, origin = self._window(signal, operation, map_size)
        fusion = self._fusion(fused)
        if fused is not None and rule.switches and isinstance(fused.operation, ReLU) and fused.operation.upper is None:
            fusion["relu"] = "positive_bit"
        tensor = ops.max_unpool(
            signal.tensor,
            self.bottleneck.switches[node.index][self.images],
            map_size=map_size,
            kernel=operation.kernel,
            stride=operation.stride,
            padding=operation.padding,
            dilation=operation.dilation,
            use_switches=rule.switches,
            overlap=rule.overlap,
            backend=self.backend,
            **window,
            **fusion,
        )
        return Signal(tensor, origin)

    def _norm(self, node: Node, operation: LocalResponseNorm, signal: Signal) -> Signal:
        if rule_for(self.network, self.method, node).lrn == "identity":
            return signal
        x = self.bottleneck.inputs(node)[node.inputs[0]][self.images]
        return Signal(local_response_norm(signal.tensor, x, operation, signal.origin), signal.origin)

    def _other(self, node: Node, operation: Other, signal: Tensor) -> dict[int, Tensor]:
        inputs = {index: tensor[self.images] for index, tensor in self.bottleneck.inputs(node).items()}
        return vector_jacobian(self.network, self.model, node, operation, signal, inputs, self.bottleneck.sizes)


def _batches(arrived: dict[int, Signal]) -> list[tuple[list[tuple[int, int]], Signal]]:
    """Group the signals of several owners that have one shape, so that they pass the layer together."""
    import torch

    groups: dict[tuple[Any, ...], list[int]] = {}
    for owner, signal in arrived.items():
        key = (signal.origin is None, signal.size, signal.tensor.shape[2])
        groups.setdefault(key, []).append(owner)
    batches = []
    for owners in groups.values():
        signals = [arrived[owner] for owner in owners]
        counts = [(owner, signal.tensor.shape[1]) for owner, signal in zip(owners, signals, strict=True)]
        if len(signals) == 1:
            batches.append((counts, signals[0]))
            continue
        origins = [signal.origin for signal in signals if signal.origin is not None]
        origin = torch.cat(origins, 1) if origins else None
        batches.append((counts, Signal(torch.cat([signal.tensor for signal in signals], 1), origin)))
    return batches
