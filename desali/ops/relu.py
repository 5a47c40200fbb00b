"""The rectifier: forward with its bit-packed mask, and backward along the rule of a method."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from desali.ops import checks, native, reference
from desali.ops.backend import core, use_native
from desali.ops.device import on_gpu
from desali.ops.memory import large_pages


def relu_with_mask(
    x: Tensor,  # [N, C, *S]
    *,
    upper: float | None = None,
    out: Tensor | None = None,  # [N, C, *S]
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Rectify `x` and pack the signs of its elements.

    Args:
        x: [N, C, *S], any float type; not modified.
        upper: clip at this value too (ReLU6: 6); the bit is then [0 < x < upper].
        out: x itself, to rectify it in its place; None: y is a new tensor.
        backend: "auto", "native" or "torch".

    Returns:
        y [N, C, *S] in x's memory format, and the mask, uint8 [N, *S, ceil(C/8)] (`desali.ops.packing`).
        NaN has its bit, as it passes the gradient on in PyTorch.

    Raises:
        TypeError, ValueError: for a wrong dtype or rank, an x that requires grad, or an `out` that is not x.
    """
    checks.floating("x", x)
    checks.rank("x", x, "N, C, *S", 2, 5)
    if out is not None and out is not x:
        raise ValueError("out must be x itself or None")
    if use_native("relu_with_mask", backend, native.reason_against("relu_with_mask", x, x.dim() - 2)):
        return native_relu_with_mask(x, upper, out is not None)
    y, mask = reference.relu_with_mask(x, upper)
    return (y if out is None else out.copy_(y)), mask


def native_relu_with_mask(x: Tensor, upper: float | None, inplace: bool) -> tuple[Tensor, Tensor]:
    """`relu_with_mask` by the core, for arguments known to fit; `inplace`: y is x itself."""
    channels_last, given = False, x
    if not x.is_contiguous():
        turned = x.movedim(1, -1)
        channels_last = turned.is_contiguous()
        x = turned if channels_last else x.contiguous()
    here = inplace and x.data_ptr() == given.data_ptr() and not on_gpu(x.device)
    y = x if here else large_pages(torch.empty_like(x))
    n, c = x.shape[0], x.shape[-1 if channels_last else 1]
    size = x.shape[1:-1] if channels_last else x.shape[2:]
    mask = torch.empty((n, *size, (c + 7) // 8), dtype=torch.uint8, device=x.device)
    module, _ = core()
    assert module is not None
    module.relu_with_mask(
        place=native.place(x), dtype=native.DTYPE_CODES[x.dtype], x=x.data_ptr(), y=y.data_ptr(), mask=mask.data_ptr(),
        channels_last=channels_last, upper=math.nan if upper is None else upper, n=n, c=c, s=math.prod(size),
    )  # fmt: skip
    if here:
        return given, mask
    y = y.movedim(-1, 1) if channels_last else y
    return (given.copy_(y) if inplace else y), mask


def inverse_relu(
    signal: Tensor,  # [N, K, C, *s]
    mask: Tensor | None,  # [N, *S, ceil(C/8)]
    *,
    map_size: tuple[int, ...],
    relu_mask: bool = True,
    relu_backward: bool = True,
    origin: Tensor | None = None,  # [N, K, D]
    out: Tensor | None = None,  # [N, K, C, *s]
    backend: str = "auto",
) -> Tensor:
    """Carry a signal back through a ReLU: keep p where x > 0 (`relu_mask`) and where p > 0 (`relu_backward`).

    Both bits: DeSaliNet and guided backpropagation; mask alone: the gradient; backward alone: DeconvNet
    (Mahendran and Vedaldi 2016, section 3).

    Args:
        signal: [N, K, C, *s], K seeds that share the mask.
        mask: [N, *S, ceil(C/8)] of `relu_with_mask`; may be None if `relu_mask` is False.
        map_size: S, the size of the layer's map.
        origin: int64 [N, K, D], coordinate in the map of each region's first element; what lies outside the map
            becomes zero.
        out: where to write; may be `signal` itself.

    Returns:
        [N, K, C, *s]; channels-last in memory on the native path.

    Raises:
        TypeError, ValueError: for shapes, dtypes or devices that do not fit.
    """
    checks.floating("signal", signal)
    checks.rank("signal", signal, "N, K, C, *s", 3, 6)
    dims = signal.dim() - 3
    map_size = checks.integers("map_size", map_size, dims, 0)
    if relu_mask:
        mask = checks.mask_of("mask", mask, signal.shape[0], map_size, signal.shape[2], signal)
    if origin is not None:
        checks.origin_of("origin", origin, signal, dims)
    elif tuple(signal.shape[3:]) != map_size:
        checks.shape("signal", signal, (*signal.shape[:3], *map_size))
    if out is not None:
        checks.same_kind("out", out, "signal", signal)
        checks.shape("out", out, signal.shape)
    reason = native.reason_against("inverse_relu", signal, dims)
    if reason is None and origin is not None and dims == 3:
        reason = "the core takes origins of up to 2 spatial dimensions, got 3"
    if use_native("inverse_relu", backend, reason):
        return _inverse_relu(signal, mask if relu_mask else None, map_size, relu_backward, origin, out)
    checks.near("origin", origin, checks.WINDOW_BITS)
    result = reference.inverse_relu(signal, mask, map_size, relu_mask, relu_backward, origin)
    return result if out is None else out.copy_(result)


def _inverse_relu(
    signal: Tensor,
    mask: Tensor | None,
    map_size: tuple[int, ...],
    relu_backward: bool,
    origin: Tensor | None,
    out: Tensor | None,
) -> Tensor:
    dims = len(map_size)
    n, k, c = signal.shape[:3]
    size = tuple(signal.shape[3:])
    scattered = not on_gpu(signal.device) and signal.stride(2) != 1 and c > 1
    fresh = scattered or (dims == 3 and not signal.movedim(2, -1).is_contiguous())
    if fresh:
        signal = native.logical(native.channels_last(signal))
    strides = signal.stride()
    if dims < 3:
        stride_y, stride_x = (*strides[3:], 0, 0)[:2]
    else:  # folded into one row of pixels, which are neighbours; a dimension of one element has any stride
        stride_y, stride_x = 0, c
    target = None
    if out is not None:
        target = out.movedim(2, -1)
        overlapping = out.data_ptr() == signal.data_ptr() and out.stride() != signal.stride()
        if not target.is_contiguous() or overlapping:
            target = None
    if target is not None:
        written = target
    elif fresh:
        written = signal.movedim(2, -1)  # a copy of our own: rectified in place
    else:
        written = large_pages(torch.empty((n, k, *size, c), dtype=signal.dtype, device=signal.device))
    if mask is not None and not mask.is_contiguous():
        mask = mask.contiguous()
    origin = native.origins(origin, dims)
    module, _ = core()
    assert module is not None
    module.inverse_relu(
        place=native.place(signal), dtype=native.DTYPE_CODES[signal.dtype], signal=signal.data_ptr(),
        stride_n=strides[0], stride_k=strides[1], stride_c=strides[2], stride_y=stride_y, stride_x=stride_x,
        out=written.data_ptr(), mask=native.address(mask), backward=relu_backward, origin=native.address(origin),
        n=n, k=k, c=c, size=native.planar(size), map_size=native.planar(map_size),
    )  # fmt: skip
    if out is None:
        return native.logical(written)
    return out if target is not None else out.copy_(written.movedim(-1, 2))
