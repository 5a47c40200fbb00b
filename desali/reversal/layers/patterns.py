"""Layers that are written out in several calls: told by their shape, not by one operator's name.

- A ReLU by comparison: `torch.maximum(x, 0)`, `torch.where(x > 0, x, 0)`, `x * (x > 0)`, `x.masked_fill(x < 0, 0)`,
  `x[x < 0] = 0`. What only resembles it keeps its gradient, and `Layer.bends` says so.
- A product of x with a gate that x alone decides (x * sigmoid(x), GELU or hardswish written out) is a smooth activation
  like any other.
- `torch.nn.functional.local_response_norm` is traced as mul - view - pad - avg_pool3d - squeeze - view - mul - add -
  pow - div (mul - unsqueeze - pad - avg_pool2d - squeeze - ... for three-dimensional input).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from desali.reversal.layers.arithmetic import Sum
from desali.reversal.layers.arranging import Identity
from desali.reversal.layers.base import Layer, Node
from desali.reversal.layers.call import Constant, Parameter, Ref, name_of
from desali.reversal.layers.ends import CASTS, Decision
from desali.reversal.layers.norms import BatchNorm, LocalResponseNorm
from desali.reversal.layers.other import Other
from desali.reversal.layers.relu import ReLU

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node as FxNode

_POSITIVE = {"gt": (True, True), "ge": (True, True), "lt": (False, False), "le": (False, False)}
_ZEROS = frozenset({"zeros", "zeros_like", "new_zeros"})
_FULL = {"full": 1, "full_like": 1, "new_full": 2, "scalar_tensor": 0}
_SAME = frozenset({"lift_fresh_copy", "detach", "clone", "to", "_to_copy", "expand", "expand_as", "alias"})
_GATES = frozenset({"sigmoid", "hardsigmoid", "tanh", "erf", "sign", "heaviside", "hardtanh", "clamp", "softsign"})
_ALONG = frozenset({"mul", "div", "pow", "add", "sub", "rsub", "neg", "square", "exp", "reciprocal"})


def written_out(
    nodes: Sequence[Node],
    constants: dict[str, Tensor],
    name: str,
    args: tuple[Any, ...],
    shape: tuple[int, ...],
) -> tuple[Layer, int] | None:
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
    name = name_of(node.call)
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
    while name_of(node.call) in CASTS and isinstance(node.args[0], Ref):
        node = nodes[node.args[0].index]
    name = name_of(node.call)
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
        if (
            isinstance(operation, Sum)
            and len(operation.terms) == 1
            and name_of(nodes[index].call) in ("mul", "div", "neg")
        ):
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
        name = name_of(node.call)
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


def _name(node: Any) -> str:
    return getattr(getattr(node, "target", None), "__name__", "").split(".")[0]


def _is(node: Any, *names: str) -> bool:
    return getattr(node, "op", None) == "call_function" and _name(node) in names


def _steps_to_square(node: Any) -> tuple[list[FxNode], FxNode] | None:
    """Walk from the averaged squares up to the squaring; returns the steps and the averaging node."""
    steps: list[FxNode] = []
    average: FxNode | None = None
    while True:
        if _is(node, "mul") and len(node.args) == 2 and node.args[0] is node.args[1]:
            return (([*steps, node], average)) if average is not None else None
        if not _is(
            node, "view", "reshape", "squeeze", "unsqueeze", "pad", "constant_pad_nd", "avg_pool3d", "avg_pool2d"
        ):
            return None
        if _is(node, "avg_pool3d", "avg_pool2d"):
            average = node
        steps.append(node)
        node = node.args[0]


def local_response_norm(div: FxNode) -> tuple[LocalResponseNorm, FxNode, list[FxNode]] | None:
    """Whether a division is the last step of a local response normalisation.

    Returns:
        The operation, the node of its input, and the nodes it swallows; or None.
    """
    if not _is(div, "div") or len(div.args) != 2 or div.kwargs:
        return None
    source, power = div.args
    if not _is(power, "pow") or not isinstance(power.args[1], (int, float)):  # type: ignore[union-attr]
        return None
    shifted = power.args[0]  # type: ignore[union-attr]
    if not _is(shifted, "add") or not isinstance(shifted.args[1], (int, float)):  # type: ignore[union-attr]
        return None
    scaled = shifted.args[0]  # type: ignore[union-attr]
    if not _is(scaled, "mul") or not isinstance(scaled.args[1], (int, float)):  # type: ignore[union-attr]
        return None
    found = _steps_to_square(scaled.args[0])  # type: ignore[union-attr]
    if found is None:
        return None
    steps, average = found
    square = steps[-1]
    if square.args[0] is not source:
        return None
    inner: list[Any] = [power, shifted, scaled, *steps]
    allowed = {*inner, div}
    if any(user not in allowed for node in inner for user in node.users):
        return None
    kernel: Any = average.args[1]
    if any(extent != 1 for extent in kernel[1:]):
        return None
    size = int(kernel[0])
    operation = LocalResponseNorm(
        size,
        float(scaled.args[1]),  # type: ignore[union-attr]
        float(power.args[1]),  # type: ignore[union-attr]
        float(shifted.args[1]),  # type: ignore[union-attr]
    )
    return operation, source, inner  # type: ignore[return-value]
