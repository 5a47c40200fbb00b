"""The way back through a convolution on a GPU: which kernel, and the weights as that kernel reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from desali.ops import native
from desali.ops.backend import core
from desali.ops.library_convolution import conv_transpose_by_library

if TYPE_CHECKING:
    from desali.ops.weights import WeightCache

WAYS = {"plain": 0, "tiles": 1, "cells": 2, "sparse": 3}

# UNMEASURED: no GPU has run these kernels yet. The values follow from the shapes of the tiles, not from timings.
IMAGE_CHANNELS = 4  # up to so many result channels the phases of the stride become columns
GROUP_CHANNELS = 8  # groups with fewer channels than this leave most of a tile empty
# Whether signals are walked by their non-zeros. The host does not know a signal's density without waiting for the
# device, so this is one word for all shapes until `benchmarks/gpu_kernels.py` has measured where it pays.
WALK_NONZEROS = False


def choose_way(o: int, i: int, y_axis: native.Axis, x_axis: native.Axis, groups: int, windowed: bool) -> str:
    """The kernel for a shape: "cells", "tiles", "plain" or "sparse" (in the core), or "library" (cuDNN through torch).

    UNMEASURED default, chosen to be safe: cuDNN for whole maps; the core for the step to the image and for windows of
    maps, which cuDNN can only compute whole. `benchmarks/gpu_session.py` times every way; change the rule from there.

    Args:
        o, i: channels of the signal and of the result.
        windowed: the signal or the result covers a region of its map.
    """
    if WALK_NONZEROS:
        return "sparse"
    if groups == 1 and y_axis.dilation == x_axis.dilation == 1 and i <= IMAGE_CHANNELS:
        return "cells"
    if not windowed:
        return "library"
    if groups > 1 and min(o, i) // groups < GROUP_CHANNELS:
        return "plain"
    return "tiles"


def allows_tf32() -> bool:
    """Whether PyTorch's settings let float32 convolutions use TF32.

    The setting of cuDNN convolutions alone decides: `torch.backends.cudnn.conv.fp32_precision`, which
    `torch.backends.cudnn.allow_tf32` writes too.
    """
    return bool(torch.backends.cudnn.conv.fp32_precision == "tf32")  # type: ignore[attr-defined]


def conv_transpose_on_cuda(
    signal: Tensor,  # [N, K, O, *s]
    weight: Tensor,  # [O, I / groups, *kernel]
    map_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    origin: Tensor | None,
    out_origin: Tensor | None,
    out_size: tuple[int, ...] | None,
    mask: Tensor | None,
    backward: bool,
    cache: WeightCache,
) -> Tensor:
    """`conv_transpose` for checked arguments of one or two spatial dimensions, none of them empty."""
    dims = len(map_size)
    n, k, o = signal.shape[:3]
    i = weight.shape[1] * groups
    size = map_size if out_size is None else out_size
    kernel = tuple(weight.shape[2:])
    y_axis, x_axis = native.planar_axes(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    turned = native.channels_last(signal)
    way = choose_way(o, i, y_axis, x_axis, groups, origin is not None or out_origin is not None)
    if way == "library":
        return conv_transpose_by_library(
            turned, weight, map_size, stride, padding, dilation, groups, origin, out_origin, out_size, mask, backward
        )
    layout = way if way in ("cells", "sparse") else "taps"
    packed = cache.get(
        weight,
        ("cuda", layout, *((y_axis.stride, x_axis.stride) if layout == "cells" else (groups,))),
        lambda: (
            pack_cells(weight, y_axis.stride, x_axis.stride) if layout == "cells"
            else pack_rows(weight) if layout == "sparse"
            else pack_taps(weight, groups)
        ),
    )  # fmt: skip
    out = torch.empty((n, k, *size, i), dtype=signal.dtype, device=signal.device)
    if mask is not None and not mask.is_contiguous():
        mask = mask.contiguous()
    origin, out_origin = native.origins(origin, dims), native.origins(out_origin, dims)
    module, _ = core()
    assert module is not None
    code = native.DTYPE_CODES[signal.dtype]
    scratch = None
    if way == "sparse":
        size_of_lists = module.sparse_scratch_bytes(dtype=code, pixels=turned.numel() // o, channels=o, groups=groups)
        scratch = torch.empty(size_of_lists, dtype=torch.uint8, device=signal.device)
    module.conv_transpose_cuda(
        place=native.place(signal), dtype=code, way=WAYS[way], tf32=allows_tf32(), signal=turned.data_ptr(),
        packed=packed.data_ptr(), scratch=native.address(scratch), out=out.data_ptr(), mask=native.address(mask),
        backward=backward, origin=native.address(origin), out_origin=native.address(out_origin), n=n, k=k, o=o, i=i,
        size=native.planar(tuple(signal.shape[3:])), out_size=native.planar(size), map_size=native.planar(map_size),
        groups=groups, y_axis=y_axis, x_axis=x_axis,
    )  # fmt: skip
    return native.logical(out)


def pack_taps(
    weight: Tensor,  # [O, I / groups, *kernel]
    groups: int,
) -> Tensor:
    """The weight as [kh, kw, I, O / groups], rows of neighbouring signal channels."""
    weight = _planar(weight)
    o, i, kernel_y, kernel_x = weight.shape
    grouped = weight.reshape(groups, o // groups, i, kernel_y, kernel_x)
    return grouped.permute(3, 4, 0, 2, 1).reshape(kernel_y, kernel_x, groups * i, o // groups).contiguous()


def pack_rows(
    weight: Tensor,  # [O, I / groups, *kernel]
) -> Tensor:
    """The weight as [kh, kw, O, I / groups], rows of neighbouring result channels."""
    return _planar(weight).permute(2, 3, 0, 1).contiguous()


def pack_cells(
    weight: Tensor,  # [O, I, *kernel]
    stride_y: int,
    stride_x: int,
) -> Tensor:
    """The weight as [ty, tx, stride y, stride x, I, O]: taps of whole cells, zero beyond the kernel."""
    weight = _planar(weight)
    o, i, kernel_y, kernel_x = weight.shape
    taps_y, taps_x = -(-kernel_y // stride_y), -(-kernel_x // stride_x)
    beyond = (0, taps_x * stride_x - kernel_x, 0, taps_y * stride_y - kernel_y)
    padded = torch.nn.functional.pad(weight, beyond)
    return padded.view(o, i, taps_y, stride_y, taps_x, stride_x).permute(2, 4, 3, 5, 1, 0).contiguous()


def _planar(weight: Tensor) -> Tensor:
    weight = weight.detach()
    return weight if weight.dim() == 4 else weight.unsqueeze(-1)
