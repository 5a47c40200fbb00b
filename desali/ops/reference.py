"""Pure-PyTorch reference of every op: the oracle of the tests and the fallback where the compute core cannot run.

Maps are handled whole. A region is embedded into its map, or the result is cropped out of it; both are gathers,
without a loop over seeds. Arguments are taken as checked (see the public functions of `desali.ops`).
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from desali.ops.checks import constant
from desali.ops.device import on_host
from desali.ops.packing import decode_switches, encode_switches, pack_mask, unpack_mask


def relu_with_mask(
    x: Tensor,  # [N, C, *S]
    upper: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Rectify and pack the bits [x > 0] (and [x < upper]), which NaN has."""
    y = torch.relu(x)
    positive = ~(x <= 0)
    if upper is not None:
        y = y.clamp_max(upper)
        positive &= ~(x >= upper)
    return y, pack_mask(positive)


def inverse_relu(
    signal: Tensor,  # [N, K, C, *s]
    mask: Tensor | None,  # [N, *S, ceil(C/8)]
    map_size: tuple[int, ...],
    relu_mask: bool = True,
    relu_backward: bool = True,
    origin: Tensor | None = None,  # [N, K, D]
) -> Tensor:
    """Rule of the ReLU: keep p where the ReLU's input was positive, and where p itself is."""
    out = signal.clamp_min(0) if relu_backward else signal
    if relu_mask:
        assert mask is not None
        positive = unpack_mask(mask, signal.shape[2]).unsqueeze(1)  # [N, 1, C, *S]
        if origin is not None:
            positive = crop(positive.expand(-1, signal.shape[1], *positive.shape[2:]), origin, tuple(signal.shape[3:]))
        out = torch.where(positive, out, 0)
    elif origin is not None:
        out = zero_outside(out, origin, map_size)
    return out.clone() if out is signal else out


def max_pool_with_switches(
    x: Tensor,  # [N, C, *S]
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
    after_relu: bool = False,
) -> tuple[Tensor, Tensor]:
    """Max pooling and, for each pooled element, the offset of its arg-max in the window."""
    dims = len(kernel)
    if x.numel() == 0:
        pooled = F.max_pool2d if dims == 2 else F.max_pool1d if dims == 1 else F.max_pool3d
        y = pooled(x.new_zeros(1, 1, *x.shape[2:]), kernel, stride, padding, dilation, ceil_mode)
        y = x.new_zeros(*x.shape[:2], *y.shape[2:])
        index = torch.zeros(y.shape, dtype=torch.int64, device=x.device)
    elif dims == 1:
        y, index = F.max_pool1d_with_indices(x, kernel, stride, padding, dilation, ceil_mode)
    elif dims == 2:
        y, index = F.max_pool2d_with_indices(x, kernel, stride, padding, dilation, ceil_mode)
    else:
        y, index = F.max_pool3d_with_indices(x, kernel, stride, padding, dilation, ceil_mode)
    offset = torch.zeros_like(index)
    remainder, scale = index, 1
    for d in reversed(range(dims)):  # flat index in the map -> coordinate -> offset in the window
        coordinate = remainder % x.shape[2 + d]
        remainder = remainder // x.shape[2 + d]
        start = torch.arange(y.shape[2 + d], device=x.device) * stride[d] - padding[d]
        start = start.view([-1 if i == d else 1 for i in range(dims)])
        offset += (coordinate - start) // dilation[d] * scale
        scale *= kernel[d]
    return y, encode_switches(offset, ~(y <= 0) if after_relu else None, math.prod(kernel))


def max_unpool(
    signal: Tensor,  # [N, K, C, *p]
    switches: Tensor,  # [N, *P, C]
    map_size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    use_switches: bool = True,
    overlap: str = "sum",
    origin: Tensor | None = None,  # [N, K, D]
    out_origin: Tensor | None = None,  # [N, K, D]
    out_size: tuple[int, ...] | None = None,
    relu: Tensor | str | None = None,
    relu_mask: bool = True,
    relu_backward: bool = True,
) -> Tensor:
    """Send every pooled value to its switch (or the window's centre), then apply the inverse ReLU below."""
    if signal.numel() == 0 or switches.numel() == 0 or 0 in map_size:
        return signal.new_zeros(*signal.shape[:3], *(map_size if out_size is None else out_size))
    pooled_size = tuple(switches.shape[1:-1])
    if origin is not None:
        signal = embed(signal, origin, pooled_size)
    offset, positive = decode_switches(switches)  # [N, C, *P]
    if isinstance(relu, str) and relu_mask:
        signal = torch.where(positive.unsqueeze(1), signal, 0)
    out = signal.new_zeros(*signal.shape[:3], *map_size)
    if use_switches and overlap == "sum" and on_host(signal.device):
        _scatter(out, signal, offset, kernel, stride, padding, dilation)
    else:
        _place_by_offset(out, signal, offset if use_switches else None, kernel, stride, padding, dilation, overlap)
    if out_origin is not None:
        assert out_size is not None
        out = crop(out, out_origin, out_size)
    if relu is None:
        return out
    if isinstance(relu, str):
        return out.clamp_min(0) if relu_backward else out
    return inverse_relu(out, relu, map_size, relu_mask, relu_backward, out_origin)


def _scatter(
    out: Tensor,
    signal: Tensor,
    offset: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> None:
    """Add every pooled value at the map position of its switch."""
    n, k, c = signal.shape[:3]
    dims, map_size = len(kernel), out.shape[3:]
    index = torch.zeros_like(offset)
    inside = torch.ones_like(offset, dtype=torch.bool)
    remainder, scale = offset, 1
    for d in reversed(range(dims)):
        start = torch.arange(signal.shape[3 + d], device=signal.device) * stride[d] - padding[d]
        start = start.view([-1 if i == d else 1 for i in range(dims)])
        position = start + remainder % kernel[d] * dilation[d]
        inside &= (position >= 0) & (position < map_size[d])
        index += position * scale
        remainder = remainder // kernel[d]
        scale *= map_size[d]
    # switches of another map: what they name outside is dropped
    index, signal = torch.where(inside, index, 0), torch.where(inside.unsqueeze(1), signal, 0)
    index = index.reshape(n, 1, c, -1).expand(n, k, c, -1)
    out.view(n, k, c, -1).scatter_add_(3, index, signal.reshape(n, k, c, -1))


def _place_by_offset(
    out: Tensor,
    signal: Tensor,
    offset: Tensor | None,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    overlap: str,
) -> None:
    """One strided pass for each window offset, last offset first: that visits the windows in row-major order."""
    dims = len(kernel)
    centre = tuple((size + 1) // 2 - 1 for size in kernel)
    offsets = itertools.product(*(range(size - 1, -1, -1) for size in kernel)) if offset is not None else iter([centre])
    for position in offsets:
        source: list[slice] = []
        target: list[slice] = []
        for d in range(dims):
            shift = position[d] * dilation[d] - padding[d]
            first = max(0, -(shift // stride[d]))
            last = min(signal.shape[3 + d] - 1, (out.shape[3 + d] - 1 - shift) // stride[d])
            if last < first:
                break
            source.append(slice(first, last + 1))
            target.append(slice(first * stride[d] + shift, last * stride[d] + shift + 1, stride[d]))
        if len(source) < dims:
            continue
        read = (slice(None), slice(None), slice(None), *source)
        values = signal[read]
        write = (slice(None), slice(None), slice(None), *target)
        cells = out[write]
        if offset is None:
            if overlap == "sum":
                cells += values
            else:
                cells.copy_(values)
            continue
        flat = 0
        for d in range(dims):
            flat = flat * kernel[d] + position[d]
        pointing = (offset[read[1:]] == flat).unsqueeze(1)
        if overlap == "sum":
            cells += torch.where(pointing, values, 0)
        else:
            cells.copy_(torch.where(pointing, values, cells))


def conv_transpose(
    signal: Tensor,  # [N, K, O, *s]
    weight: Tensor,  # [O, I / groups, *kernel]
    map_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    origin: Tensor | None = None,  # [N, K, D]
    out_origin: Tensor | None = None,  # [N, K, D]
    out_size: tuple[int, ...] | None = None,
    relu: Tensor | None = None,
    relu_mask: bool = True,
    relu_backward: bool = True,
) -> Tensor:
    """Transposed convolution of a signal or of its regions, then the inverse ReLU of the layer below."""
    dims = len(stride)
    n, k = signal.shape[:2]
    kernel = weight.shape[2:]
    channels = weight.shape[1] * groups
    spread = tuple(
        (signal.shape[3 + d] - 1) * stride[d] + (kernel[d] - 1) * dilation[d] + 1 if signal.shape[3 + d] else 0
        for d in range(dims)
    )
    transpose = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[dims - 1]
    whole = origin is None and out_origin is None
    extra = tuple(map_size[d] - spread[d] + 2 * padding[d] for d in range(dims))
    if signal.numel() == 0 or weight.numel() == 0:
        out = signal.new_zeros(n, k, channels, *(map_size if out_size is None else out_size))
    elif whole and all(0 <= extra[d] < stride[d] for d in range(dims)):
        out = transpose(_joined(signal), weight, None, stride, padding, extra, groups, dilation)
        out = out.view(n, k, *out.shape[1:])
    else:
        out = transpose(_joined(signal), weight, None, stride, 0, 0, groups, dilation)
        out = out.view(n, k, *out.shape[1:])
        if origin is None:
            origin = torch.zeros(n, k, dims, dtype=torch.int64, device=signal.device)
        start = origin * constant(stride, signal.device) - constant(padding, signal.device)
        target = torch.zeros_like(start) if out_origin is None else out_origin
        out = crop(out, target - start, map_size if out_size is None else out_size)
        out = zero_outside(out, target, map_size)
    if relu is None:
        return out
    return inverse_relu(out, relu, map_size, relu_mask, relu_backward, out_origin)


def _joined(signal: Tensor) -> Tensor:
    """[N, K, O, *s] -> [N * K, O, *s], in a form whose memory format PyTorch recognises for a single one too."""
    joined = signal.flatten(0, 1)
    if joined.shape[0] == 1:
        joined = joined.as_strided(joined.shape, (joined[0].numel(), *joined.stride()[1:]))
    return joined


def embed(
    signal: Tensor,  # [N, K, C, *s]
    origin: Tensor,  # [N, K, D]
    size: tuple[int, ...],
) -> Tensor:
    """Put each region at its place in a map of zeros; what sticks out is dropped."""
    n, k, c = signal.shape[:3]
    cells = math.prod(size)
    index, inside = _flat_index(origin, tuple(signal.shape[3:]), size)
    index = index.masked_fill(~inside, cells).unsqueeze(2).expand(n, k, c, -1)
    maps = signal.new_zeros(n, k, c, cells + 1)
    maps.scatter_(3, index, signal.reshape(n, k, c, -1))
    return maps[..., :cells].reshape(n, k, c, *size)


def crop(
    maps: Tensor,  # [N, K, C, *S]
    origin: Tensor,  # [N, K, D]
    size: tuple[int, ...],
) -> Tensor:
    """Cut a window of `size` out of each map; what lies outside the map is zero (False)."""
    n, k, c = maps.shape[:3]
    if maps.numel() == 0 or math.prod(size) == 0:
        return maps.new_zeros(n, k, c, *size)
    index, inside = _flat_index(origin, size, tuple(maps.shape[3:]))
    index = index.masked_fill(~inside, 0).unsqueeze(2).expand(n, k, c, -1)
    cut = maps.reshape(n, k, c, -1).gather(3, index)
    return cut.masked_fill(~inside.unsqueeze(2), 0).reshape(n, k, c, *size)


def zero_outside(
    signal: Tensor,  # [N, K, C, *s]
    origin: Tensor,  # [N, K, D]
    map_size: tuple[int, ...],
) -> Tensor:
    """Set what sticks out of the map to zero."""
    inside = _flat_index(origin, tuple(signal.shape[3:]), map_size)[1]
    return torch.where(inside.view(*inside.shape[:2], 1, *signal.shape[3:]), signal, 0)


def _flat_index(
    origin: Tensor,  # [N, K, D]
    size: tuple[int, ...],
    map_size: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """Row-major map index of every element of a region [N, K, prod(size)], and whether it lies in the map."""
    n, k, dims = origin.shape
    index = torch.zeros(n, k, *[1] * dims, dtype=torch.int64, device=origin.device)
    inside = torch.ones(n, k, *[1] * dims, dtype=torch.bool, device=origin.device)
    for d in range(dims):
        steps = torch.arange(size[d], device=origin.device)
        coordinate = (origin[:, :, d, None] + steps).view(n, k, *[size[d] if i == d else 1 for i in range(dims)])
        inside = inside & (coordinate >= 0) & (coordinate < map_size[d])
        index = index * map_size[d] + coordinate
    shape = (n, k, math.prod(size))
    return index.expand(n, k, *size).reshape(shape), inside.expand(n, k, *size).reshape(shape)
