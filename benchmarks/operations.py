"""Transposed convolutions one by one: conv1 of AlexNet in batches, and every layer of four networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.context import Context, Result, Target
from benchmarks.jobs import OURS
from benchmarks.measuring import Candidate, compare
from benchmarks.models import build
from benchmarks.plain import phase_transpose, phase_weight
from benchmarks.recording import BUILDERS, prepare
from desali import ops

LIBRARY = "F.conv_transpose2d"
LIBRARY_LAST = "F.conv_transpose2d, channels-last"
PHASES = "phase convolution + pixel_shuffle"
PHASES_LAST = "phase convolution + pixel_shuffle, channels-last"


def sparse(shape: tuple[int, ...], density: float, device: str, seed: int = 3) -> Tensor:
    """Normal values, a random fraction of them kept; channels-last in memory. Returns [B, C, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator)
    if density < 1:
        values *= torch.rand(shape, generator=generator) < density
    return values.to(device).contiguous(memory_format=torch.channels_last)


def said(density: float) -> str:
    """A density in words."""
    return "dense signal" if density == 1 else f"{density:.2g} of the signal non-zero"


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes whether a library convolution is called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.seen = self.seen or "conv" in func.name()
        return func(*args, **(kwargs or {}))


def path_taken(run: Callable[[], object]) -> str:
    """ "torch" if a library convolution runs inside, else "native": seen from outside, not asked of desali."""
    with _Watch() as watch:
        run()
    return "torch" if watch.seen else "native"


class _Layer:
    """One convolution, its geometry, the size of its map and the share of its outputs that a ReLU lets through."""

    def __init__(self, layer: nn.Conv2d, size: tuple[int, int], positive: float, device: str) -> None:
        self.weight = layer.weight.detach().to(device)
        self.stride, self.padding, self.kernel = layer.stride[0], int(layer.padding[0]), layer.kernel_size[0]
        self.positive = positive
        self.size = size
        self.out_size = [(extent + 2 * self.padding - self.kernel) // self.stride + 1 for extent in size]
        spread = [(extent - 1) * self.stride + self.kernel - 2 * self.padding for extent in self.out_size]
        self.extra = [extent - reached for extent, reached in zip(size, spread, strict=True)]
        self.flop = 2 * self.weight.numel() * self.out_size[0] * self.out_size[1]

    def library(self, signal: Tensor, weight: Tensor) -> Tensor:
        """PyTorch's own."""
        return F.conv_transpose2d(signal, weight, None, self.stride, self.padding, self.extra)

    def ours(self, signal: Tensor) -> Tensor:
        """desali's, on [B, O, h, w]."""
        out = ops.conv_transpose(
            signal.unsqueeze(0), self.weight, map_size=self.size, stride=self.stride, padding=self.padding
        )
        return out.squeeze(0)

    def phases(self, signal: Tensor, phases: Tensor) -> Tensor:
        """One convolution for all phases; the result is cut, or padded, to the map."""
        out = phase_transpose(signal, phases, self.stride)
        out = out[..., self.padding : self.padding + self.size[0], self.padding : self.padding + self.size[1]]
        missing = [extent - reached for extent, reached in zip(self.size, out.shape[2:], strict=True)]
        return F.pad(out, (0, missing[1], 0, missing[0])) if any(missing) else out


def layers_of(module: nn.Module, images: Tensor, device: str) -> dict[str, _Layer]:
    """Every convolution of a network with its map's size, found by one forward pass; of like ones the first."""
    found: dict[str, _Layer] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(layer: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            size = (inputs[0].shape[2], inputs[0].shape[3])
            found[name] = _Layer(layer, size, float((output > 0).float().mean()), device)

        return keep

    convolutions = {name: one for name, one in module.named_modules() if isinstance(one, nn.Conv2d)}
    handles = [one.register_forward_hook(keeper(name)) for name, one in convolutions.items()]
    try:
        with torch.no_grad():
            module(images)
    finally:
        for handle in handles:
            handle.remove()
    alike: dict[tuple[Any, ...], str] = {}
    for name in convolutions:
        one = found[name]
        alike.setdefault((*one.weight.shape, one.stride, one.padding, *one.size), name)
    return {name: found[name] for name in alike.values()}


def _candidates(layer: _Layer, last: Tensor, phases: bool = True) -> list[Candidate]:
    """The library's two memory formats, desali and, on demand, the phase convolution; the first is the reference."""
    first = last.contiguous()
    weight_last = layer.weight.contiguous(memory_format=torch.channels_last)
    found = [
        Candidate(LIBRARY, lambda: layer.library(first, layer.weight)),
        Candidate(OURS, lambda: layer.ours(last)),
        Candidate(LIBRARY_LAST, lambda: layer.library(last, weight_last)),
    ]
    if phases:
        split = phase_weight(layer.weight, layer.stride)
        split_last = split.contiguous(memory_format=torch.channels_last)
        found += [
            Candidate(PHASES, lambda: layer.phases(first, split)),
            Candidate(PHASES_LAST, lambda: layer.phases(last, split_last)),
        ]
    return found


def conv1(context: Context) -> list[Result]:
    """The step to the image: conv1 of AlexNet transposed, batch 16, dense and sparse."""
    net = build(context.alexnet, device=context.device)
    batch = context.pick(16, 16, 2)
    layer = layers_of(net.module, net.images(1, device=context.device), context.device)[net.convolutions[0]]
    channels = layer.weight.shape[0]
    results = []
    for density in context.pick((1.0, 0.047, 0.15, 0.5), (1.0, 0.047), (1.0, 0.1)):
        last = sparse((batch, channels, *layer.out_size), density, context.device)
        candidates = _candidates(layer, last)
        entries = compare(f"conv1, density {density:.3g}", candidates, context.effort("op"))
        job = f"conv1 transposed, batch {batch}, {said(density)}"
        every = (LIBRARY, LIBRARY_LAST, PHASES, PHASES_LAST)
        targets = [Target(every, 1.2, 1.5), Target((LIBRARY, LIBRARY_LAST), 5, 6)] if density == 1 else []
        path = path_taken(candidates[1].run)
        facts = {"network": net.name, "batch": batch, "density": density, "flop": batch * layer.flop, "path": path}
        results.append(Result("conv1", "time", job, (OURS,), entries, targets, facts))
    return results


def _network(name: str, device: str) -> tuple[nn.Module, Tensor]:
    """A network and one image for it."""
    if name in BUILDERS:
        size = 224
        return prepare(name, device), torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1)).to(
            device
        )
    net = build(name, device=device)
    return net.module, net.images(1, device=device)


def layers(context: Context) -> list[Result]:
    """Every convolution of four networks, as its ReLU leaves it, dense and sparse, and the fastest other way."""
    names = context.pick(
        ("alexnet", "vgg16", "ResNet-50", "SqueezeNet"), ("alexnet",), ("alexnet-tiny", "vgg16-tiny", "caffenet-small")
    )
    densities = context.pick((1.0, 0.15), (1.0, 0.15), (0.1,))
    budget = 4e9 if context.device == "cpu" else 1e15
    results = []
    for network in names:
        module, image = _network(network, context.device)
        for name, layer in layers_of(module, image, context.device).items():
            context.say(f"{network} {name}")
            batch = 2 if context.scale == "tiny" else max(1, min(64, int(budget / layer.flop)))
            for own, density in ((True, layer.positive), *((False, one) for one in densities)):
                last = sparse((batch, layer.weight.shape[0], *layer.out_size), density, context.device)
                candidates = _candidates(layer, last, phases=density >= 0.3)
                entries = compare(f"{network} {name}, density {density:.3g}", candidates, context.effort("layer"))
                facts = {
                    "network": network, "layer": name, "batch": batch, "density": density, "own": own,
                    "flop": batch * layer.flop, "weight": list(layer.weight.shape), "map": list(layer.size),
                    "path": path_taken(candidates[1].run),
                }  # fmt: skip
                job = f"{network} {name} transposed, batch {batch}, {said(density)}"
                names_of = tuple(candidate.name for candidate in candidates if candidate.name != OURS)
                targets = [Target(names_of, 0.95, 1.2)] if own else []
                results.append(Result("layers", "time", job, (OURS,), entries, targets, facts=facts))
    return results
