"""Transposed convolution by PyTorch's own library (oneDNN, cuDNN), for shapes where that is the faster or safer way."""

from __future__ import annotations

from torch import Tensor

from desali.ops import native, reference
from desali.ops.relu import inverse_relu


def conv_transpose_by_library(
    turned: Tensor,  # [N, K, *s, O]
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
) -> Tensor:
    """`conv_transpose` for checked arguments; the inverse ReLU follows in place, by the core."""
    result = reference.conv_transpose(
        native.logical(turned), weight, map_size, stride, padding, dilation, groups, origin, out_origin, out_size
    )
    result = native.logical(native.channels_last(result))
    if mask is None and not backward:
        return result
    return inverse_relu(
        result, mask, map_size=map_size, relu_mask=mask is not None, relu_backward=backward, origin=out_origin,
        out=result, backend="native",
    )  # fmt: skip
