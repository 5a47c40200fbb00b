"""Every method by autograd: calls of ReLU, max pooling and local response normalisation are caught where Python makes
them and given backward passes of our own, so functional, in-place and reused ones all follow the method.

Nothing of desali is used: the model itself runs, in eager mode.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class _Rectifier(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, upper: float | None, mask: bool, backward: bool) -> Tensor:
        ctx.positive = x > 0 if upper is None else (x > 0) & (x < upper)
        ctx.bits = mask, backward
        return x.clamp(min=0, max=upper)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        mask, backward = ctx.bits
        if backward:
            grad = torch.where(grad > 0, grad, torch.zeros_like(grad))
        if mask:
            grad = torch.where(ctx.positive, grad, torch.zeros_like(grad))
        return grad, None, None, None


class _Pool(torch.autograd.Function):
    """2-D max pooling; the windows are visited in row-major order, so that the last one to write wins."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, settings: tuple[Any, ...], switches: bool, overlap: str) -> Tensor:
        kernel, stride, padding, dilation, ceil_mode = settings
        y, index = F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode, return_indices=True)
        ctx.index, ctx.size, ctx.settings, ctx.bits = index, x.shape, settings, (switches, overlap)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        kernel, stride, padding, dilation, _ = ctx.settings
        switches, overlap = ctx.bits
        n, c, height, width = ctx.size
        out = grad.new_zeros(n, c, height * width)
        for row, column in itertools.product(range(grad.shape[2]), range(grad.shape[3])):
            if switches:
                index = ctx.index[:, :, row, column].unsqueeze(2)
            else:
                at = [
                    cell * stride[d] - padding[d] + ((kernel[d] + 1) // 2 - 1) * dilation[d]
                    for d, cell in enumerate((row, column))
                ]
                if not (0 <= at[0] < height and 0 <= at[1] < width):
                    continue
                index = torch.full((n, c, 1), at[0] * width + at[1])
            value = grad[:, :, row, column].unsqueeze(2)
            if overlap == "sum":
                out.scatter_add_(2, index, value)
            else:
                out.scatter_(2, index, value)
        return out.view(ctx.size), None, None, None


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        return y.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        return grad, None


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


class Rules(TorchFunctionMode):
    """While entered, ReLU, 2-D max pooling and local response normalisation differentiate along a method."""

    def __init__(self, mask: bool, switches: bool, backward: bool, lrn: str, overlap: str) -> None:
        super().__init__()
        self.mask, self.switches, self.backward, self.lrn, self.overlap = mask, switches, backward, lrn, overlap
        self.seen = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ("relu", "relu_"):
            return self._rectify(args[0], None, name == "relu_" or kwargs.get("inplace", False))
        if name in ("relu6", "relu6_"):
            return self._rectify(args[0], 6.0, name == "relu6_" or kwargs.get("inplace", False))
        if name in ("hardtanh", "hardtanh_"):
            low, high = [*args[1:3], kwargs.get("min_val", -1.0), kwargs.get("max_val", 1.0)][:2]
            if low == 0:
                return self._rectify(args[0], high, name == "hardtanh_" or kwargs.get("inplace", False))
        if name in ("clamp", "clamp_", "clamp_min", "clamp_min_"):
            low = args[1] if len(args) > 1 else kwargs.get("min")
            high = args[2] if len(args) > 2 else kwargs.get("max")
            if low == 0:
                return self._rectify(args[0], high, name.endswith("_"))
        if name in ("max_pool2d", "boolean_dispatch", "_max_pool2d") and (not self.switches or self.overlap != "sum"):
            return self._pool(*args, **kwargs)
        if name == "local_response_norm" and self.lrn == "identity":
            with torch.no_grad():
                y = func(*args, **kwargs)
            return _Norm.apply(args[0], y)
        return func(*args, **kwargs)

    def _rectify(self, x: Tensor, upper: float | None, inplace: bool) -> Tensor:
        self.seen += 1
        y = _Rectifier.apply(x, upper, self.mask, self.backward)
        return x.copy_(y) if inplace else y

    def _pool(
        self,
        x: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Tensor:
        kernel = _pair(kernel_size)
        settings = (kernel, kernel if stride is None else _pair(stride), _pair(padding), _pair(dilation), ceil_mode)
        return _Pool.apply(x, settings, self.switches, self.overlap)


def project(
    model: nn.Module,
    images: Tensor,
    layer: str,
    seed: Callable[[Tensor], Tensor],
    *,
    mask: bool,
    backward: bool,
    switches: bool = True,
    lrn: str = "adjoint",
    overlap: str = "sum",
    use: int = 0,
) -> Tensor:
    """Backpropagate seed(activation) from a layer of the model to the images -> [N, C, *spatial].

    Args:
        layer: path of a module; its output before anything later writes into it.
        use: which call of the module, from 0.
    """
    twin = copy.deepcopy(model)
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        seen.append(output)
        return output.clone()

    twin.get_submodule(layer).register_forward_hook(keep)
    leaf = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        with Rules(mask, switches, backward, lrn, overlap) as rules:
            twin(leaf.clone())
        assert rules.seen, "the oracle met no ReLU"
        top = seen[use]
        (grad,) = torch.autograd.grad(top, leaf, seed(top.detach()))
    return grad
