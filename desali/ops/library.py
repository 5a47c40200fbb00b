"""The ops as `torch.library` custom operators (namespace `desali::`), for code that is compiled or exported.

`desali.ops.register()` registers them. Each has a fake implementation whose shapes and strides equal the real ones.
They are inference-only: an input that requires grad is refused. The reverse sweep calls `desali.ops` directly, which
costs less for each call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from desali.ops import convolution, packing, pooling, relu, unpooling


def register() -> Any:
    """Register the five ops with PyTorch, so that functions under `torch.compile` and `torch.export` can call them.

    `desali.ops` itself hands bare addresses to the compute core, which a compiler cannot follow. The registered ops do
    the same work as one node of the graph each, on whole maps; they have no backward.

    Returns:
        `torch.ops.desali`, with `relu_with_mask`, `inverse_relu`, `max_pool_with_switches`, `max_unpool` and
        `conv_transpose`; their arguments are those of `desali.ops`, a ReLU below being given by `mask`.
    """
    return torch.ops.desali


def _channels_last(signal: Tensor, channels: int, size: Sequence[int]) -> Tensor:
    """An empty result [N, K, channels, *size], channels-last in memory."""
    return signal.new_empty((*signal.shape[:2], *size, channels)).movedim(-1, 2)


@torch.library.custom_op("desali::relu_with_mask", mutates_args=())
def relu_with_mask(x: Tensor, upper: float | None = None) -> tuple[Tensor, Tensor]:
    """See `desali.ops.relu_with_mask`."""
    return relu.relu_with_mask(x.contiguous(), upper=upper)


@relu_with_mask.register_fake
def _(x: Tensor, upper: float | None = None) -> tuple[Tensor, Tensor]:
    mask = x.new_empty((x.shape[0], *x.shape[2:], (x.shape[1] + 7) // 8), dtype=torch.uint8)
    return x.new_empty(x.shape), mask


@torch.library.custom_op("desali::inverse_relu", mutates_args=())
def inverse_relu(
    signal: Tensor,
    mask: Tensor | None,
    map_size: Sequence[int],
    relu_mask: bool = True,
    relu_backward: bool = True,
    origin: Tensor | None = None,
) -> Tensor:
    """See `desali.ops.inverse_relu`."""
    out = _channels_last(signal, signal.shape[2], signal.shape[3:])
    relu.inverse_relu(
        signal, mask, map_size=tuple(map_size), relu_mask=relu_mask, relu_backward=relu_backward, origin=origin, out=out
    )
    return out


@inverse_relu.register_fake
def _(
    signal: Tensor,
    mask: Tensor | None,
    map_size: Sequence[int],
    relu_mask: bool = True,
    relu_backward: bool = True,
    origin: Tensor | None = None,
) -> Tensor:
    return _channels_last(signal, signal.shape[2], signal.shape[3:])


@torch.library.custom_op("desali::max_pool_with_switches", mutates_args=())
def max_pool_with_switches(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool = False,
    after_relu: bool = False,
) -> tuple[Tensor, Tensor]:
    """See `desali.ops.max_pool_with_switches`."""
    return pooling.max_pool_with_switches(
        x.contiguous(), kernel, stride, padding, dilation, ceil_mode, after_relu=after_relu
    )


@max_pool_with_switches.register_fake
def _(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool = False,
    after_relu: bool = False,
) -> tuple[Tensor, Tensor]:
    size = pooling.pooled_size.__wrapped__(
        tuple(x.shape[2:]), tuple(kernel), tuple(stride), tuple(padding), tuple(dilation), ceil_mode
    )
    dtype = packing.switch_dtype(math.prod(kernel))
    return x.new_empty((*x.shape[:2], *size)), x.new_empty((x.shape[0], *size, x.shape[1]), dtype=dtype)


@torch.library.custom_op("desali::max_unpool", mutates_args=())
def max_unpool(
    signal: Tensor,
    switches: Tensor,
    map_size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    use_switches: bool = True,
    overlap: str = "sum",
    mask: Tensor | None = None,
    positive_bit: bool = False,
    relu_backward: bool = True,
) -> Tensor:
    """See `desali.ops.max_unpool`; whole maps. `mask` or `positive_bit` says that a ReLU lies below."""
    result = unpooling.max_unpool(
        signal,
        switches,
        map_size=map_size,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        use_switches=use_switches,
        overlap=overlap,
        relu="positive_bit" if positive_bit else mask,
        relu_backward=relu_backward,
    )
    return _channels_last(result, result.shape[2], result.shape[3:]).copy_(result)


@max_unpool.register_fake
def _(
    signal: Tensor,
    switches: Tensor,
    map_size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    use_switches: bool = True,
    overlap: str = "sum",
    mask: Tensor | None = None,
    positive_bit: bool = False,
    relu_backward: bool = True,
) -> Tensor:
    return _channels_last(signal, signal.shape[2], map_size)


@torch.library.custom_op("desali::conv_transpose", mutates_args=())
def conv_transpose(
    signal: Tensor,
    weight: Tensor,
    map_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
    mask: Tensor | None = None,
    relu_backward: bool = True,
) -> Tensor:
    """See `desali.ops.conv_transpose`; whole maps."""
    result = convolution.conv_transpose(
        signal,
        weight,
        map_size=map_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        relu=mask,
        relu_backward=relu_backward,
    )
    out = result if result.movedim(2, -1).is_contiguous() else None
    return _channels_last(result, result.shape[2], result.shape[3:]).copy_(result) if out is None else out


@conv_transpose.register_fake
def _(
    signal: Tensor,
    weight: Tensor,
    map_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
    mask: Tensor | None = None,
    relu_backward: bool = True,
) -> Tensor:
    return _channels_last(signal, weight.shape[1] * groups, map_size)


def _refuse(*_: object, **__: object) -> None:
    raise RuntimeError("the ops of desali have no backward: call them under torch.no_grad()")


for _operator in (relu_with_mask, inverse_relu, max_pool_with_switches, max_unpool, conv_transpose):
    _operator.register_autograd(_refuse, setup_context=_refuse)
