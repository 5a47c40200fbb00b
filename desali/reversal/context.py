"""What a reversal knows while signals walk down: the network, the method, and what the forward pass left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from desali import ops
from desali.reversal.graph.network import Network, parameter, within
from desali.reversal.graph.run import arguments
from desali.reversal.layers.base import Node
from desali.reversal.methods import TRUE_ADJOINT, Method

if TYPE_CHECKING:
    from torch import Tensor, nn

    from desali.ops import WeightCache


@dataclass(frozen=True)
class Bottleneck:
    """What the forward pass leaves for the reversal (Mahendran and Vedaldi 2016, section 2.1).

    Attributes:
        kept: what layers kept of their decisions, by node index: masks of ReLUs, uint8 [N, *S, ceil(C/8)]; switches of
            max poolings, [N, *P, C].
        values: values of the nodes that do not depend on the image's values.
        inputs: gives the recorded inputs of a node, [N, ...] each.
    """

    kept: dict[int, Tensor]
    values: list[Any]
    inputs: Callable[[Node], dict[int, Tensor]]


@dataclass(frozen=True)
class Reversal:
    """A recorded network with the method to reverse it by: the `Context` of the layers on the way.

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

    def sources(self, node: Node) -> tuple[int, ...]:
        """Indices of the nodes that its signal goes to."""
        return self.network.sources[node.index]

    def kept(self, node: Node) -> Tensor:
        """What recording kept of a layer, for the images of this reversal."""
        return self.bottleneck.kept[node.index][self.images]

    def inputs(self, node: Node) -> dict[int, Tensor]:
        """The recorded inputs of a node for the images of this reversal, [n, ...]."""
        nodes = self.network.nodes
        return {
            index: tensor[self.images] if nodes[index].batched else tensor
            for index, tensor in self.bottleneck.inputs(node).items()
        }

    def parameter(self, name: str) -> Tensor:
        """The model's parameter or buffer of a qualified name."""
        return parameter(self.model, name)

    def weight_cache(self, name: str) -> WeightCache:
        """Where the packed copy of a weight is kept from one reversal to the next."""
        caches: dict[str, WeightCache] = self.network.weight_caches
        return caches.setdefault(name, ops.WeightCache())

    def compute(self, node: Node, inputs: dict[int, Tensor]) -> Tensor:
        """The value of a node for other inputs; differentiable."""
        values = list(self.bottleneck.values)
        for index, tensor in inputs.items():
            values[index] = tensor
        args, kwargs = arguments(self.network, partial(parameter, self.model), node, values)
        value: Tensor = node.call(*args, **kwargs)
        return value


def rule_for(network: Network, method: Method, node: Node) -> Method:
    """The method that a layer follows: the given one, or the true adjoint where `only` leaves the layer out."""
    if method.only is None or any(within(node, name) or network.find(name) is node for name in method.only):
        return method
    return TRUE_ADJOINT
