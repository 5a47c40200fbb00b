"""Layers that pass, cut, join and rearrange maps without changing a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from desali.reversal.layers.base import Arrivals, Context, Node, TorchCall, ValueFree
from desali.reversal.layers.call import Call, Ref
from desali.reversal.layers.reach import Cells, Shaped
from desali.reversal.layers.regions import arrive
from desali.reversal.signals import Signal, whole


@dataclass(frozen=True)
class Identity(ValueFree):
    """Passes its input unchanged (dropout at inference, clone, contiguous)."""

    names = (
        "dropout", "feature_dropout", "alpha_dropout", "clone", "contiguous", "alias", "lift_fresh_copy",
        "native_dropout", "slice", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
        "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    )  # fmt: skip
    plain_module = "Dropout"
    repeats = True

    @classmethod
    def recognise(cls, call: Call) -> Identity | None:
        return cls() if call.before == call.shape else None

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall:
        import torch

        return torch.ops.aten.dropout.default, (x, module.p, False), {}

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        return {node.inputs[0]: signal}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return cells


@dataclass(frozen=True)
class Reshape(ValueFree):
    """Same numbers in the same order under another shape; the batch dimension stays."""

    names = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "_unsafe_view")
    plain_module = "Flatten"

    @classmethod
    def recognise(cls, call: Call) -> Reshape | None:
        return cls() if call.before is not None and math.prod(call.before) == math.prod(call.shape) else None

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall | None:
        import torch

        if module.start_dim != 1 or module.end_dim != -1:
            return None
        return torch.ops.aten.flatten.using_ints, (x, 1), {}

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        source = node.inputs[0]
        full = whole(signal, node.shape[1:]).tensor
        return {source: Signal(full.reshape(*full.shape[:2], *context.shape(source)))}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        """Trailing dimensions of equal size keep their cells, all others are read whole."""
        after, before = node.shape, source.shape
        kept = 0
        while kept < min(len(after), len(before)) and after[-1 - kept] == before[-1 - kept]:
            kept += 1
        return (*(range(size) for size in before[: len(before) - kept]), *cells[len(after) - kept :])


@dataclass(frozen=True)
class Permutation(ValueFree):
    """Another order of the dimensions; dimension 0 is the channel, the batch dimension stays."""

    order: tuple[int, ...]

    names = ("permute", "transpose")

    @classmethod
    def recognise(cls, call: Call) -> Permutation | None:
        if call.before is None:
            return None
        rank = len(call.before) + 1
        if call.name == "permute":
            order = [int(dim) % rank for dim in call.args[1]]
        else:
            order = list(range(rank))
            first, second = call.args[1] % rank, call.args[2] % rank
            order[first], order[second] = second, first
        return cls(tuple(dim - 1 for dim in order[1:])) if order[0] == 0 else None

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        full = whole(signal, node.shape[1:]).tensor
        back = [self.order.index(dim) for dim in range(len(self.order))]
        return {node.inputs[0]: Signal(full.permute(0, 1, *(2 + dim for dim in back)))}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return tuple(cells[self.order.index(dim)] for dim in range(len(self.order)))


@dataclass(frozen=True)
class ChannelShuffle(ValueFree):
    """Channels dealt out to groups: channel i C/g + j goes to j g + i."""

    groups: int

    names = ("channel_shuffle",)

    @classmethod
    def recognise(cls, call: Call) -> ChannelShuffle | None:
        return None if call.before is None else cls(int(call.args[1]))

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        n, k, channels, *size = signal.tensor.shape
        dealt = signal.tensor.reshape(n, k, channels // self.groups, self.groups, *size)
        return {node.inputs[0]: Signal(dealt.transpose(2, 3).reshape(signal.tensor.shape), signal.origin)}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return (range(source.shape[0]), *cells[1:])


@dataclass(frozen=True)
class Slice(ValueFree):
    """Every `step`-th element from `start` along one dimension; dimension 0 is the channel."""

    dim: int
    start: int
    step: int = 1

    names = ("slice",)

    @classmethod
    def recognise(cls, call: Call) -> Slice | None:
        before = call.before
        dim, start, step = call.get(1, "dim", 0), call.get(2, "start", None), call.get(4, "step", 1)
        whole_numbers = isinstance(dim, int) and isinstance(start, (int, type(None))) and isinstance(step, int)
        if before is None or not whole_numbers:
            return None
        dim %= len(before) + 1
        first = start or 0
        if dim == 0:
            return None
        return cls(dim - 1, max(first + before[dim - 1], 0) if first < 0 else first, step)

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        shape = context.shape(node.inputs[0])
        if self.dim > 0:
            signal = whole(signal, node.shape[1:])
        sizes = list(signal.tensor.shape)
        sizes[2 + self.dim] = shape[self.dim]
        back = signal.tensor.new_zeros(sizes)
        target: list[slice] = [slice(None)] * len(sizes)
        last = self.start + (node.shape[self.dim] - 1) * self.step
        target[2 + self.dim] = slice(self.start, last + 1, self.step)
        back[tuple(target)] = signal.tensor
        return {node.inputs[0]: Signal(back, signal.origin)}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        cut = {self.start + at * self.step for at in cells[self.dim]}
        return (*cells[: self.dim], cut, *cells[self.dim + 1 :])


@dataclass(frozen=True)
class Concatenation(ValueFree):
    """Channels of several inputs, in this order."""

    parts: tuple[int, ...]

    names = ("cat",)

    @classmethod
    def recognise(cls, call: Call) -> Concatenation | None:
        if not call.aligned:
            return None
        parts = call.args[0]
        dim = call.get(1, "dim", 0) % (len(call.shape) + 1)
        if dim == 1 and all(isinstance(part, Ref) and part.index in call.shapes for part in parts):
            return cls(tuple(part.index for part in parts))
        return None

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        arrivals: Arrivals = {}
        first = 0
        for index in self.parts:
            channels = context.shape(index)[0]
            part = Signal(signal.tensor.narrow(2, first, channels), signal.origin)
            first += channels
            arrive(context, arrivals, index, part)
        return arrivals

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return (range(source.shape[0]), *cells[1:])
