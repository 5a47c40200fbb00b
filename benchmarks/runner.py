"""Run cases and write what was measured as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import CASES
from benchmarks.context import Context, Scale
from benchmarks.machine import ROOT, facts
from benchmarks.stored import FORMAT
from desali.errors import UnknownNameError
from desali.ops import describe
from desali.ops.device import resolve

RESULTS = ROOT / "benchmarks" / "results"


def default_output(cases: Sequence[str] | None, device: str, quick: bool) -> Path:
    """benchmarks/results/DEVICE[-SIMD][-quick][-CASES].json, so that a partial run never replaces a whole one."""
    level = describe().get("simd") if device == "cpu" else None
    parts = [device, *([level] if level else []), *(["quick"] if quick else []), *(cases or [])]
    return RESULTS / f"{'-'.join(parts)}.json"


def run(
    cases: Sequence[str] | None = None,
    scale: Scale = "full",
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run cases (all by default) -> what is written to the JSON file.

    Raises:
        UnknownNameError: no such case. DesaliError: no such device. EqualityError: two candidates disagree.
    """
    chosen = list(CASES) if cases is None else list(cases)
    for name in chosen:
        if name not in CASES:
            raise UnknownNameError("case", name, CASES)
    resolve(device)
    machine = facts(device)
    results = []
    seconds = {}
    benchmark = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        for name in chosen:
            say(f"case {name}")
            start = time.perf_counter()
            results += [asdict(result) for result in CASES[name](Context(scale, device, say))]
            seconds[name] = round(time.perf_counter() - start, 1)
    finally:
        torch.backends.cudnn.benchmark = benchmark
    return {"format": FORMAT, "scale": scale, "machine": machine, "seconds": seconds, "results": results}
