"""Check that candidates agree, then time them in turns."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from desali.errors import DesaliError

TOLERANCE = 1e-5
"""Largest max|difference| / max|reference| that counts as equal."""


class EqualityError(DesaliError):
    """Two candidates of one case give different numbers: nothing is timed, the run fails."""


@dataclass(frozen=True)
class Candidate:
    """One way to do a job.

    Attributes:
        name: as the table shows it.
        run: does the whole job once; what it returns is checked.
        part: cuts out of the reference what this candidate computes, if it does a part of the job only.
        units: how many results one run gives (maps, for instance); times are for one run, the table compares per unit.
        note: what the reader must know.
    """

    name: str
    run: Callable[[], Any]
    part: Callable[[Any], Any] | None = None
    units: int = 1
    note: str = ""


@dataclass
class Entry:
    """What was measured of one candidate: seconds for one run, and whatever else the case adds."""

    name: str
    median: float | None = None
    q1: float | None = None
    q3: float | None = None
    runs: int = 0
    units: int = 1
    difference: float | None = None
    note: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds for each candidate, spread over so many turns."""

    seconds: float
    turns: int


def difference(got: Any, expected: Any) -> float:
    """max |difference| / max |reference|; for a mapping the largest of its members.

    Raises:
        EqualityError: shapes or names do not agree, a value is not finite, or the reference is all zero.
    """
    if isinstance(expected, Mapping):
        if set(got) != set(expected):
            raise EqualityError(f"results for {sorted(got)}, expected {sorted(expected)}")
        return max(difference(got[name], expected[name]) for name in expected)
    if isinstance(expected, (tuple, list)):
        if len(got) != len(expected):
            raise EqualityError(f"{len(got)} results, expected {len(expected)}")
        return max(difference(*pair) for pair in zip(got, expected, strict=True))
    if got.shape != expected.shape:
        raise EqualityError(f"result has shape {list(got.shape)}, expected {list(expected.shape)}")
    reference = expected.double()
    scale = reference.abs().max().item()
    if not scale:
        raise EqualityError("the reference is zero everywhere: comparing with it shows nothing")
    largest = (got.double() - reference).abs().max().item() / scale
    if not largest < float("inf"):
        raise EqualityError("a result is not finite")
    return float(largest)


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """Without TF32: its rounding alone is above the tolerance. What is timed follows torch's own setting."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def check(case: str, candidates: Sequence[Candidate], reference: Candidate) -> dict[str, float]:
    """Run every candidate once against the reference.

    Raises:
        EqualityError: one differs by `TOLERANCE` or more.
    """
    found = {}
    with _full_precision():
        expected = reference.run()
        for candidate in candidates:
            wanted = expected if candidate.part is None else candidate.part(expected)
            got = expected if candidate is reference else candidate.run()
            try:
                found[candidate.name] = difference(got, wanted)
            except EqualityError as error:
                raise EqualityError(f"{case}: {candidate.name}: {error}") from None
            if found[candidate.name] >= TOLERANCE:
                raise EqualityError(
                    f"{case}: {candidate.name} differs from {reference.name} by {found[candidate.name]:.1e} of its "
                    f"maximum, allowed is {TOLERANCE:.0e}; nothing was timed"
                )
    return found


def clock(candidates: Sequence[Candidate], effort: Effort) -> list[Entry]:
    """Time the candidates in turns, so that a drift of the machine meets all of them; medians and quartiles."""
    times: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    for _ in range(effort.turns):
        for candidate in candidates:
            timer = Timer("run()", globals={"run": candidate.run}, num_threads=torch.get_num_threads())
            measured = timer.blocked_autorange(min_run_time=effort.seconds / effort.turns)
            times[candidate.name] += measured.times
    entries = []
    for candidate in candidates:
        values = torch.tensor(times[candidate.name], dtype=torch.float64)
        q1, median, q3 = (float(torch.quantile(values, q)) for q in (0.25, 0.5, 0.75))
        entries.append(Entry(candidate.name, median, q1, q3, len(values), candidate.units, note=candidate.note))
    return entries


def compare(case: str, candidates: Sequence[Candidate], effort: Effort, reference: int = 0) -> list[Entry]:
    """`check` all candidates against one of them, then `clock` them."""
    differences = check(case, candidates, candidates[reference])
    entries = clock(candidates, effort)
    for index, entry in enumerate(entries):
        entry.difference = None if index == reference else differences[entry.name]
    return entries


def peak_bytes(run: Callable[[], Any], device: str) -> int | None:
    """Memory that one run needs at its peak, its result included, above what is held before.

    On a GPU what torch allocates; on Linux the resident memory (VmHWM), so that scratch memory of any library counts;
    None where neither can be had.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated() - before)
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident("VmRSS")
        run()
        return max(0, _resident("VmHWM") - before)
    except (OSError, AttributeError, KeyError):
        return None


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(fields[name].split()[0]) * 1024


def held(tensors: Sequence[Tensor]) -> int:
    """Bytes of the storages behind tensors, each storage once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())
