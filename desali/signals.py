"""Signals on their way to the image, whole maps or one window of the map for every (image, seed)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desali.seeds import Points

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
        return Signal(tensor.view(n, k, shape[0], *(1,) * dims), points.position.contiguous())
    flat = channel
    for d in range(dims):
        flat = flat * shape[1 + d] + points.position[:, :, d].to(device)
    tensor = torch.zeros((n, k, math.prod(shape)), dtype=points.value.dtype, device=device)
    tensor.scatter_(2, flat.unsqueeze(2), points.value.unsqueeze(2))
    return Signal(tensor.view(n, k, *shape))


def whole(signal: Signal, map_size: tuple[int, ...]) -> Signal:
    """The same signal on whole maps; what a window holds outside the map is dropped."""
    if signal.origin is None:
        return signal
    return Signal(paste(signal, signal.tensor.new_zeros(*signal.tensor.shape[:3], *map_size)))


def paste(signal: Signal, maps: Tensor) -> Tensor:
    """Write every window of a signal into `maps` [N, K, C, *spatial], in place."""
    assert signal.origin is not None
    for image, origins in enumerate(signal.origin.tolist()):
        shared = all(origin == origins[0] for origin in origins)
        for seed, origin in enumerate(origins[:1] if shared else origins):
            target: list[slice] = []
            source: list[slice] = []
            for at, extent, limit in zip(origin, signal.size, maps.shape[3:], strict=True):
                low, high = max(at, 0), min(at + extent, limit)
                target.append(slice(low, max(high, low)))
                source.append(slice(low - at, max(high, low) - at))
            which = slice(None) if shared else slice(seed, seed + 1)
            maps[image, which][(..., *target)] = signal.tensor[image, which][(..., *source)]
    return maps


def add(first: Signal, second: Signal, map_size: tuple[int, ...]) -> Signal:
    """Sum of two signals on the same layer."""
    import torch

    if first.origin is None and second.origin is None:
        return Signal(first.tensor + second.tensor)
    if first.origin is not None and second.origin is not None and first.size == second.size:
        if torch.equal(first.origin, second.origin):
            return Signal(first.tensor + second.tensor, first.origin)
    return Signal(whole(first, map_size).tensor + whole(second, map_size).tensor)
