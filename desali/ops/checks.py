"""Argument checks of the ops: every message reads "name must ..., got ...", and comes before any kernel starts."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from desali.ops.device import on_host

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_INT64_MAX = 2**63 - 1
_SIZES = ("map_size", "out_size")
_SIZE_BITS, _STEP_BITS = 62, 31
ORIGIN_BITS, WINDOW_BITS = 31, 61
"""Of a region's origin, which is multiplied by the stride, and of a window's, which is not."""


def floating(name: str, value: Tensor) -> None:
    """Refuse what is not a real floating-point tensor, and what autograd would want to follow."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    if value.dtype not in FLOATS:
        raise TypeError(f"{name} must have dtype float16, bfloat16, float32 or float64, got {value.dtype}")
    if value.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} must not require grad (the ops have no backward): call under torch.no_grad()")


def rank(name: str, value: Tensor, letters: str, low: int, high: int) -> None:
    """Refuse a tensor whose number of dimensions is not between `low` and `high`."""
    if not low <= value.dim() <= high:
        raise ValueError(f"{name} must have shape [{letters}], got {list(value.shape)}")


def shape(name: str, value: Tensor, expected: Sequence[int]) -> None:
    """Refuse a tensor of any other shape."""
    if tuple(value.shape) != tuple(expected):
        raise ValueError(f"{name} must have shape {list(expected)}, got {list(value.shape)}")


def same_kind(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse tensors of different dtype or device."""
    if value.dtype is not other.dtype:
        raise TypeError(f"{name} must have dtype {other.dtype} as {other_name} has, got {value.dtype}")
    same_device(name, value, other_name, other)


def same_device(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse tensors on different devices."""
    if value.device != other.device:
        raise ValueError(f"{name} must be on device {other.device} as {other_name} is, got {value.device}")


def integers(name: str, value: int | Sequence[int], dims: int, minimum: int) -> tuple[int, ...]:
    """An integer or one integer per spatial dimension -> a tuple, each at least `minimum`.

    Sizes are below 2^62, everything else (kernel, stride, padding, dilation) below 2^31, so that no sum or product of
    two of them leaves 64 bits.
    """
    if isinstance(value, list):
        value = tuple(value)
    try:
        return _integers(name, value, dims, minimum)
    except TypeError:  # also what cannot be hashed
        return _integers.__wrapped__(name, value, dims, minimum)


@functools.lru_cache(maxsize=1024, typed=True)
def _integers(name: str, value: int | Sequence[int], dims: int, minimum: int) -> tuple[int, ...]:
    if isinstance(value, int):
        result = (value,) * dims
    elif isinstance(value, Sequence):
        result = tuple(value)
    else:
        raise TypeError(f"{name} must be an integer or a sequence of integers, got {value!r}")
    if len(result) != dims:
        raise ValueError(f"{name} must have {dims} element(s), one per spatial dimension, got {list(result)}")
    for item in result:
        if not isinstance(item, int) or isinstance(item, bool):
            raise TypeError(f"{name} must hold integers, got {list(result)}")
        bits = _SIZE_BITS if name in _SIZES else _STEP_BITS
        if not minimum <= item < 1 << bits:
            raise ValueError(f"{name} must hold integers from {minimum} to 2^{bits} - 1, got {_shown(result)}")
    return result


def _shown(values: Sequence[int]) -> str:
    return (
        "[" + ", ".join(str(one) if abs(one) < 1 << 128 else "an integer of more than 128 bits" for one in values) + "]"
    )


def near(name: str, origin: Tensor | None, bits: int) -> None:
    """Refuse origins of 2^bits and beyond; those on a GPU are not looked at, which would wait for it."""
    if origin is None or not on_host(origin.device) or origin.numel() == 0:
        return
    low, high = int(origin.min()), int(origin.max())
    if not -(1 << bits) < low <= high < 1 << bits:
        raise ValueError(f"{name} must lie between -2^{bits} and 2^{bits}, got values from {low} to {high}")


def mask_of(name: str, mask: object, n: int, map_size: tuple[int, ...], channels: int, other: Tensor) -> Tensor:
    """Refuse a mask that is not the bit-packed one of a map [N, channels, *map_size]."""
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(mask).__name__}")
    if mask.dtype is not torch.uint8:
        raise TypeError(f"{name} must have dtype torch.uint8, got {mask.dtype}")
    if mask.shape != (n, *map_size, (channels + 7) // 8):
        shape(name, mask, (n, *map_size, (channels + 7) // 8))
    same_device(name, mask, "signal", other)
    return mask


def origin_of(name: str, origin: Tensor, signal: Tensor, dims: int) -> None:
    """Refuse origins that are not int64 [N, K, D] on the signal's device."""
    if not isinstance(origin, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(origin).__name__}")
    if origin.dtype is not torch.int64:
        raise TypeError(f"{name} must have dtype torch.int64, got {origin.dtype}")
    if origin.shape != (signal.shape[0], signal.shape[1], dims):
        shape(name, origin, (signal.shape[0], signal.shape[1], dims))
    same_device(name, origin, "signal", signal)


def addressable(name: str, sizes: Sequence[int], itemsize: int) -> None:
    """Refuse a tensor whose bytes do not fit a signed 64-bit count."""
    if math.prod(max(1, size) for size in sizes) * itemsize > _INT64_MAX:
        raise ValueError(f"{name} must have fewer than 2^63 bytes, got shape {list(sizes)}")


def fits_reference(sizes: Sequence[int]) -> None:
    """Refuse a map that the reference, which makes maps whole, could make on no machine: of 2^40 elements and more."""
    if math.prod(max(1, size) for size in sizes) >= 1 << 40:
        raise ValueError(f"the whole map must have fewer than 2^40 elements on the torch backend, got {list(sizes)}")
    if max(sizes) >= (1 << 31) - 1:
        raise ValueError(f"the whole map must have extents below 2^31 - 1 on the torch backend, got {list(sizes)}")


def layout_window(
    signal: Tensor,
    origin: Tensor | None,
    out_origin: Tensor | None,
    out_size: int | Sequence[int] | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    kernel: tuple[int, ...],
) -> tuple[Tensor | None, tuple[int, ...] | None]:
    """The window to compute: the given one, else the whole map (None), else the full spread of the region."""
    if origin is None and out_origin is None and out_size is None:
        return None, None
    dims = len(stride)
    if origin is not None:
        origin_of("origin", origin, signal, dims)
    if (out_origin is None) != (out_size is None) and not (out_origin is None and origin is not None):
        given, missing = ("out_size", "out_origin") if out_origin is None else ("out_origin", "out_size")
        raise ValueError(f"{missing} must be given together with {given}")
    if out_origin is not None:
        origin_of("out_origin", out_origin, signal, dims)
        assert out_size is not None
        return out_origin, integers("out_size", out_size, dims, 0)
    assert origin is not None
    near("origin", origin, ORIGIN_BITS)
    spread = tuple(
        (signal.shape[3 + d] - 1) * stride[d] + (kernel[d] - 1) * dilation[d] + 1 if signal.shape[3 + d] else 0
        for d in range(dims)
    )
    size = spread if out_size is None else integers("out_size", out_size, dims, 0)
    return origin * constant(stride, origin.device) - constant(padding, origin.device), size


@functools.cache  # never forgotten: a captured CUDA graph reads them where they lie
def constant(values: tuple[int, ...], device: torch.device) -> Tensor:
    """Whole numbers on a device, int64 [D], copied there once."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device)
