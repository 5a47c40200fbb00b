"""Max and average pooling; adaptive poolings over equal windows are ordinary ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali import ops
from desali.reversal.layers.base import Arrivals, Context, Node, Recorder, TorchCall, ValueFree
from desali.reversal.layers.call import Call, per_dimension
from desali.reversal.layers.reach import Cells, Shaped, every, window_reach
from desali.reversal.layers.regions import fusion, region_below
from desali.reversal.signals import Signal, whole

if TYPE_CHECKING:
    from torch import Tensor

Window = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class MaxPool(ValueFree):
    """Max pooling over windows; the places of the maxima are kept as switches, one byte each."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool

    names = (
        "max_pool1d", "max_pool2d", "max_pool3d", "max_pool1d_with_indices", "max_pool2d_with_indices",
        "max_pool3d_with_indices", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    )  # fmt: skip
    fuses = True
    plain_module = "MaxPool2d"

    @classmethod
    def recognise(cls, call: Call) -> MaxPool | None:
        dims = pooled_dimensions(call)
        if dims is None:
            return None
        if call.name.startswith("adaptive_"):
            kernel = equal_windows(call)
            return None if kernel is None else cls(kernel, kernel, (0,) * dims, (1,) * dims, False)
        dilation = per_dimension(call.get(4, "dilation", 1), dims, 1)
        return cls(*window_of(call, dims), dilation, bool(call.get(5, "ceil_mode", False)))

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall | None:
        import torch

        if module.return_indices:
            return None
        settings = (getattr(module, key) for key in ("kernel_size", "stride", "padding", "dilation"))
        sizes = [list(per_dimension(value, 2, 0)) for value in settings]
        return torch.ops.aten.max_pool2d.default, (x, *sizes, module.ceil_mode), {}

    def record(self, recorder: Recorder, node: Node, x: Tensor, writable: bool) -> tuple[Tensor, Tensor]:
        below = recorder.nodes[node.inputs[0]].operation
        return ops.max_pool_with_switches(
            x,
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            after_relu=below is not None and below.masked,
            backend=recorder.backend,
        )

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        return self._reverse(context, node, signal, None)

    def reverse_with_relu(self, context: Context, node: Node, signal: Signal, relu: Node) -> Arrivals:
        return self._reverse(context, node, signal, relu)

    def _reverse(self, context: Context, node: Node, signal: Signal, relu: Node | None) -> Arrivals:
        source = node.inputs[0]
        rule = context.rule(node)
        map_size = context.shape(source)[1:]
        window, origin = region_below(signal, self.kernel, self.stride, self.padding, self.dilation, map_size)
        fused = fusion(context, relu)
        if relu is not None and rule.switches and relu.operation is not None and relu.operation.mask_is_sign:
            fused["relu"] = "positive_bit"  # it stands in the switches
        tensor = ops.max_unpool(
            signal.tensor,
            context.kept(node),
            map_size=map_size,
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            use_switches=rule.switches,
            overlap=rule.overlap,
            backend=context.backend,
            **window,
            **fused,
        )
        return {source if relu is None else relu.inputs[0]: Signal(tensor, origin)}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return window_reach(source, cells, self.kernel, self.stride, self.padding, self.dilation)


@dataclass(frozen=True)
class AveragePool(ValueFree):
    """Mean over windows, every sum divided by the same number."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    divisor: int

    names = (
        "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    )  # fmt: skip
    plain_module = "AvgPool2d"

    @classmethod
    def recognise(cls, call: Call) -> AveragePool | None:
        dims, before = pooled_dimensions(call), call.before
        if dims is None or before is None:
            return None
        if call.name.startswith("adaptive_"):
            even = equal_windows(call)
            return None if even is None else cls(even, even, (0,) * dims, math.prod(even))
        kernel, stride, padding = window_of(call, dims)
        divisor = call.get(6, "divisor_override", None)
        if divisor is None:
            inside = all(
                (cells - 1) * step - around + extent <= size + around
                for cells, step, around, extent, size in zip(
                    call.shape[1:], stride, padding, kernel, before[1:], strict=True
                )
            )
            if not inside or not (bool(call.get(5, "count_include_pad", True)) or not any(padding)):
                return None
            divisor = math.prod(kernel)
        return cls(kernel, stride, padding, int(divisor))

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall:
        import torch

        settings = (module.kernel_size, module.stride, module.padding)
        sizes = (list(per_dimension(value, 2, 0)) for value in settings)
        more = (module.ceil_mode, module.count_include_pad, module.divisor_override)
        return torch.ops.aten.avg_pool2d.default, (x, *sizes, *more), {}

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        """Every mean spreads evenly over its window: a convolution of each channel with a constant kernel, reversed."""
        source = node.inputs[0]
        channels, *map_size = context.shape(source)
        ones = (1,) * len(self.kernel)
        window, origin = region_below(signal, self.kernel, self.stride, self.padding, ones, tuple(map_size))
        weight = signal.tensor.new_full((channels, 1, *self.kernel), 1 / self.divisor)
        tensor = ops.conv_transpose(
            signal.tensor,
            weight,
            map_size=tuple(map_size),
            stride=self.stride,
            padding=self.padding,
            groups=channels,
            backend=context.backend,
            **window,
        )
        return {source: Signal(tensor, origin)}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return window_reach(source, cells, self.kernel, self.stride, self.padding, (1,) * len(self.kernel))


@dataclass(frozen=True)
class GlobalAverage(ValueFree):
    """Mean over all spatial positions, to [C] or [C, 1, ...]."""

    names = ("mean", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
    plain_module = "AdaptiveAvgPool2d"

    @classmethod
    def recognise(cls, call: Call) -> GlobalAverage | None:
        before = call.before
        if before is None:
            return None
        if call.name == "mean":
            dims = call.get(1, "dim", None)
            spatial = set(range(2, len(before) + 1))
            found = {int(dim) % (len(before) + 1) for dim in dims} if isinstance(dims, (list, tuple)) else set()
            return cls() if spatial and found == spatial and len(before) > 1 else None
        if pooled_dimensions(call) is None or equal_windows(call) is None:
            return None
        return cls() if all(cells == 1 for cells in call.shape[1:]) else None

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall | None:
        import torch

        cells = module.output_size
        cells = [cells, cells] if isinstance(cells, int) else list(cells)
        return None if None in cells else (torch.ops.aten.adaptive_avg_pool2d.default, (x, cells), {})

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        shape = context.shape(node.inputs[0])
        full = whole(signal, node.shape[1:]).tensor
        cells = math.prod(shape[1:])
        even = (full / cells).reshape(*full.shape[:3], *(1,) * len(shape[1:]))
        return {node.inputs[0]: Signal(even.expand(*full.shape[:3], *shape[1:]))}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return every(source)


def pooled_dimensions(call: Call) -> int | None:
    """Number of spatial dimensions of a pooling call, if it is batched and its map is not empty."""
    dims = int(call.name.removesuffix("_with_indices")[-2])
    before = call.before
    return dims if before is not None and len(before) == dims + 1 and 0 not in before else None


def window_of(call: Call, dims: int) -> Window:
    """(kernel, stride, padding) of a pooling call."""
    kernel = per_dimension(call.get(1, "kernel_size", 1), dims, 1)
    stride = call.get(2, "stride", None)
    return (
        kernel,
        kernel if not stride else per_dimension(stride, dims, 1),
        per_dimension(call.get(3, "padding", 0), dims, 0),
    )


def equal_windows(call: Call) -> tuple[int, ...] | None:
    """The kernel of an adaptive pooling whose windows are all alike, else None."""
    before = call.before or ()
    if any(size % cells for size, cells in zip(before[1:], call.shape[1:], strict=True)):
        return None
    return tuple(size // cells for size, cells in zip(before[1:], call.shape[1:], strict=True))
