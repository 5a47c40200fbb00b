"""Where signals end: the image, and tensors of truth values or indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from desali.reversal.layers.base import Arrivals, Context, Layer, Node
from desali.reversal.layers.call import Call, name_of
from desali.reversal.layers.reach import Cells, Shaped
from desali.reversal.signals import Signal

CASTS = frozenset({"to", "_to_copy", "type_as", "float", "double"})
COMPARISONS = frozenset({
    "gt", "ge", "lt", "le", "eq", "ne", "logical_not", "logical_and", "logical_or", "bitwise_not", "bitwise_and",
    "bitwise_or", "isfinite",
})  # fmt: skip


class _End(Layer):
    @classmethod
    def recognise(cls, call: Call) -> None:
        return None

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        raise AssertionError(f"a signal would pass {node.name!r}, where signals end")

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        raise AssertionError("signals end here")


@dataclass(frozen=True)
class Image(_End):
    """The network's input."""


@dataclass(frozen=True)
class Decision(_End):
    """A tensor of truth values or indices; no signal passes it."""

    passes = False


def compares(nodes: Sequence[Node], index: int) -> bool:
    """Whether a value comes from a comparison."""
    node = nodes[index]
    while name_of(node.call) in CASTS and node.inputs:
        node = nodes[node.inputs[0]]
    return isinstance(node.operation, Decision) and name_of(node.call) in COMPARISONS
