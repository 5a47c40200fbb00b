"""What surrounds a call of the core: device and dtype codes, channels-last memory, two-dimensional sizes."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from desali.ops.backend import _can_run
from desali.ops.device import on_host

DTYPE_CODES = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
_NAMES = {dtype: str(dtype).removeprefix("torch.") for dtype in DTYPE_CODES}
_TO_LAST = {d: (0, 1, *range(3, d), 2) for d in range(3, 7)}
_TO_THIRD = {d: (0, 1, d - 1, *range(2, d - 1)) for d in range(3, 7)}


def reason_against(op: str, tensor: Tensor, dims: int) -> str | None:
    """`can_run` for a tensor."""
    return _can_run(op, tensor.device.type, _NAMES[tensor.dtype], dims)


def place(tensor: Tensor) -> tuple[int, int]:
    """Device index (-1: CPU) and current stream, as the core takes them under the name "place"."""
    if on_host(tensor.device):
        return -1, 0
    return tensor.get_device(), torch.cuda.current_stream(tensor.device).cuda_stream


def channels_last(signal: Tensor) -> Tensor:
    """[N, K, C, *S] -> the same values as [N, K, *S, C], contiguous; a copy only where the memory is otherwise."""
    turned = signal.permute(_TO_LAST[signal.dim()])
    return turned if turned.is_contiguous() else turned.contiguous()


def logical(result: Tensor) -> Tensor:
    """[N, K, *S, C] -> [N, K, C, *S] without a copy."""
    return result.permute(_TO_THIRD[result.dim()])


def planar(sizes: tuple[int, ...]) -> tuple[int, int]:
    """Sizes of a map as (rows, columns): [L] is [L, 1], no dimension is [1, 1], three fold into [1, all]."""
    if len(sizes) == 2:
        return sizes[0], sizes[1]
    if len(sizes) == 1:
        return sizes[0], 1
    return 1, math.prod(sizes)


class Axis(NamedTuple):
    """One spatial dimension of a pooling or convolution, as the core takes it (csrc/geometry.hpp)."""

    kernel: int
    stride: int
    padding: int
    dilation: int


@functools.lru_cache(maxsize=1024)
def planar_axes(
    *, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[Axis, Axis]:
    """The axes of rows and columns; a dimension that is not there has a window of one element."""
    rows = Axis(kernel[0], stride[0], padding[0], dilation[0])
    return rows, Axis(kernel[1], stride[1], padding[1], dilation[1]) if len(kernel) == 2 else Axis(1, 1, 0, 1)


def origins(origin: Tensor | None, dims: int) -> Tensor | None:
    """Origins as contiguous [N, K, 2]."""
    if origin is None:
        return None
    if dims < 2:
        origin = torch.nn.functional.pad(origin, (0, 2 - dims))
    return origin.contiguous()


def address(tensor: Tensor | None) -> int:
    """Address of a tensor's first element; 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()
