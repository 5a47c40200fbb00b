"""What a step of training costs in other ways than the one it takes: `python -m benchmarks.epoch`.

Forward, loss, backward and optimiser of one batch of 64 images of 64 px, without reading or augmenting them. The ways
take turns; shown are medians, quartiles, how many times faster than today's a way is, and how far its losses are off.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.compiled import compile_within
from benchmarks.machine import facts
from benchmarks.stored import noise
from desali.models.registry import architecture

BATCH, SIZE, CLASSES = 64, 64, 7
NETWORKS = ("caffenet-small", "squeezenet1_0")
TODAY = "channels-last, SGD"


class Way:
    """A network in training, the same start for all."""

    def __init__(self, network: str, last: bool = True, fused: bool = False, compiled: bool = False) -> None:
        entry = architecture(network)
        torch.manual_seed(0)
        self.model = entry.build(CLASSES, entry.in_channels).train()
        form = torch.channels_last if last else torch.contiguous_format
        self.model.to(memory_format=form)  # type: ignore[call-overload]
        for module in self.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # else the ways draw other masks
        images = torch.randn(BATCH, entry.in_channels, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
        self.images = images.contiguous(memory_format=form)
        self.labels = torch.arange(BATCH) % CLASSES
        self.optimizer = torch.optim.SGD(self.model.parameters(), 1e-3, 0.9, weight_decay=5e-4, fused=fused)
        self.losses: list[float] = []
        self.note = ""
        self.forward: Callable[[], Tensor] | None = self._loss
        if compiled:
            self.forward, self.note = compile_within(self._loss, 240)

    def _loss(self) -> Tensor:
        return cross_entropy(self.model(self.images), self.labels)

    def step(self) -> float:
        """One step -> seconds."""
        assert self.forward is not None
        start = time.perf_counter()
        loss = self.forward()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.losses.append(loss.item())
        return time.perf_counter() - start


def measure(network: str, rounds: int, compiling: bool = True) -> list[dict[str, Any]]:
    """Every way of one network, in turns."""
    ways = {
        TODAY: Way(network),
        "contiguous, SGD": Way(network, last=False),
        "channels-last, fused SGD": Way(network, fused=True),
    }
    if compiling:
        ways["channels-last, SGD, torch.compile"] = Way(network, compiled=True)
    running = {name: way for name, way in ways.items() if way.forward is not None}
    times: dict[str, list[float]] = {name: [] for name in running}
    for index in range(rounds + 2):
        for name, way in running.items():
            seconds = way.step()
            if index >= 2:
                times[name].append(seconds)
    today = statistics.median(times[TODAY])
    found = []
    for name, way in ways.items():
        row: dict[str, Any] = {"network": network, "way": name, "note": way.note}
        if name in times:
            q1, median, q3 = statistics.quantiles(times[name], n=4)
            off = max(abs(a - b) for a, b in zip(way.losses, ways[TODAY].losses, strict=True))
            row |= {"median": median, "q1": q1, "q3": q3, "times_faster": today / median, "largest_loss_off": off}
        found.append(row)
    return found


@click.command()
@click.option("--rounds", type=click.IntRange(2), default=30, show_default=True, help="Steps of each way.")
@click.option("--no-compile", is_flag=True, help="Leave torch.compile out.")
def main(rounds: int, no_compile: bool) -> None:
    """Measure and print JSON."""
    machine = facts("cpu")
    rows = [row for network in NETWORKS for row in measure(network, rounds, not no_compile)]
    click.echo(json.dumps({"machine": machine, "noise": noise(machine), "steps": rows}, indent=1))


if __name__ == "__main__":
    main()
