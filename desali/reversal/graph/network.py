"""A captured network: primitive layers in forward order, with the names that users know."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from desali.errors import UnknownNameError
from desali.reversal.graph.program import Step, program
from desali.reversal.graph.structure import tensors
from desali.reversal.layers.base import Node
from desali.reversal.layers.call import Ref

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Network:
    """A directed acyclic graph of primitive layers; node 0 is the image."""

    nodes: tuple[Node, ...]
    output: int
    constants: dict[str, Tensor] = field(default_factory=dict)
    weight_caches: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    @cached_property
    def layers(self) -> list[str]:
        """Names of the layers in forward order."""
        return [node.name for node in self.nodes if node.name]

    @cached_property
    def by_name(self) -> dict[str, int]:
        return {node.name: node.index for node in self.nodes if node.name}

    @cached_property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """For every node, the nodes that its signal goes to."""
        ends = {node.index for node in self.nodes if node.operation is not None and not node.operation.passes}
        return tuple(
            () if node.operation is None else tuple(index for index in node.inputs if index not in ends)
            for node in self.nodes
        )

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For every node, the nodes with a tensor value that read it."""
        readers: list[list[int]] = [[] for _ in self.nodes]
        for node in self.nodes:
            if node.operation is not None:
                for source in node.inputs:
                    readers[source].append(node.index)
        return tuple(tuple(indices) for indices in readers)

    @cached_property
    def last_use(self) -> tuple[tuple[int, ...], ...]:
        """For every node, the nodes whose value is not read after it."""
        last = {self.output: len(self.nodes)}
        for node in reversed(self.nodes):
            for source in _references(node):
                last.setdefault(source, node.index)
        dead: list[list[int]] = [[] for _ in self.nodes]
        for source, reader in last.items():
            if reader < len(self.nodes):
                dead[reader].append(source)
        return tuple(tuple(indices) for indices in dead)

    @cached_property
    def elements(self) -> int:
        """How many numbers a forward pass of one image computes."""
        return sum(math.prod(node.shape) for node in self.nodes)

    def tensor_names(self, model: nn.Module) -> list[str]:
        """Names of the model's parameters and buffers in the order of a walk; a network holds for one structure."""
        if not self.names:
            self.names[:] = tensors(model)  # in one step: threads may come together
        return self.names

    @cached_property
    def program(self) -> tuple[Step, ...]:
        """The nodes behind the image, ready to be computed."""
        return program(self.nodes, self.consumers, self.last_use)

    @cached_property
    def overwritten(self) -> frozenset[int]:
        """The nodes whose memory their only reader may write its own value into while it records."""
        return frozenset(step.node.inputs[0] for step in self.program if step.decides and step.last_reader)

    @cached_property
    def repeated(self) -> dict[int, int]:
        """The nodes whose values are those of another, which stands beside them."""
        found = {
            node.index: node.inputs[0] for node in self.nodes if node.operation is not None and node.operation.repeats
        }
        return {index: source for index, source in found.items() if source != 0}

    def find(self, layer: str) -> Node:
        """The node of a layer, or of the last operation inside a container ("layer4"; "layer4:1" at its second use).

        Raises:
            UnknownNameError: no such layer; the nearest name is suggested.
        """
        if layer in self.by_name:
            return self.nodes[self.by_name[layer]]
        container, _, use = layer.rpartition(":")
        inside = [node for node in self.nodes if node.name and layer and within(node, layer)]
        if not inside and container and use.isdigit():
            again = [node for node in self.nodes if node.name and within(node, container)]
            inside = [node for node in again if node.name.endswith(f":{use}")]
        if inside:
            return inside[-1]
        raise UnknownNameError("layer", layer, self.layers)

    def relus(self) -> list[Node]:
        """Every layer that a method's ReLU bits act on, in forward order."""
        return [node for node in self.nodes if node.operation is not None and node.operation.rectifies]


def within(node: Node, layer: str) -> bool:
    """Whether a node is the layer or lies inside the container of that name."""
    return node.name == layer or node.module == layer or node.module.startswith(f"{layer}.")


def _references(node: Node) -> set[int]:
    found: set[int] = set(node.inputs)

    def walk(value: Any) -> None:
        if isinstance(value, Ref):
            found.add(value.index)
        elif isinstance(value, (list, tuple)):
            for item in value:
                walk(item)

    walk(node.args)
    walk(list(node.kwargs.values()))
    return found


def parameter(model: nn.Module, name: str) -> Tensor:
    """The model's own parameter or buffer; not a detached one, PyTorch chooses kernels by requires_grad."""
    path, _, leaf = name.rpartition(".")
    value: Tensor = getattr(model.get_submodule(path), leaf)
    return value
