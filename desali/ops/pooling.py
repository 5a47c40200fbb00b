"""Max pooling that remembers its switches."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from desali.ops import checks, native, reference
from desali.ops.backend import core, use_native
from desali.ops.memory import large_pages
from desali.ops.packing import switch_dtype


@functools.lru_cache(maxsize=256)
def pooled_size(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[int, ...]:
    """Output size of a pooling; with ceil_mode the last window starts inside the map or its left padding."""
    sizes = []
    for d, extent in enumerate(size):
        room = extent + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1
        count = -(-room // stride[d]) + 1 if ceil_mode else room // stride[d] + 1
        if ceil_mode and (count - 1) * stride[d] >= extent + padding[d]:
            count -= 1
        if count < 1 or extent < 1:
            raise ValueError(f"x must have a spatial size that holds a window of {list(kernel)}, got {list(size)}")
        last = (count - 1) * stride[d] - padding[d]
        for start in {-padding[d], last} if dilation[d] > 1 else ():
            first = start if start >= 0 else start % dilation[d]  # first element at or beyond the border
            if first >= extent or first > start + (kernel[d] - 1) * dilation[d]:
                raise ValueError(
                    f"x must have a spatial size in which every window holds an element, got {list(size)} "
                    f"for kernel {list(kernel)}, padding {list(padding)}, dilation {list(dilation)}"
                )
        sizes.append(count)
    return tuple(sizes)


def max_pool_with_switches(
    x: Tensor,  # [N, C, *S]
    kernel: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    *,
    after_relu: bool = False,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Max pooling with, for each pooled element, the offset of its maximum in the window.

    The first maximum in row-major order wins, and a NaN wins over everything, as in PyTorch.

    Args:
        x: [N, C, *S], 1 to 3 spatial dimensions.
        stride: None means `kernel`.
        after_relu: x comes from a ReLU: the top bit of a switch then says that the pooled value is positive.

    Returns:
        y [N, C, *P], and switches [N, *P, C] (`desali.ops.packing`).

    Raises:
        TypeError, ValueError: for arguments that do not describe a pooling of x.
    """
    checks.floating("x", x)
    checks.rank("x", x, "N, C, *S", 3, 5)
    dims = x.dim() - 2
    kernel = checks.integers("kernel", kernel, dims, 1)
    stride = kernel if stride is None else checks.integers("stride", stride, dims, 1)
    padding = checks.integers("padding", padding, dims, 0)
    dilation = checks.integers("dilation", dilation, dims, 1)
    for d in range(dims):
        if padding[d] > kernel[d] // 2:
            raise ValueError(f"padding must be at most half of the kernel {list(kernel)}, got {list(padding)}")
    pooled = pooled_size(tuple(x.shape[2:]), kernel, stride, padding, dilation, ceil_mode)
    if use_native("max_pool_with_switches", backend, native.reason_against("max_pool_with_switches", x, dims)):
        return _max_pool_with_switches(x, pooled, kernel, stride, padding, dilation, after_relu)
    return reference.max_pool_with_switches(x, kernel, stride, padding, dilation, ceil_mode, after_relu)


def _max_pool_with_switches(
    x: Tensor,
    pooled: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    after_relu: bool,
) -> tuple[Tensor, Tensor]:
    n, c = x.shape[:2]
    size = tuple(x.shape[2:])
    channels_last = False
    if not x.is_contiguous():
        turned = x.movedim(1, -1)
        channels_last = turned.is_contiguous()
        x = turned if channels_last else x.contiguous()
    y = torch.empty((n, *pooled, c) if channels_last else (n, c, *pooled), dtype=x.dtype, device=x.device)
    y = large_pages(y)
    switches = torch.empty((n, *pooled, c), dtype=switch_dtype(math.prod(kernel)), device=x.device)
    module, _ = core()
    assert module is not None
    y_axis, x_axis = native.planar_axes(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    module.max_pool(
        place=native.place(x), dtype=native.DTYPE_CODES[x.dtype], x=x.data_ptr(), y=y.data_ptr(),
        switches=switches.data_ptr(), switch_bytes=switches.element_size(), channels_last=channels_last,
        after_relu=after_relu, n=n, c=c, size=native.planar(size), pooled=native.planar(pooled),
        y_axis=y_axis, x_axis=x_axis,
    )  # fmt: skip
    return (y.movedim(-1, 1) if channels_last else y), switches
