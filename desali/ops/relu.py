"""The rectifier: forward with its bit-packed mask, and backward along the rule of a method."""

from __future__ import annotations

from torch import Tensor

from desali.ops import checks, reference


def relu_with_mask(
    x: Tensor,  # [N, C, *S]
    *,
    upper: float | None = None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Rectify `x` and pack the signs of its elements.

    Args:
        x: [N, C, *S], any float type; not modified.
        upper: clip at this value too (ReLU6: 6); the bit is then [0 < x < upper].
        backend: "auto", "native" or "torch".

    Returns:
        y [N, C, *S] in x's memory format, and the mask, uint8 [N, *S, ceil(C/8)] (`desali.ops.packing`).
        NaN has no bit.

    Raises:
        TypeError, ValueError: for a wrong dtype or rank, or an x that requires grad.
    """
    checks.floating("x", x)
    checks.rank("x", x, "N, C, *S", 2, 5)
    return reference.relu_with_mask(x, upper)


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
    result = reference.inverse_relu(signal, mask, map_size, relu_mask, relu_backward, origin)
    return result if out is None else out.copy_(result)
