"""Transposed convolutions one by one: conv1 of AlexNet in batches, and every layer of three networks."""

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
from benchmarks.models import Net, build
from benchmarks.plain import phase_transpose, phase_weight
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
    """One convolution, its geometry and the size of its map."""

    def __init__(self, net: Net, name: str, size: tuple[int, int], device: str) -> None:
        layer = net.module.get_submodule(name)
        assert isinstance(layer, nn.Conv2d)
        self.weight = layer.weight.detach().to(device)
        self.stride, self.padding, self.kernel = layer.stride[0], int(layer.padding[0]), layer.kernel_size[0]
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


def layers_of(net: Net, device: str) -> dict[str, _Layer]:
    """Every convolution of a network with its map's size, found by one forward pass."""
    sizes: dict[str, tuple[int, int]] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
            sizes[name] = (inputs[0].shape[2], inputs[0].shape[3])

        return keep

    handles = [net.module.get_submodule(name).register_forward_hook(keeper(name)) for name in net.convolutions]
    try:
        net.features(net.images(1, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return {name: _Layer(net, name, sizes[name], device) for name in net.convolutions}


def conv1(context: Context) -> list[Result]:
    """The step to the image: conv1 of AlexNet transposed, batch 16, dense and sparse."""
    net = build(context.alexnet, device=context.device)
    batch = context.pick(16, 16, 2)
    name = net.convolutions[0]
    layer = layers_of(net, context.device)[name]
    channels = layer.weight.shape[0]
    weight_last = layer.weight.contiguous(memory_format=torch.channels_last)
    phases = phase_weight(layer.weight, layer.stride)
    phases_last = phases.contiguous(memory_format=torch.channels_last)
    results = []
    for density in context.pick((1.0, 0.047, 0.15, 0.5), (1.0, 0.047), (1.0, 0.1)):
        last = sparse((batch, channels, *layer.out_size), density, context.device)
        first = last.contiguous()
        candidates = [
            Candidate(LIBRARY, lambda x=first: layer.library(x, layer.weight)),  # type: ignore[misc]
            Candidate(OURS, lambda x=last: layer.ours(x)),  # type: ignore[misc]
            Candidate(LIBRARY_LAST, lambda x=last: layer.library(x, weight_last)),  # type: ignore[misc]
            Candidate(PHASES, lambda x=first: layer.phases(x, phases)),  # type: ignore[misc]
            Candidate(PHASES_LAST, lambda x=last: layer.phases(x, phases_last)),  # type: ignore[misc]
        ]
        entries = compare(f"conv1, density {density:.3g}", candidates, context.effort("op"))
        job = f"conv1 transposed, batch {batch}, {said(density)}"
        targets = [Target((LIBRARY, LIBRARY_LAST), 5, 6)] if density == 1 else []
        path = path_taken(candidates[1].run)
        facts = {"network": net.name, "batch": batch, "density": density, "flop": batch * layer.flop, "path": path}
        results.append(Result("conv1", "time", job, (OURS,), entries, targets, facts))
    return results


def layers(context: Context) -> list[Result]:
    """Every convolution of three networks, dense and sparse, against the library."""
    names = context.pick(
        ("alexnet", "vgg16", "caffenet"), ("alexnet",), ("alexnet-tiny", "vgg16-tiny", "caffenet-small")
    )
    densities = context.pick((1.0, 0.5, 0.15, 0.04), (1.0, 0.15, 0.04), (1.0, 0.1))
    budget = 8e9 if context.device == "cpu" else 1e15
    results = []
    for network in names:
        net = build(network, device=context.device)
        for name, layer in layers_of(net, context.device).items():
            context.say(f"{network} {name}")
            batch = 2 if context.scale == "tiny" else max(1, min(64, int(budget / layer.flop)))
            for density in densities:
                last = sparse((batch, layer.weight.shape[0], *layer.out_size), density, context.device)
                first = last.contiguous()
                candidates = [
                    Candidate(LIBRARY, lambda x=first, of=layer: of.library(x, of.weight)),  # type: ignore[misc]
                    Candidate(OURS, lambda x=last, of=layer: of.ours(x)),  # type: ignore[misc]
                ]
                entries = compare(f"{network} {name}, density {density:.3g}", candidates, context.effort("layer"))
                facts = {
                    "network": network, "layer": name, "batch": batch, "density": density, "flop": batch * layer.flop,
                    "weight": list(layer.weight.shape), "map": list(layer.size), "path": path_taken(candidates[1].run),
                }  # fmt: skip
                job = f"{network} {name} transposed, batch {batch}, {said(density)}"
                results.append(Result("layers", "time", job, (OURS,), entries, facts=facts))
    return results
