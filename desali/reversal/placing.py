"""A seed placed on one layer: single neurons as points, everything else as a dense signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali.errors import SeedError
from desali.reversal.seeds import Kind, Seed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Points:
    """Single-neuron seeds: one value per (image, seed).

    Attributes:
        channel: int64 [N, K].
        position: int64 [N, K, D], D spatial dimensions.
        value: [N, K].
    """

    channel: Tensor
    position: Tensor
    value: Tensor


@dataclass(frozen=True)
class Placed:
    """Seeds turned into numbers for some layers of one recording, which `Recording.reconstruct` takes in their place.

    Attributes:
        signals: by layer, in the order of the seeds; neighbouring single-neuron seeds are joined.
    """

    signals: dict[str, list[Points | Tensor]]


def place(
    seed: Seed, layer: str, shape: tuple[int, ...], n: int, like: Tensor, activation: Tensor | None
) -> Points | Tensor:
    """Turn a seed into numbers for one layer.

    Args:
        layer: the layer's name, for messages.
        shape: the layer's [C, *spatial].
        n: number of images N.
        like: a tensor of the signal's dtype and device.
        activation: [N, C, *spatial], needed if `seed.needs_activation`.

    Returns:
        `Points` for neuron, logit and top seeds, else the dense signal [N, K, C, *spatial].

    Raises:
        SeedError: the seed lies outside the layer or has another number of dimensions.
    """
    if seed.needs_activation and activation is None:
        raise SeedError(f"seed '{seed.describe()}' on layer {layer!r} needs the layer's activations")
    if seed.kind == "tensor":
        return _given(seed, layer, shape, n, like)
    if seed.kind == "top":
        return _top(seed, layer, shape, n, like, activation)
    if seed.kind != "layer" and seed.channel_index >= shape[0]:
        raise SeedError(
            f"channel {seed.channel_index} is outside layer {layer!r}, which has {shape[0]}: use 0 to {shape[0] - 1}"
        )
    if seed.kind in ("neuron", "logit"):
        return _point(seed, layer, shape, n, like, activation)
    return _dense(seed, shape, n, like, activation)


def join(placed: list[Points | Tensor]) -> list[Points | Tensor]:
    """Join neighbouring `Points` along K, so that they are reconstructed together."""
    import torch

    joined: list[Points | Tensor] = []
    run: list[Points] = []
    for item in [*placed, None]:
        if isinstance(item, Points):
            run.append(item)
            continue
        if run:
            parts = [(points.channel, points.position, points.value) for points in run]
            joined.append(Points(*(torch.cat(part, 1) for part in zip(*parts, strict=True))))
            run = []
        if item is not None:
            joined.append(item)
    return joined


def _check_position(position: tuple[int, ...], layer: str, shape: tuple[int, ...], kind: Kind) -> None:
    sizes = shape[1:]
    if kind == "logit" and sizes:
        raise SeedError(
            f"a logit seed needs the network's output, a layer without positions; {layer!r} is {list(shape)}: "
            "name the last layer"
        )
    if len(position) != len(sizes):
        raise SeedError(
            f"layer {layer!r} has {len(sizes)} spatial dimensions {list(sizes)}: "
            f"give {len(sizes)} coordinates, got {len(position)}"
        )
    if any(at >= size for at, size in zip(position, sizes, strict=True)):
        raise SeedError(f"position {list(position)} is outside layer {layer!r}, whose map is {list(sizes)}")


def _point(seed: Seed, layer: str, shape: tuple[int, ...], n: int, like: Tensor, activation: Tensor | None) -> Points:
    import torch

    position = seed.position or ()
    _check_position(position, layer, shape, seed.kind)
    if seed.value == "activation" and activation is not None:
        where: Any = (slice(None), seed.channel_index, *position)
        value = activation[where].reshape(n, 1).to(like.dtype)
    else:
        value = torch.ones(n, 1, dtype=like.dtype, device=like.device)
    channel = torch.full((n, 1), seed.channel_index, dtype=torch.int64)
    positions = torch.tensor(position, dtype=torch.int64).expand(n, 1, len(position))
    return Points(channel, positions, value)


def _top(seed: Seed, layer: str, shape: tuple[int, ...], n: int, like: Tensor, activation: Tensor | None) -> Points:
    import torch

    assert activation is not None
    if seed.position is not None:
        _check_position(seed.position, layer, shape, seed.kind)
        where: Any = (slice(None), slice(None), *seed.position)
        candidates = activation[where].reshape(n, -1)
    else:
        candidates = activation.reshape(n, -1)
    if seed.count > candidates.shape[1]:
        raise SeedError(
            f"top({seed.count}) on layer {layer!r}: there are only {candidates.shape[1]} neurons to choose from"
        )
    ranked = candidates.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)  # NaN is no maximum
    index = ranked.topk(seed.count, dim=1).indices
    value = candidates.gather(1, index)
    index = index.cpu()
    if seed.position is not None:
        channel = index
        position = torch.tensor(seed.position, dtype=torch.int64).expand(n, seed.count, len(seed.position))
    else:
        coordinates = torch.unravel_index(index, shape)
        channel = coordinates[0]
        rest = coordinates[1:]
        position = torch.stack(rest, dim=-1) if rest else torch.empty(n, seed.count, 0, dtype=torch.int64)
    value = value.to(like.dtype) if seed.value == "activation" else torch.ones_like(value, dtype=like.dtype)
    return Points(channel, position, value)


def _dense(seed: Seed, shape: tuple[int, ...], n: int, like: Tensor, activation: Tensor | None) -> Tensor:
    import torch

    if seed.value == "activation":
        assert activation is not None
        source = activation.to(like.dtype)
    else:
        source = torch.ones(n, *shape, dtype=like.dtype, device=like.device)
    if seed.kind == "layer":
        return source.unsqueeze(1)
    signal = torch.zeros_like(source)
    signal[:, seed.channel_index] = source[:, seed.channel_index]
    return signal.unsqueeze(1)


def _given(seed: Seed, layer: str, shape: tuple[int, ...], n: int, like: Tensor) -> Tensor:
    import torch

    data = seed.data
    if not isinstance(data, torch.Tensor):
        raise SeedError(f"Seed.tensor on layer {layer!r} must hold a torch.Tensor, got {type(data).__name__}")
    if data.dim() == len(shape) + 1:
        data = data.unsqueeze(1)
    if data.dim() != len(shape) + 2 or tuple(data.shape[2:]) != shape or data.shape[0] not in (1, n):
        raise SeedError(
            f"Seed.tensor on layer {layer!r} must have shape {[n, *shape]} or {[n, 'K', *shape]}, "
            f"got {list(data.shape)}"
        )
    return data.detach().to(dtype=like.dtype, device=like.device).expand(n, -1, *shape)
