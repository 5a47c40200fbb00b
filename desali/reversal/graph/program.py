"""A network's steps made ready to run: which arguments to fill in, and what may be forgotten then."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from desali.reversal.layers.base import Node
from desali.reversal.layers.call import Constant, Parameter, Ref

Indices = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Step:
    """One node, ready to be computed.

    Attributes:
        call: computes its value.
        args: its arguments; None where a value is filled in.
        filled: (position, index) of the arguments that are other nodes' values.
        parameters: (position, name) of the arguments that are parameters.
        nested: arguments hold references inside lists or keywords: they are resolved one by one.
        dead: nodes whose values are not read after it.
        decides: recording keeps something of it.
        last_reader: it alone reads its input, whose memory it may write into.
        depends: its value depends on the image's values.
    """

    node: Node
    call: Callable[..., Any]
    args: tuple[Any, ...]
    filled: tuple[tuple[int, int], ...]
    parameters: tuple[tuple[int, str], ...]
    nested: bool
    dead: tuple[int, ...]
    decides: bool
    last_reader: bool
    depends: bool


def program(nodes: Sequence[Node], consumers: Indices, last_use: Indices) -> tuple[Step, ...]:
    """The steps of a network behind the image, in forward order.

    Args:
        consumers, last_use: as `Network` has them.
    """
    return tuple(_step(nodes, consumers, last_use, node) for node in nodes[1:])


def _step(nodes: Sequence[Node], consumers: Indices, last_use: Indices, node: Node) -> Step:
    filled, parameters = [], []
    nested = bool(node.kwargs) and any(_refers(value) for value in node.kwargs.values())
    for position, item in enumerate(node.args):
        if isinstance(item, Ref):
            filled.append((position, item.index))
        elif isinstance(item, Parameter):
            parameters.append((position, item.name))
        else:
            nested = nested or _refers(item)
    dead = last_use[node.index]
    source = nodes[node.inputs[0]] if len(node.inputs) == 1 else None
    fresh = source is not None and source.operation is not None and source.operation.fresh
    return Step(
        node=node,
        call=functools.partial(_quick(node.call), **node.kwargs) if node.kwargs and not nested else _quick(node.call),
        args=node.args,
        filled=tuple(filled),
        parameters=tuple(parameters),
        nested=nested,
        dead=dead,
        decides=node.operation is not None and node.operation.decides(),
        last_reader=source is not None and fresh and source.index in dead and consumers[source.index] == (node.index,),
        depends=node.operation is not None,
    )


def _refers(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_refers(item) for item in value)
    return isinstance(value, (Ref, Parameter, Constant))


@functools.cache
def _quick_calls() -> dict[Any, Callable[..., Any]]:
    """torch's own functions in the place of the ATen overloads that they call: the same kernels, reached sooner."""
    import torch

    aten, functions = torch.ops.aten, torch.nn.functional
    return {
        aten.conv1d.default: torch.conv1d,
        aten.conv2d.default: torch.conv2d,
        aten.conv3d.default: torch.conv3d,
        aten.batch_norm.default: torch.batch_norm,
        aten.linear.default: functions.linear,
        aten.relu.default: torch.relu,
        aten.cat.default: torch.cat,
        aten.add.Tensor: torch.add,
        aten.mul.Tensor: torch.mul,
        aten.sigmoid.default: torch.sigmoid,
        aten.flatten.using_ints: torch.flatten,
        aten.avg_pool2d.default: functions.avg_pool2d,
        aten.adaptive_avg_pool2d.default: functions.adaptive_avg_pool2d,
        aten.max_pool2d.default: torch.max_pool2d,
        aten.dropout.default: torch.dropout,
    }


def _quick(call: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return _quick_calls().get(call, call)
    except TypeError:  # cannot be hashed
        return call
