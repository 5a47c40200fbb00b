"""Sums and products of maps, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from desali.reversal.layers.base import Arrivals, Context, Layer, Node, ValueFree
from desali.reversal.layers.call import Call, name_of
from desali.reversal.layers.ends import compares
from desali.reversal.layers.reach import Cells, Shaped, broadcast_cells
from desali.reversal.layers.regions import arrive, unbroadcast
from desali.reversal.signals import Signal, spread

_SIGNS = {"add": (1.0, 1.0), "sub": (1.0, -1.0), "rsub": (-1.0, 1.0), "neg": (-1.0, 0.0)}


@dataclass(frozen=True)
class Sum(ValueFree):
    """Sum of inputs times factors, and of constants; smaller inputs are broadcast.

    Attributes:
        terms: (index of the node, factor).
    """

    terms: tuple[tuple[int, float], ...]

    names = ("add", "sub", "rsub", "neg", "mul", "div")
    fresh = True

    @classmethod
    def recognise(cls, call: Call) -> Sum | None:
        if not call.aligned:
            return None
        return cls._scaled(call) if call.name in ("mul", "div") else cls._added(call)

    @classmethod
    def _added(cls, call: Call) -> Sum | None:
        signs, alpha = _SIGNS[call.name], call.get(2, "alpha", 1)
        if not isinstance(alpha, (int, float)):
            return None
        factors = (signs[0] * (alpha if call.name == "rsub" else 1), signs[1] * (1 if call.name == "rsub" else alpha))
        terms = []
        for position, factor in enumerate(factors):
            index = call.image_input(position)
            if index is not None and factor:
                terms.append((index, float(factor)))
        return cls(tuple(terms)) if terms else None

    @classmethod
    def _scaled(cls, call: Call) -> Sum | None:
        if len(call.args) != 2 or call.kwargs:
            return None
        first, second = call.image_input(0), call.image_input(1)
        number = call.args[1] if first is not None else call.args[0]
        index = first if first is not None else second
        if index is None or isinstance(number, bool) or not isinstance(number, (int, float)):
            return None
        if call.name == "mul":
            return cls(((index, float(number)),))
        return cls(((index, 1 / number),)) if first is not None and number else None

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        arrivals: Arrivals = {}
        for index, factor in self.terms:
            part = signal if factor == 1 else Signal(signal.tensor * factor, signal.origin)
            arrive(context, arrivals, index, unbroadcast(part, node.shape, context.shape(index)))
        return arrivals

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return broadcast_cells(node, source, cells)


@dataclass(frozen=True)
class Product(Layer):
    """Product of two inputs, both reversed (gates); the smaller is broadcast."""

    first: int
    second: int

    names = ("mul",)
    batchwise = True

    @classmethod
    def recognise(cls, call: Call) -> Product | None:
        if not call.aligned or len(call.args) != 2 or call.kwargs:
            return None
        first, second = call.image_input(0), call.image_input(1)
        return None if first is None or second is None else cls(first, second)

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        """Each factor receives the signal times the other factor."""
        inputs = context.inputs(node)
        arrivals: Arrivals = {}
        for index, other in ((self.first, self.second), (self.second, self.first)):
            x = inputs[other]
            flat = all(size == 1 for size in x.shape[2:])
            around = x.unsqueeze(1) if flat else spread(x.expand(-1, *node.shape), signal)
            part = Signal(signal.tensor * around, signal.origin)
            arrive(context, arrivals, index, unbroadcast(part, node.shape, context.shape(index)))
        return arrivals

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return broadcast_cells(node, source, cells)

    def reason_against_capture(self) -> None:
        return None

    def bends(self, nodes: Sequence[Node], node: Node) -> bool:
        return name_of(node.call) == "mul" and any(compares(nodes, index) for index in node.inputs)
