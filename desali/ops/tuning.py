"""Measure the ways of the transposed convolution on layers of known networks, and find where they meet."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from desali.ops import convolution
from desali.ops.crossovers import Crossover, kind_of
from desali.ops.weights import WeightCache

DENSITIES = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
ROUNDS = 12
WORK = 2 * 10**9
"""Multiplications and additions of one run, as those of many seeds: what a call costs by itself counts little."""
MOST_SEEDS, MOST_VALUES = 64, 1 << 23


@dataclass(frozen=True)
class Layer:
    """A convolution: channels of its output and input, kernel, stride, padding and the size of its output."""

    name: str
    o: int
    i: int
    kernel: int
    stride: int
    padding: int
    size: int

    @property
    def kind(self) -> str:
        """As `kind_of` has it."""
        return kind_of(self.o, self.i, (self.kernel, self.kernel), (self.stride, self.stride))


LAYERS = (
    Layer("AlexNet conv1", 64, 3, 11, 4, 2, 55),
    Layer("AlexNet conv2", 192, 64, 5, 1, 2, 27),
    Layer("ResNet 1 x 1", 256, 64, 1, 1, 0, 28),
    Layer("VGG conv1", 64, 3, 3, 1, 1, 112),
    Layer("ResNet stride 2", 128, 64, 3, 2, 1, 28),
    Layer("ResNet 1 x 1 up", 64, 256, 1, 1, 0, 28),
    Layer("ResNet 1 x 1, stride 2", 512, 256, 1, 2, 0, 28),
    Layer("VGG conv13", 512, 512, 3, 1, 1, 14),
    Layer("ResNet 1 x 1, largest", 512, 2048, 1, 1, 0, 7),
    Layer("AlexNet conv3", 384, 192, 3, 1, 1, 13),
    Layer("VGG conv2", 64, 64, 3, 1, 1, 112),
    Layer("VGG conv8", 512, 256, 3, 1, 1, 28),
    Layer("ResNet 1 x 1, wide", 512, 1024, 1, 1, 0, 14),
    Layer("ResNet 1 x 1, wider", 2048, 512, 1, 1, 0, 7),
    Layer("ResNet 1 x 1, wider, stride 2", 2048, 1024, 1, 2, 0, 7),
    Layer("SqueezeNet 3 x 3", 64, 16, 3, 1, 1, 54),
    Layer("SqueezeNet 1 x 1", 128, 32, 1, 1, 0, 27),
    Layer("AlexNet conv5", 256, 256, 3, 1, 1, 13),
    Layer("ResNet conv1", 64, 3, 7, 2, 3, 56),
)
"""One of each kind first, so that a short limit measures all kinds."""


@dataclass(frozen=True)
class Measured:
    """Seconds of each way on one layer.

    Attributes:
        dense: of the ways whose time does not depend on the zeros, by name.
        walk: of the walk over the non-zeros, by density.
    """

    layer: Layer
    dense: dict[str, float]
    walk: dict[float, float]

    @property
    def crossover(self) -> Crossover:
        """Where the walk stops being the fastest, by straight lines between the densities."""
        best = min(self.dense, key=lambda name: self.dense[name])
        wanted, (low, below) = self.dense[best], (0.0, 0.0)
        for density, seconds in sorted(self.walk.items()):
            if seconds >= wanted:
                share = (wanted - below) / (seconds - below) if seconds > below else 0.0
                return Crossover(round(low + (density - low) * max(0.0, share), 3), best)
            low, below = density, seconds
        return Crossover(1.0, best)

    def loss(self, chosen: Crossover) -> float:
        """How many times longer than the fastest way the chosen one takes, at the density where that is worst."""
        fastest = min(self.dense.values())
        own = self.dense[chosen.dense]
        lost = [(own if density > chosen.density else walk) / min(fastest, walk) for density, walk in self.walk.items()]
        last = max(self.walk)
        whole = self.walk[last] / last  # the walk is not measured where nothing is zero
        return max(*lost, (own if chosen.density < 1 else whole) / min(fastest, whole))

    def winners(self) -> list[tuple[float, str, float]]:
        """For each density, and 1, the fastest way and how many times longer the second takes."""
        rows = []
        for density in (*self.walk, 1.0):
            seconds = dict(self.dense) | ({"sparse": self.walk[density]} if density in self.walk else {})
            first, second = sorted(seconds, key=lambda name: seconds[name])[:2]
            rows.append((density, first, seconds[second] / seconds[first]))
        return rows


def measure(limit: float, say: Callable[[str], None] = lambda _: None) -> list[Measured]:
    """Every way on each of `LAYERS`, until `limit` seconds have gone by; a layer is measured as a whole or not at all.

    float32, zeros at random places, the least of several runs that take turns.
    """
    end = time.monotonic() + limit
    found: list[Measured] = []
    for layer in LAYERS:
        say(layer.name)
        one = _measure(layer, end)
        if one is None:
            break
        found.append(one)
    return found


def crossovers(measured: Iterable[Measured]) -> dict[str, Crossover]:
    """One crossover for each kind: the one with which the layer that loses most by it loses least."""
    kinds: dict[str, list[Measured]] = {}
    for one in measured:
        kinds.setdefault(one.layer.kind, []).append(one)
    found = {}
    for kind, layers in kinds.items():
        densities = sorted({one.crossover.density for one in layers})
        between = [(low + high) / 2 for low, high in itertools.pairwise(densities)]
        choices = [Crossover(round(one, 3), way) for one in (*densities, *between) for way in layers[0].dense]
        found[kind] = min(choices, key=lambda choice: max(one.loss(choice) for one in layers))
    return found


def _measure(layer: Layer, end: float) -> Measured | None:
    generator = torch.Generator().manual_seed(0)
    flop = 2 * layer.o * layer.i * layer.kernel**2 * layer.size**2
    seeds = min(MOST_SEEDS, WORK // flop, MOST_VALUES // (layer.o * layer.size**2))
    shape = (1, max(2, seeds), layer.o, layer.size, layer.size)
    values = torch.randn(shape, generator=generator)
    chance = torch.rand(shape, generator=generator)
    weight = torch.randn(layer.o, layer.i, layer.kernel, layer.kernel, generator=generator)
    cache = WeightCache()
    runs: dict[tuple[str, float], Callable[[], object]] = {}
    for way, density in (("dense", 1.0), ("torch", 1.0), *(("sparse", density) for density in DENSITIES)):
        signal = (values * (chance < density)).permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
        runs[way, density] = _bound(way, signal, weight, layer, cache)
    best = dict.fromkeys(runs, float("inf"))
    # One thread's own time does not count what other programs take; that of several cannot be read.
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    for _ in range(ROUNDS):
        for key, run in runs.items():
            if time.monotonic() > end:
                return None
            start = clock()
            run()
            best[key] = min(best[key], clock() - start)
    dense = {way: seconds for (way, _), seconds in best.items() if way != "sparse"}
    return Measured(layer, dense, {density: best["sparse", density] for density in DENSITIES})


def _bound(way: str, signal: Tensor, weight: Tensor, layer: Layer, cache: WeightCache) -> Callable[[], object]:
    extent = (layer.size - 1) * layer.stride + layer.kernel - 2 * layer.padding
    arguments = {"map_size": extent, "stride": layer.stride, "padding": layer.padding, "weight_cache": cache}

    def run() -> object:
        with convolution.forced(way):
            return convolution.conv_transpose(signal, weight, **arguments, backend="native")  # type: ignore[arg-type]

    return run
