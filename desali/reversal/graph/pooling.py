"""Tell which pooling an ATen call is; adaptive poolings over equal windows are ordinary ones."""

from __future__ import annotations

import math
from typing import Any

from desali.reversal.graph.arguments import argument, tuple_of
from desali.reversal.graph.operations import AveragePool, GlobalAverage, Identity, MaxPool, Operation

Window = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def classify(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], before: tuple[int, ...], after: tuple[int, ...]
) -> Operation | None:
    """The primitive layer of a pooling of one batched tensor, or None.

    Args:
        before, after: [C, *spatial] of its input and value.
    """
    if "pool" not in name or not name.removesuffix("_with_indices")[-2:-1].isdigit():
        return None
    dims = int(name.removesuffix("_with_indices")[-2])
    if len(before) != dims + 1 or 0 in before:
        return None
    if name.startswith("max_pool"):
        kernel, stride, padding = _geometry(args, kwargs, dims)
        dilation = tuple_of(argument(args, kwargs, 4, "dilation", 1), dims, 1)
        return MaxPool(kernel, stride, padding, dilation, bool(argument(args, kwargs, 5, "ceil_mode", False)))
    if name.startswith("avg_pool"):
        return _average(args, kwargs, dims, before, after)
    if name.startswith("adaptive_"):
        return _adaptive(name, before[1:], after[1:])
    return None


def window(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Window | None:
    """(kernel, stride, padding) of an average pooling, for the receptive field."""
    if not name.startswith("avg_pool") or not name[-2].isdigit():
        return None
    return _geometry(args, kwargs, int(name[-2]))


def _geometry(args: tuple[Any, ...], kwargs: dict[str, Any], dims: int) -> Window:
    kernel = tuple_of(argument(args, kwargs, 1, "kernel_size", 1), dims, 1)
    stride = argument(args, kwargs, 2, "stride", None)
    return (
        kernel,
        kernel if not stride else tuple_of(stride, dims, 1),
        tuple_of(argument(args, kwargs, 3, "padding", 0), dims, 0),
    )


def _average(
    args: tuple[Any, ...], kwargs: dict[str, Any], dims: int, before: tuple[int, ...], after: tuple[int, ...]
) -> AveragePool | None:
    """An average pooling that divides every window by the same number."""
    kernel, stride, padding = _geometry(args, kwargs, dims)
    counts_padding = bool(argument(args, kwargs, 5, "count_include_pad", True))
    divisor = argument(args, kwargs, 6, "divisor_override", None)
    if divisor is None:
        inside = all(
            (cells - 1) * step - around + extent <= size + around
            for cells, step, around, extent, size in zip(after[1:], stride, padding, kernel, before[1:], strict=True)
        )
        if not inside or not (counts_padding or not any(padding)):
            return None
        divisor = math.prod(kernel)
    return AveragePool(kernel, stride, padding, int(divisor))


def _adaptive(name: str, before: tuple[int, ...], after: tuple[int, ...]) -> Operation | None:
    if before == after:
        return Identity()
    if any(size % cells for size, cells in zip(before, after, strict=True)):
        return None
    kernel = tuple(size // cells for size, cells in zip(before, after, strict=True))
    zero = (0,) * len(kernel)
    if "max" in name:
        return MaxPool(kernel, kernel, zero, (1,) * len(kernel), False)
    if all(cells == 1 for cells in after):
        return GlobalAverage()
    return AveragePool(kernel, kernel, zero, math.prod(kernel))
