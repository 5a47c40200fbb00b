"""Convolution and linear layers: reversed by their transpose, without bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from desali import ops
from desali.reversal.layers.base import Arrivals, Context, Node, TorchCall, ValueFree
from desali.reversal.layers.call import Call, Parameter, per_dimension
from desali.reversal.layers.reach import Cells, Shaped, window_reach
from desali.reversal.layers.regions import fusion, region_below
from desali.reversal.signals import Signal, whole


class _Affine(ValueFree):
    fresh = True
    folding = "affine"


@dataclass(frozen=True)
class Convolution(_Affine):
    """Cross-correlation with `weight` [O, I / groups, *kernel]; reversed by transposed convolution without bias."""

    weight: str
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    names = ("conv1d", "conv2d", "conv3d")
    fuses = True
    plain_module = "Conv2d"

    @classmethod
    def recognise(cls, call: Call) -> Convolution | None:
        if call.before is None or call.weight_shape is None:
            return None
        kernel = call.weight_shape[2:]
        dims = len(kernel)
        if len(call.before) != dims + 1:
            return None
        dilation = per_dimension(call.get(5, "dilation", 1), dims, 1)
        stride = per_dimension(call.get(3, "stride", 1), dims, 1)
        padding = call.get(4, "padding", 0)
        if isinstance(padding, str):
            total = [0 if padding == "valid" else d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
            if any(amount % 2 for amount in total):
                return None
            around = tuple(amount // 2 for amount in total)
        else:
            around = per_dimension(padding, dims, 0)
        return cls(call.args[1].name, kernel, stride, around, dilation, int(call.get(6, "groups", 1)))

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall | None:
        import torch

        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            return None
        geometry = (list(module.stride), list(module.padding), list(module.dilation), module.groups)
        return torch.ops.aten.conv2d.default, (x, own("weight"), own("bias"), *geometry), {}

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        return self._reverse(context, node, signal, None)

    def reverse_with_relu(self, context: Context, node: Node, signal: Signal, relu: Node) -> Arrivals:
        return self._reverse(context, node, signal, relu)

    def _reverse(self, context: Context, node: Node, signal: Signal, relu: Node | None) -> Arrivals:
        source = node.inputs[0]
        map_size = context.shape(source)[1:]
        window, origin = region_below(signal, self.kernel, self.stride, self.padding, self.dilation, map_size)
        tensor = ops.conv_transpose(
            signal.tensor,
            context.parameter(self.weight),
            map_size=map_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            weight_cache=context.weight_cache(self.weight),
            backend=context.backend,
            **window,
            **fusion(context, relu),
        )
        return {source if relu is None else relu.inputs[0]: Signal(tensor, origin)}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return window_reach(source, cells, self.kernel, self.stride, self.padding, self.dilation)


@dataclass(frozen=True)
class Linear(_Affine):
    """x W^T + b over the last dimension; reversed by p W."""

    weight: str

    names = ("linear",)
    plain_module = "Linear"

    @classmethod
    def recognise(cls, call: Call) -> Linear | None:
        if call.before is None or not isinstance(call.args[1], Parameter):
            return None
        return cls(call.args[1].name)

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall:
        import torch

        return torch.ops.aten.linear.default, (x, own("weight"), own("bias")), {}

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        weight = context.parameter(self.weight)
        return {node.inputs[0]: Signal(whole(signal, node.shape[1:]).tensor @ weight)}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return (*cells[:-1], range(source.shape[-1]))
