"""Which way of the transposed convolution is the fastest: a table for each instruction set, or what was measured here.

The ways differ in speed only; their results agree to rounding. `desali tune` measures them (`desali.ops.tuning`) and
keeps what it found in the user's cache folder, by processor, instruction set and threads.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from desali.input.files import cache_folder
from desali.ops.backend import core
from desali.ops.device import processor

FEW_CHANNELS = 8
SMALL_WEIGHT, LARGE_WEIGHT = 1 << 15, 1 << 20
FORMAT = 2
DENSE_WAYS = ("dense", "torch")


class Crossover(NamedTuple):
    """Where the ways meet for one kind of layer.

    Attributes:
        density: up to this share of non-zeros the walk over them is the fastest.
        dense: the fastest above: "dense" (the core's kernel) or "torch" (oneDNN).
    """

    density: float
    dense: str


TABLE: dict[str, dict[str, Crossover]] = {
    "avx512": {
        "image": Crossover(0.25, "torch"),
        "image, strided": Crossover(0.43, "dense"),
        "pointwise": Crossover(0.42, "torch"),
        "pointwise, widening": Crossover(0.42, "torch"),
        "pointwise, large": Crossover(0.42, "torch"),
        "pointwise, strided": Crossover(0.42, "torch"),
        "channels": Crossover(0.5, "torch"),
        "channels, large": Crossover(0.42, "torch"),
        "channels, strided": Crossover(0.43, "torch"),
    },
    "avx2": {
        "image": Crossover(0.09, "torch"),
        "image, strided": Crossover(0.36, "dense"),
        "pointwise": Crossover(0.1, "torch"),
        "pointwise, widening": Crossover(0.1, "torch"),
        "pointwise, large": Crossover(0.28, "torch"),
        "pointwise, strided": Crossover(0.26, "torch"),
        "channels": Crossover(0.42, "torch"),
        "channels, large": Crossover(0.3, "torch"),
        "channels, strided": Crossover(0.32, "torch"),
    },
    "portable": {
        "image": Crossover(0.1, "dense"),
        "image, strided": Crossover(0.6, "dense"),
        "pointwise": Crossover(0.15, "torch"),
        "pointwise, widening": Crossover(0.15, "torch"),
        "pointwise, large": Crossover(0.15, "torch"),
        "pointwise, strided": Crossover(0.2, "torch"),
        "channels": Crossover(0.3, "torch"),
        "channels, large": Crossover(0.2, "torch"),
        "channels, strided": Crossover(0.2, "torch"),
    },
}
"""By instruction set and kind of layer: what `desali tune` found on two cores of an AMD EPYC (Zen 4, whose two levels
multiply equally fast), for avx2 with desali, oneDNN and PyTorch held to it, lowered where `desali bench --cases layers`
showed the walk to lose in its larger batches. Of portable all but the first two are
guesses: PyTorch's own kernels have no such level to be held to."""


def kind_of(o: int, i: int, kernel: tuple[int, int], stride: tuple[int, int], groups: int = 1) -> str:
    """The kind of a layer.

    "image" (few channels to make) or "channels"; of 1 x 1 convolutions "pointwise" or, where few channels become more,
    "pointwise, widening". With ", strided", or, where the weight is larger than a core's cache, with ", large".

    Args:
        o, i: channels of the signal and of the result, that is of the convolution's output and input.
        kernel, stride: of rows and columns.
    """
    weight = o * i * kernel[0] * kernel[1] // groups
    name = "pointwise" if kernel == (1, 1) else "image" if i <= FEW_CHANNELS else "channels"
    if stride != (1, 1):
        return f"{name}, strided"
    if name == "pointwise" and o < i and weight <= SMALL_WEIGHT:
        return "pointwise, widening"
    return f"{name}, large" if name != "image" and weight >= LARGE_WEIGHT else name


def machine() -> str:
    """What measurements hold for: processor, instruction set and threads."""
    module, _ = core()
    level = "none" if module is None else module.describe()["simd"]
    return f"{processor()}; {level}; {torch.get_num_threads()} threads"


def tuning_file() -> Path:
    """`tuning.json` in the user's cache folder."""
    return cache_folder() / "tuning.json"


@functools.cache
def current() -> Mapping[str, Crossover]:
    """The crossovers in use, by kind: those of the tuning file for this machine, else those of the table.

    A file that is damaged or of other machines is passed over with one line in the log. Read once a process.
    """
    module, _ = core()
    shipped = TABLE["portable" if module is None else module.describe()["simd"]]
    path = tuning_file()
    try:
        known = read(path)
    except FileNotFoundError:
        return shipped
    except (OSError, ValueError) as error:
        _say(f"{path} is ignored: {error}; `desali tune` writes it anew")
        return shipped
    if not any(one.startswith(f"{processor()};") for one in known):
        _say(f"{path} is ignored: it was measured on other machines; run `desali tune` here")
    return {**shipped, **known.get(machine(), {})}


def read(path: Path) -> dict[str, dict[str, Crossover]]:
    """What a tuning file says, by machine and kind.

    Raises:
        OSError: it cannot be read. ValueError: it is damaged.
    """
    try:
        found = json.loads(path.read_bytes())
        if found["format"] != FORMAT:
            raise ValueError
        machines = found["machines"].items()
        return {name: {kind: _crossover(one) for kind, one in kinds.items()} for name, kinds in machines}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("it is damaged or of another version") from None


def written(machines: Mapping[str, Mapping[str, Crossover]]) -> dict[str, Any]:
    """The content of a tuning file, for JSON."""
    kinds = {name: {kind: one._asdict() for kind, one in found.items()} for name, found in machines.items()}
    return {"format": FORMAT, "machines": kinds}


def _crossover(values: Mapping[str, Any]) -> Crossover:
    density, dense = values["density"], values["dense"]
    if isinstance(density, bool) or not isinstance(density, (int, float)) or not 0 <= density <= 1:
        raise ValueError
    if dense not in DENSE_WAYS:
        raise ValueError
    return Crossover(float(density), dense)


def _say(line: str) -> None:
    logging.getLogger("desali").warning(line)
