"""Transposed convolution: the way back through a convolution."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from desali.ops import checks, reference


class WeightCache:
    """Packed copies of weights, kept as long as the weight they were made from is unchanged."""


def conv_transpose(
    signal: Tensor,  # [N, K, O, *s]
    weight: Tensor,  # [O, I / groups, *kernel]
    *,
    map_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    origin: Tensor | None = None,  # [N, K, D]
    out_origin: Tensor | None = None,  # [N, K, D]
    out_size: int | Sequence[int] | None = None,
    relu: Tensor | None = None,
    relu_mask: bool = True,
    relu_backward: bool = True,
    weight_cache: WeightCache | None = None,
    backend: str = "auto",
) -> Tensor:
    """Adjoint of a convolution (without its bias), then the inverse ReLU of the layer below.

    The signal's element y adds v * weight[o, :, ky, kx] at y * stride - padding + k * dilation; what falls outside the
    map is dropped.

    Args:
        signal: [N, K, O, *s], the convolution's output side. With `origin`, what a region holds outside the map
            must be zero.
        weight: [O, I / groups, *kernel], as the forward convolution has it.
        map_size: size of the convolution's input map; any size.
        origin: int64 [N, K, D], coordinate of each region's first element; None: the signal starts at 0.
        out_origin, out_size: window of the input map to compute. Default: the whole map without `origin`, else the full
            spread: origin * stride - padding, size (s - 1) * stride + (kernel - 1) * dilation + 1.
        relu: mask [N, *S, ceil(I/8)] of the ReLU whose output the convolution read, or None.
        relu_mask, relu_backward: as in `inverse_relu`.
        weight_cache: keeps the packed weight between calls.

    Returns:
        [N, K, I, *map_size] or [N, K, I, *out_size]; channels-last in memory on the native path.

    Raises:
        TypeError, ValueError: for shapes, dtypes or devices that do not fit.
    """
    checks.floating("signal", signal)
    checks.floating("weight", weight)
    checks.rank("signal", signal, "N, K, O, *s", 4, 6)
    checks.same_kind("weight", weight, "signal", signal)
    dims = signal.dim() - 3
    if weight.dim() != dims + 2 or weight.shape[0] != signal.shape[2]:
        raise ValueError(f"weight must have shape [{signal.shape[2]}, I / groups, *kernel], got {list(weight.shape)}")
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"groups must divide the {weight.shape[0]} channels of signal, got {groups}")
    kernel = tuple(weight.shape[2:])
    map_size = checks.integers("map_size", map_size, dims, 0)
    stride = checks.integers("stride", stride, dims, 1)
    padding = checks.integers("padding", padding, dims, 0)
    dilation = checks.integers("dilation", dilation, dims, 1)
    n, k = signal.shape[:2]
    channels = weight.shape[1] * groups
    window, size = checks.layout_window(signal, origin, out_origin, out_size, stride, padding, dilation, kernel)
    if relu is not None and relu_mask:
        checks.mask_of("relu", relu, n, map_size, channels, signal)
    checks.addressable("the result", (n, k, channels, *(map_size if size is None else size)), 8)
    return reference.conv_transpose(
        signal, weight, map_size, stride, padding, dilation, groups,
        origin, window, size, relu, relu_mask, relu_backward,
    )  # fmt: skip
