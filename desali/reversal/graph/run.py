"""Run a captured network forwards, letting the caller see or replace every layer's value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from desali.reversal.graph.network import Network
from desali.reversal.layers.base import Node
from desali.reversal.layers.call import Constant, Parameter, Ref

if TYPE_CHECKING:
    from torch import Tensor

Execute = Callable[[Node, "Tensor", bool], Any]
Observe = Callable[[Node, "Tensor"], None]


def arguments(
    network: Network, parameter: Callable[[str], Tensor], node: Node, values: list[Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A node's arguments with values in the place of references.

    Args:
        parameter: gives the model's parameter or buffer of a qualified name.
    """

    def resolve(item: Any) -> Any:
        if isinstance(item, Ref):
            return values[item.index]
        if isinstance(item, Parameter):
            return parameter(item.name)
        if isinstance(item, Constant):
            return network.constants[item.name]
        if isinstance(item, list):
            return [resolve(entry) for entry in item]
        if isinstance(item, tuple):
            return tuple(resolve(entry) for entry in item)
        return item

    return tuple(resolve(item) for item in node.args), {key: resolve(item) for key, item in node.kwargs.items()}


def run(
    network: Network,
    parameters: dict[str, Tensor],
    images: Tensor,
    execute: Execute | None = None,
    observe: Observe | None = None,
    until: int | None = None,
    watched: frozenset[int] | None = None,
) -> tuple[Tensor, list[Any]]:
    """Compute the network's output; values are dropped after their last use.

    Args:
        parameters: the model's parameters and buffers by qualified name (`structure.tensors`).
        images: [N, C, *spatial].
        execute: called as execute(node, value of its first input, whether that may be written into) for every layer
            that records something; what it returns is the value, None leaves it to the node's own call.
        observe: called as observe(node, value) with every value that depends on the image.
        watched: indices of the nodes whose values `observe` is called with; None: all.
        until: index of the last node to compute; None: the output.

    Returns:
        The value of the last node computed, and the values of the nodes that do not depend on the image's values
        (sizes, computed weights), by node index.
    """
    import torch

    values: list[Any] = [None] * len(network.nodes)
    fixed: list[Any] = [None] * len(network.nodes)
    value: Any = images.detach()
    values[0] = value
    last = network.output if until is None else until
    with torch.no_grad():
        if observe is not None and (watched is None or 0 in watched):
            observe(network.nodes[0], value)
        for index, step in enumerate(network.program[:last], 1):
            value = None
            if step.decides and execute is not None:
                source = step.node.inputs[0]
                seen = observe is not None and (watched is None or source in watched)
                value = execute(step.node, values[source], step.last_reader and not seen)
            if value is None:
                if step.nested:
                    args, kwargs = arguments(network, parameters.__getitem__, step.node, values)
                    value = step.call(*args, **kwargs)
                else:
                    filled = list(step.args)
                    for position, source in step.filled:
                        filled[position] = values[source]
                    for position, name in step.parameters:
                        filled[position] = parameters[name]
                    value = step.call(*filled)
            values[index] = value
            if not step.depends:
                fixed[index] = value
            elif observe is not None and (watched is None or index in watched):
                observe(step.node, value)
            for dead in step.dead:
                values[dead] = None
    return value, fixed
