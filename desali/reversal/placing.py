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
        `Points` for neuron, logit and top seeds, else the dense signal [N, K, C, *spatial]. On a layer of one number
        for each image, shape (), every seed is a dense signal [N, K], and the number is channel 0.

    Raises:
        SeedError: the seed lies outside the layer or has another number of dimensions.
    """
    if not shape:
        placed = _placed(seed, layer, (1,), n, like, None if activation is None else activation.reshape(n, 1))
        return placed.value if isinstance(placed, Points) else placed.squeeze(2)
    return _placed(seed, layer, shape, n, like, activation)


def _placed(
    seed: Seed, layer: str, shape: tuple[int, ...], n: int, like: Tensor, activation: Tensor | None
) -> Points | Tensor:
    if seed.needs_activation and activation is None:
        raise SeedError(f"seed '{seed.describe()}' on layer {layer!r} needs the layer's activations")
    if seed.kind == "tensor":
        return _given(seed, layer, shape, n, like)
    if seed.kind == "top":
        return _top(seed, layer, shape, n, like, activation)
    target = seed.target if isinstance(seed.target, tuple) else None
    if target is not None and len(target) != n:
        raise SeedError(
            f"seed '{seed.describe()}' names {len(target)} classes for {n} images: name one each, or one for all"
        )
    largest = seed.channel_index if target is None else max(target)
    if seed.kind != "layer" and largest >= shape[0]:
        raise SeedError(f"channel {largest} is outside layer {layer!r}, which has {shape[0]}: use 0 to {shape[0] - 1}")
    if seed.kind == "contrast":
        return _contrast(seed, layer, shape, n, like, activation)
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
    if kind in ("logit", "contrast") and sizes:
        raise SeedError(
            f"a {kind} seed needs the network's output, a layer without positions; {layer!r} is {list(shape)}: "
            "name the last layer, or where that has positions one of them (Seed.neuron)"
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
    channel = _each(seed, n)
    if seed.value == "activation" and activation is not None:
        where: Any = (torch.arange(n), channel[:, 0], *position)
        value = activation[where].reshape(n, 1).to(like.dtype)
    else:
        value = torch.ones(n, 1, dtype=like.dtype, device=like.device)
    positions = torch.tensor(position, dtype=torch.int64).expand(n, 1, len(position))
    return Points(channel, positions, value)


def _each(seed: Seed, n: int) -> Tensor:
    """The class or channel of each image, int64 [N, 1]."""
    import torch

    if isinstance(seed.target, tuple):
        return torch.tensor(seed.target, dtype=torch.int64).reshape(n, 1)
    return torch.full((n, 1), seed.channel_index, dtype=torch.int64)


def _contrast(
    seed: Seed, layer: str, shape: tuple[int, ...], n: int, like: Tensor, activation: Tensor | None
) -> Tensor:
    """1 on a class and -1 / (K - 1) on the others, [N, 1, K]."""
    import torch

    _check_position(seed.position or (), layer, shape, seed.kind)
    if shape[0] < 2:
        raise SeedError(f"a contrast needs at least two classes, and layer {layer!r} has one output")
    if seed.target == "true":
        raise SeedError(
            "the contrast of the true class needs to know it: Seed.contrast(labels), a class for each image"
        )
    if seed.target == "predicted":
        assert activation is not None
        one = activation.argmax(1, keepdim=True)
    else:
        one = _each(seed, n)
    signal = torch.full((n, shape[0]), -1 / (shape[0] - 1), dtype=like.dtype, device=like.device)
    return signal.scatter_(1, one.to(like.device), 1.0).unsqueeze(1)


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
    if shape == (1,) and data.dim() == 1:  # one number for each image
        data = data.unsqueeze(1)
    if data.dim() == len(shape) + 1:
        data = data.unsqueeze(1)
    if data.dim() != len(shape) + 2 or tuple(data.shape[2:]) != shape or data.shape[0] not in (1, n):
        raise SeedError(
            f"Seed.tensor on layer {layer!r} must have shape {[n, *shape]} or {[n, 'K', *shape]}, "
            f"got {list(data.shape)}"
        )
    return data.detach().to(dtype=like.dtype, device=like.device).expand(n, -1, *shape)
