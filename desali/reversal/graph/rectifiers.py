"""Rectifiers that are not written as one: a ReLU by comparison is told from what only resembles it.

`torch.maximum(x, 0)`, `torch.where(x > 0, x, 0)`, `x * (x > 0)`, `x.masked_fill(x < 0, 0)`, `x[x < 0] = 0` are ReLUs.
A product of x with a gate that x alone decides (x * sigmoid(x), GELU or hardswish written out) is a smooth activation
like any other. Everything else that decides by comparing, by maxima or by magnitudes keeps its gradient, and `kinks`
names it, so that a method can say aloud that it does not act there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from desali.reversal.graph import classify
from desali.reversal.graph.network import Constant, Network, Node, Parameter, Ref
from desali.reversal.graph.operations import BatchNorm, Decision, Identity, Operation, Other, Product, ReLU, Sum

if TYPE_CHECKING:
    from torch import Tensor

_POSITIVE = {"gt": (True, True), "ge": (True, True), "lt": (False, False), "le": (False, False)}
_COMPARISONS = frozenset(
    {
        "gt",
        "ge",
        "lt",
        "le",
        "eq",
        "ne",
        "logical_not",
        "logical_and",
        "logical_or",
        "bitwise_not",
        "bitwise_and",
        "bitwise_or",
        "isfinite",
    }
)
_CASTS = frozenset({"to", "_to_copy", "type_as", "float", "double"})
_ZEROS = frozenset({"zeros", "zeros_like", "new_zeros"})
_FULL = {"full": 1, "full_like": 1, "new_full": 2, "scalar_tensor": 0}
_SAME = frozenset({"lift_fresh_copy", "detach", "clone", "to", "_to_copy", "expand", "expand_as", "alias"})
_GATES = frozenset({"sigmoid", "hardsigmoid", "tanh", "erf", "sign", "heaviside", "hardtanh", "clamp", "softsign"})
_ALONG = frozenset({"mul", "div", "pow", "add", "sub", "rsub", "neg", "square", "exp", "reciprocal"})
KINKED = frozenset({
    "leaky_relu", "prelu", "rrelu", "rrelu_with_noise", "threshold", "hardtanh", "clamp", "clamp_min", "clamp_max",
    "clip", "maximum", "minimum", "fmax", "fmin", "max", "min", "where", "masked_fill", "index_put", "abs",
    "hardshrink", "softshrink", "sign", "heaviside",
})  # fmt: skip


def kind(node: Node) -> str:
    """Plain name of a node's call, in-place marker removed."""
    return classify.kind(node.call)


def recognise(
    nodes: Sequence[Node],
    constants: dict[str, Tensor],
    name: str,
    args: tuple[Any, ...],
    shape: tuple[int, ...],
) -> tuple[Operation, int] | None:
    """A ReLU or a self-gated activation written with several calls -> what it is and the node that it acts on.

    Args:
        nodes: all nodes before it.
        name, args: its last call.
        shape: of its value, without the batch dimension.
    """
    source = _rectified(nodes, constants, name, args)
    if source is not None:
        fits = nodes[source].shape == shape and nodes[source].batched
        return (ReLU(written_out=True), source) if fits else None
    if name == "mul" and len(args) >= 2 and isinstance(args[0], Ref) and isinstance(args[1], Ref):
        for x, gate in ((args[0].index, args[1].index), (args[1].index, args[0].index)):
            fits = nodes[x].shape == nodes[gate].shape == shape and nodes[x].batched and nodes[gate].batched
            if fits and _gated_by_itself(nodes, _root(nodes, x), gate):
                return Other("self-gated activation (SiLU, GELU or hardswish written out)", False, True, True), x
    return None


def _rectified(nodes: Sequence[Node], constants: dict[str, Tensor], name: str, args: tuple[Any, ...]) -> int | None:
    """The x of a ReLU by comparison."""
    if len(args) < 2:
        return None
    if name in ("maximum", "max", "fmax", "clamp", "clip", "clamp_min"):
        if len(args) > 2 and args[2] is not None:
            return None
        for x, zero in ((args[0], args[1]), (args[1], args[0]))[: 2 if name.endswith(("x", "maximum")) else 1]:
            if isinstance(x, Ref) and _moves(nodes, x) and _zero(nodes, constants, zero):
                return x.index
        return None
    if name == "mul":
        for x, gate in ((args[0], args[1]), (args[1], args[0])):
            if isinstance(x, Ref) and _compared(nodes, constants, gate, True) == x.index:
                return x.index
        return None
    if name == "where" and len(args) == 3:
        for x, zero, positive in ((args[1], args[2], True), (args[2], args[1], False)):
            if isinstance(x, Ref) and _zero(nodes, constants, zero):
                return x.index if _compared(nodes, constants, args[0], positive) == x.index else None
        return None
    if name == "masked_fill" and len(args) == 3 and isinstance(args[0], Ref):
        same = _compared(nodes, constants, args[1], False) == args[0].index
        return args[0].index if same and _zero(nodes, constants, args[2]) else None
    if name == "index_put" and len(args) == 3 and isinstance(args[0], Ref) and len(args[1]) == 1:
        same = _compared(nodes, constants, args[1][0], False) == args[0].index
        return args[0].index if same and _zero(nodes, constants, args[2]) else None
    return None


def _moves(nodes: Sequence[Node], item: Ref) -> bool:
    return nodes[item.index].operation is not None


def _zero(nodes: Sequence[Node], constants: dict[str, Tensor], item: Any) -> bool:
    """Whether a value is zero everywhere, whatever the image."""
    if isinstance(item, bool):
        return False
    if isinstance(item, (int, float)):
        return item == 0
    if isinstance(item, Constant):
        return not bool(constants[item.name].any())
    if not isinstance(item, Ref):
        return False
    node = nodes[item.index]
    name = kind(node)
    if name in _ZEROS:
        return True
    if name in _FULL:
        position = _FULL[name]
        value = node.args[position] if len(node.args) > position else node.kwargs.get("fill_value")
        return _zero(nodes, constants, value)
    return name in _SAME and bool(node.args) and _zero(nodes, constants, node.args[0])


def _compared(nodes: Sequence[Node], constants: dict[str, Tensor], item: Any, positive: bool) -> int | None:
    """The x of [x > 0], or of [x <= 0] if not `positive`; None if the value is no such comparison."""
    if not isinstance(item, Ref):
        return None
    node = nodes[item.index]
    while kind(node) in _CASTS and isinstance(node.args[0], Ref):
        node = nodes[node.args[0].index]
    name = kind(node)
    if name in ("logical_not", "bitwise_not") and isinstance(node.args[0], Ref):
        return _compared(nodes, constants, node.args[0], not positive)
    if name not in _POSITIVE or len(node.args) != 2:
        return None
    first, second = node.args
    direct = isinstance(first, Ref) and _moves(nodes, first) and _zero(nodes, constants, second)
    turned = isinstance(second, Ref) and _moves(nodes, second) and _zero(nodes, constants, first)
    if direct and _POSITIVE[name][0] == positive:
        return int(first.index)
    if turned and _POSITIVE[name][0] != positive:
        return int(second.index)
    return None


def _root(nodes: Sequence[Node], index: int) -> int:
    """Where a value comes from, scalings and passing on undone."""
    while True:
        operation = nodes[index].operation
        if isinstance(operation, Sum) and len(operation.terms) == 1 and kind(nodes[index]) in ("mul", "div", "neg"):
            index = operation.terms[0][0]
        elif isinstance(operation, Identity):
            index = nodes[index].inputs[0]
        else:
            return index


def _gated_by_itself(nodes: Sequence[Node], x: int, gate: int) -> bool:
    """Whether the gate is computed from x alone, element by element, through a function that opens and closes."""
    seen_gate, seen_x, pending, done = False, False, [gate], set()
    while pending:
        index = pending.pop()
        if index in done:
            continue
        done.add(index)
        if index == x:
            seen_x = True
            continue
        node = nodes[index]
        name = kind(node)
        if isinstance(node.operation, (BatchNorm, Decision)) or node.operation is None or not node.inputs:
            return False
        opens = name in _GATES or (isinstance(node.operation, ReLU) and node.operation.upper is not None)
        if not opens and name not in _ALONG and not isinstance(node.operation, Identity):
            return False
        if any(isinstance(item, (Parameter, Constant)) and name in ("mul", "div") for item in node.args):
            return False  # learned factors make a gate of its own
        seen_gate = seen_gate or opens
        pending.extend(node.inputs)
    return seen_gate and seen_x


def kinks(network: Network, nodes: Sequence[Node]) -> list[Node]:
    """Those of the nodes that bend the signal by a decision of their own and are no ReLU: they keep their gradient."""
    return [node for node in nodes if _kinked(network.nodes, node)]


def _kinked(nodes: Sequence[Node], node: Node) -> bool:
    if isinstance(node.operation, Other) and not node.operation.smooth and not node.operation.pooling:
        name = node.operation.kind
        if name in ("where", "masked_fill", "index_put"):
            return any(_decides(nodes, index) for index in node.inputs)
        if name in KINKED:
            return True
    if isinstance(node.operation, (Other, Product)):
        return kind(node) == "mul" and any(_decides(nodes, index) for index in node.inputs)
    return False


def _decides(nodes: Sequence[Node], index: int) -> bool:
    node = nodes[index]
    while kind(node) in _CASTS and node.inputs:
        node = nodes[node.inputs[0]]
    return isinstance(node.operation, Decision) and kind(node) in _COMPARISONS
