"""The cases by name, in the order they run."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bandwidth import bandwidth
from benchmarks.context import Context, Result
from benchmarks.drawn import drawn
from benchmarks.figure import figure
from benchmarks.jobs import layer, neurons, top9
from benchmarks.memory import memory
from benchmarks.operations import conv1, layers
from benchmarks.recording import record
from benchmarks.scaling import scaling
from benchmarks.workers import workers

CASES: dict[str, Callable[[Context], list[Result]]] = {
    "neurons": neurons,
    "top9": top9,
    "layer": layer,
    "conv1": conv1,
    "bandwidth": bandwidth,
    "memory": memory,
    "record": record,
    "layers": layers,
    "figure": figure,
    "drawn": drawn,
    "workers": workers,
    "scaling": scaling,
}
