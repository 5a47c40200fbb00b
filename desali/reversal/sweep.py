"""The reverse sweep: signals walk down the network from the seeded layers to the image, layer by layer."""

from __future__ import annotations

from typing import Any

from desali.errors import UnsupportedLayerError
from desali.reversal.context import Reversal
from desali.reversal.graph.network import Network
from desali.reversal.layers.base import Node
from desali.reversal.layers.registry import BUILT_IN
from desali.reversal.signals import Signal, add

_OWN = frozenset(BUILT_IN)


def steps(network: Network, tops: list[int]) -> list[int]:
    """Indices of the nodes between the image and the seeded layers, from the top down, the image excluded."""
    reached = set(tops)
    order: list[int] = []
    for index in range(max(tops, default=0), 0, -1):
        if index in reached:
            order.append(index)
            reached.update(network.sources[index])
    return order


class Sweep:
    """One downward sweep through a network."""

    def __init__(self, context: Reversal) -> None:
        self.context = context
        self.network = context.network

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
            layer = node.operation
            assert layer is not None
            relu = self._relu_below(node, seeds) if layer.fuses else None
            for owners, signal in _batches(arrived):
                if relu is None:
                    results = layer.reverse(self.context, node, signal)
                else:
                    results = layer.reverse_with_relu(self.context, node, signal, relu)
                if type(layer) not in _OWN:
                    self._check(node, signal, results)
                for target, result in results.items():
                    self._deliver(pending.setdefault(target, {}), target, owners, result)
        return pending.get(0, {})

    def _check(self, node: Node, signal: Signal, results: Any) -> None:
        """Refuse what a kind from outside gives that is no signal on one of its sources."""
        sources = self.network.sources[node.index]
        label = type(node.operation).__name__
        expected = f"layer {node.name!r}: {label}.reverse must return a dict of Signals by index of its sources"
        if not isinstance(results, dict) or not all(isinstance(result, Signal) for result in results.values()):
            raise UnsupportedLayerError(f"{expected}, got {_kinds(results)}")
        for target, result in results.items():
            if target not in sources and not self._fused_below(node, target):
                raise UnsupportedLayerError(f"{expected}, which are {list(sources)}; got one for {target}")
            below = self.network.nodes[target].shape
            size = below if result.origin is None else (below[:1] + result.size)
            wanted = (*signal.tensor.shape[:2], *size)
            if tuple(result.tensor.shape) != wanted or result.tensor.dtype != signal.tensor.dtype:
                raise UnsupportedLayerError(
                    f"layer {node.name!r}: {label}.reverse must give source {target} {signal.tensor.dtype} of shape "
                    f"{list(wanted)}, got {result.tensor.dtype} {list(result.tensor.shape)}"
                )

    def _fused_below(self, node: Node, target: int) -> bool:
        operation = node.operation
        return operation is not None and operation.fuses and target in self.network.nodes[node.inputs[0]].inputs

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
        below = self.network.nodes[node.inputs[0]]
        alone = len(self.network.consumers[below.index]) == 1 and below.index not in seeds
        return below if alone and below.operation is not None and below.operation.masked else None


def _kinds(results: Any) -> str:
    if not isinstance(results, dict):
        return type(results).__name__
    return f"a dict of {', '.join(sorted({type(result).__name__ for result in results.values()}))}"


def _batches(arrived: dict[int, Signal]) -> list[tuple[list[tuple[int, int]], Signal]]:
    """Group the signals of several owners that have one shape, so that they pass the layer together."""
    import torch

    groups: dict[tuple[Any, ...], list[int]] = {}
    for owner, signal in arrived.items():
        key = (signal.origin is None, signal.tensor.shape[2:])
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
