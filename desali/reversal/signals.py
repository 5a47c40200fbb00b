"""Signals on their way to the image, whole maps or one window of the map for every (image, seed)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali.ops.device import on_host
from desali.reversal.placing import Points

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Signal:
    """A signal on one layer.

    Attributes:
        tensor: [N, K, C, *s].
        origin: int64 [N, K, D], where each window begins in the layer's map (it may stick out); None: whole maps.
    """

    tensor: Tensor
    origin: Tensor | None = None

    @property
    def size(self) -> tuple[int, ...]:
        """Spatial size of the tensor."""
        return tuple(self.tensor.shape[3:])


def from_points(points: Points, shape: tuple[int, ...], windows: bool) -> Signal:
    """Single neurons as a signal on a layer of [C, *spatial]: windows of one element, or whole maps."""
    import torch

    n, k = points.value.shape
    dims = len(shape) - 1
    device = points.value.device
    channel = points.channel.to(device)
    if windows and dims:
        tensor = torch.zeros((n, k, shape[0]), dtype=points.value.dtype, device=device)
        tensor.scatter_(2, channel.unsqueeze(2), points.value.unsqueeze(2))
        return Signal(tensor.view(n, k, shape[0], *(1,) * dims), points.position.to(device).contiguous())
    flat = channel
    for d in range(dims):
        flat = flat * shape[1 + d] + points.position[:, :, d].to(device)
    tensor = torch.zeros((n, k, math.prod(shape)), dtype=points.value.dtype, device=device)
    tensor.scatter_(2, flat.unsqueeze(2), points.value.unsqueeze(2))
    return Signal(tensor.view(n, k, *shape))


def placed_signal(placed: Points | Tensor, shape: tuple[int, ...], windows: bool) -> Signal:
    """What is put on a layer of [C, *spatial] as a signal; single neurons become windows if asked for."""
    return from_points(placed, shape, windows) if isinstance(placed, Points) else Signal(placed)


def whole(signal: Signal, map_size: tuple[int, ...]) -> Signal:
    """The same signal on whole maps; what a window holds outside the map is dropped."""
    if signal.origin is None:
        return signal
    return Signal(paste(signal, signal.tensor.new_zeros(*signal.tensor.shape[:3], *map_size)))


def paste(signal: Signal, maps: Tensor) -> Tensor:
    """Write every window of a signal into `maps` [N, K, C, *spatial] of zeros, in place."""
    from desali.ops.reference import embed

    assert signal.origin is not None
    if not on_host(signal.origin.device):
        return maps.copy_(embed(signal.tensor, signal.origin, tuple(maps.shape[3:])))
    for image, origins in enumerate(signal.origin.tolist()):
        shared = all(origin == origins[0] for origin in origins)
        for seed, origin in enumerate(origins[:1] if shared else origins):
            target: list[Any] = [...]
            source: list[Any] = [...]
            for at, extent, limit in zip(origin, signal.size, maps.shape[3:], strict=True):
                low, high = max(at, 0), min(at + extent, limit)
                target.append(slice(low, max(high, low)))
                source.append(slice(low - at, max(high, low) - at))
            which = slice(None) if shared else slice(seed, seed + 1)
            maps[image, which][tuple(target)] = signal.tensor[image, which][tuple(source)]
    return maps


def spread(
    x: Tensor,  # [N, C, *S]
    signal: Signal,
) -> Tensor:
    """A map beside a signal's windows: [N, 1, C, *S] for whole maps, else the windows of it [N, K, C, *s]."""
    from desali.ops.reference import crop

    x = x.unsqueeze(1)
    if signal.origin is None:
        return x
    return crop(x.expand(-1, signal.tensor.shape[1], *x.shape[2:]), signal.origin, signal.size)


def add(first: Signal, second: Signal, map_size: tuple[int, ...]) -> Signal:
    """Sum of two signals on the same layer; windows become the smallest that hold both, or whole maps."""
    import torch

    if first.origin is None or second.origin is None:
        return Signal(whole(first, map_size).tensor + whole(second, map_size).tensor)
    if first.size == second.size and (first.origin is second.origin or torch.equal(first.origin, second.origin)):
        return Signal(first.tensor + second.tensor, first.origin)
    device = first.origin.device
    low = torch.minimum(first.origin, second.origin)
    ends = [part.origin + torch.tensor(part.size, device=device) for part in (first, second) if part.origin is not None]
    size = tuple((torch.maximum(*ends) - low).flatten(0, 1).amax(0).tolist())
    if all(extent >= limit for extent, limit in zip(size, map_size, strict=True)):
        return Signal(whole(first, map_size).tensor + whole(second, map_size).tensor)
    return Signal(_widen(first, low, size) + _widen(second, low, size), low)


def _widen(signal: Signal, origin: Tensor, size: tuple[int, ...]) -> Tensor:
    """A signal's windows inside larger ones that begin at `origin`."""
    from desali.ops.reference import embed

    assert signal.origin is not None
    if signal.size == size:
        return signal.tensor
    shift = signal.origin - origin
    first = shift[0, 0].tolist()
    if bool((shift == shift[0, 0]).all()):
        tensor = signal.tensor.new_zeros(*signal.tensor.shape[:3], *size)
        where: list[Any] = [..., *(slice(at, at + extent) for at, extent in zip(first, signal.size, strict=True))]
        tensor[tuple(where)] = signal.tensor
        return tensor
    return embed(signal.tensor, shift, size)
