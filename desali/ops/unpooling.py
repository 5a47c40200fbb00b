"""Max unpooling: the way back through a max pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from desali.ops import checks, native, reference
from desali.ops.backend import core, use_native
from desali.ops.memory import large_pages
from desali.ops.packing import switch_dtype

OVERLAPS = ("sum", "overwrite")


def max_unpool(
    signal: Tensor,  # [N, K, C, *p]
    switches: Tensor,  # [N, *P, C]
    *,
    map_size: int | Sequence[int],
    kernel: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    use_switches: bool = True,
    overlap: str = "sum",
    origin: Tensor | None = None,  # [N, K, D]
    out_origin: Tensor | None = None,  # [N, K, D]
    out_size: int | Sequence[int] | None = None,
    relu: Tensor | str | None = None,
    relu_mask: bool = True,
    relu_backward: bool = True,
    backend: str = "auto",
) -> Tensor:
    """Send each pooled value to the place where its maximum was, then through the inverse ReLU of the layer below.

    With `overlap="sum"` and switches this is the adjoint of the pooling at the recorded point. With "overwrite" the
    last window in row-major order that points at an element wins, also with a zero (windows outside the region count
    as zero).

    Args:
        signal: [N, K, C, *p]; K seeds share the switches.
        switches: [N, *P, C] of `max_pool_with_switches`.
        map_size: size of the map below.
        use_switches: False sends to the window's centre, offset (ceil(k/2) - 1) * dilation in the padded map.
        origin: int64 [N, K, D], coordinate in the pooled map of each region's first element; None: the whole map.
        out_origin, out_size: window of the map below to compute. Default: the whole map without `origin`, else the
            full spread: origin * stride - padding, size (p - 1) * stride + (kernel - 1) * dilation + 1.
        relu: the ReLU below: its mask [N, *S, ceil(C/8)], or "positive_bit" (the switches' top bit; needs
            `use_switches` unless `relu_mask` is False), or None.
        relu_mask, relu_backward: as in `inverse_relu`; applied to the sum of what arrives.

    Returns:
        [N, K, C, *map_size] or [N, K, C, *out_size]; channels-last in memory on the native path.

    Raises:
        TypeError, ValueError: for shapes, dtypes or devices that do not fit.
    """
    checks.floating("signal", signal)
    checks.rank("signal", signal, "N, K, C, *p", 4, 6)
    dims = signal.dim() - 3
    map_size = checks.integers("map_size", map_size, dims, 0)
    kernel = checks.integers("kernel", kernel, dims, 1)
    stride = kernel if stride is None else checks.integers("stride", stride, dims, 1)
    padding = checks.integers("padding", padding, dims, 0)
    dilation = checks.integers("dilation", dilation, dims, 1)
    if overlap not in OVERLAPS:
        raise ValueError(f"overlap must be 'sum' or 'overwrite', got {overlap!r}")
    n, k, channels = signal.shape[:3]
    expected = switch_dtype(math.prod(kernel))
    if not isinstance(switches, Tensor):
        raise TypeError(f"switches must be a torch.Tensor, got {type(switches).__name__}")
    if switches.dtype is not expected:
        raise TypeError(f"switches must have dtype {expected} for kernel {list(kernel)}, got {switches.dtype}")
    checks.same_device("switches", switches, "signal", signal)
    if switches.dim() != dims + 2 or switches.shape[0] != n or switches.shape[-1] != channels:
        raise ValueError(f"switches must have shape [{n}, *P, {channels}], got {list(switches.shape)}")
    window, size = checks.layout_window(signal, origin, out_origin, out_size, stride, padding, dilation, kernel)
    if origin is None and signal.shape[3:] != switches.shape[1:-1]:
        checks.shape("signal", signal, (n, k, channels, *switches.shape[1:-1]))
    if isinstance(relu, str):
        if relu != "positive_bit":
            raise ValueError(f"relu must be a mask, 'positive_bit' or None, got {relu!r}")
        if relu_mask and not use_switches:
            raise ValueError("relu must be a mask when use_switches is False, got 'positive_bit'")
    elif relu is not None and relu_mask:
        checks.mask_of("relu", relu, n, map_size, channels, signal)
    checks.addressable("the result", (n, k, channels, *(map_size if size is None else size)), 8)
    if use_native("max_unpool", backend, native.reason_against("max_unpool", signal, dims)):
        return _max_unpool(
            signal, switches, map_size, kernel, stride, padding, dilation, use_switches, overlap,
            origin, window, size, relu, relu_mask, relu_backward,
        )  # fmt: skip
    checks.fits_reference((n, k, channels, *map_size))
    checks.near("origin", origin, checks.ORIGIN_BITS)
    checks.near("out_origin", window, checks.WINDOW_BITS)
    return reference.max_unpool(
        signal, switches, map_size, kernel, stride, padding, dilation, use_switches, overlap,
        origin, window, size, relu, relu_mask, relu_backward,
    )  # fmt: skip


def _max_unpool(
    signal: Tensor,
    switches: Tensor,
    map_size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    use_switches: bool,
    overlap: str,
    origin: Tensor | None,
    out_origin: Tensor | None,
    out_size: tuple[int, ...] | None,
    relu: Tensor | str | None,
    relu_mask: bool,
    relu_backward: bool,
) -> Tensor:
    dims = len(map_size)
    n, k, c = signal.shape[:3]
    size = map_size if out_size is None else out_size
    turned = native.channels_last(signal)
    if not switches.is_contiguous():
        switches = switches.contiguous()
    out = large_pages(torch.empty((n, k, *size, c), dtype=signal.dtype, device=signal.device))
    mask = relu.contiguous() if isinstance(relu, Tensor) and relu_mask else None
    origin, out_origin = native.origins(origin, dims), native.origins(out_origin, dims)
    module, _ = core()
    assert module is not None
    y_axis, x_axis = native.planar_axes(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    module.max_unpool(
        place=native.place(signal), dtype=native.DTYPE_CODES[signal.dtype], signal=turned.data_ptr(),
        switches=switches.data_ptr(), out=out.data_ptr(), switch_bytes=switches.element_size(),
        use_switches=use_switches, overwrite=overlap == "overwrite", positive_bit=isinstance(relu, str) and relu_mask,
        mask=native.address(mask), backward=relu is not None and relu_backward, origin=native.address(origin),
        out_origin=native.address(out_origin), n=n, k=k, c=c, size=native.planar(tuple(signal.shape[3:])),
        pooled=native.planar(tuple(switches.shape[1:-1])), out_size=native.planar(size),
        map_size=native.planar(map_size), y_axis=y_axis, x_axis=x_axis,
    )  # fmt: skip
    return native.logical(out)
