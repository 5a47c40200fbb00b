"""`torch.compile` and CUDA graphs as baselines: made within a time limit, or a reason why not."""

from __future__ import annotations

import importlib.util
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.measuring import Candidate, Entry, EqualityError, check


class _TooLong(BaseException):
    """The time limit has passed."""


def _alarm(_number: int, _frame: Any) -> None:
    raise _TooLong


def compile_within(
    run: Callable[[], Any], seconds: float, compiler: Callable[[Any], Any] = torch.compile
) -> tuple[Callable[[], Any] | None, str]:
    """Compile a function and call it twice.

    Returns:
        The compiled function and a note with the time it took; or None and the reason why it does not compile.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return None, "not tried: the time limit needs the main thread"
    start = time.perf_counter()
    previous = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled: Callable[[], Any] = compiler(run)
            compiled()
            compiled()
    except _TooLong:
        return None, f"did not compile within {seconds:.0f} s"
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no message"])[0]
        return None, f"does not compile: {type(error).__name__}: {first[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    return compiled, f"compiled in {time.perf_counter() - start:.0f} s, not counted"


def accept(name: str, run: Callable[[], Any] | None, note: str, reference: Candidate) -> tuple[Candidate | None, str]:
    """A compiled baseline as a candidate; one that computes other numbers is not timed, and the note says so.

    Compilers may reorder the forward pass's sums, and a ReLU's input near 0 then changes its sign.
    """
    if run is None:
        return None, note
    candidate = Candidate(name, run, note=note)
    try:
        check(name, [candidate], reference)
    except EqualityError as error:
        return None, f"{note}; {error}"
    return candidate, note


def cuda_graph(candidate: Candidate) -> Candidate:
    """The candidate captured in a CUDA graph and replayed; its result lies in the graph's own memory.

    The equality check and the clock differ in TF32, which a capture freezes: each has a graph of its own.
    """
    graphs: dict[tuple[bool, bool], tuple[torch.cuda.CUDAGraph, Any]] = {}

    def replay() -> Any:
        setting = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        if setting not in graphs:
            graphs[setting] = _captured(candidate.run)
        graph, result = graphs[setting]
        graph.replay()
        return result

    return Candidate(f"{candidate.name}, CUDA graph", replay, candidate.part, candidate.units, candidate.note)


def _captured(run: Callable[[], Any]) -> tuple[torch.cuda.CUDAGraph, Any]:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        return graph, run()


def if_they_run(
    case: str, reference: Candidate, candidates: Sequence[Candidate]
) -> tuple[list[Candidate], list[Entry]]:
    """Candidates that may fail, as captures do: those that run and agree, and entries that say why others do not."""
    accepted, missing = [], []
    for candidate in candidates:
        try:
            check(case, [candidate], reference)
        except Exception as error:
            first = (str(error).strip().splitlines() or ["no message"])[0]
            missing.append(Entry(candidate.name, note=f"does not run: {type(error).__name__}: {first[:200]}"))
        else:
            accepted.append(candidate)
    return accepted, missing


def if_installed(package: str, candidate: Candidate) -> tuple[list[Candidate], list[Entry]]:
    """A candidate that needs a package; without it an entry that says so."""
    if importlib.util.find_spec(package) is not None:
        return [candidate], []
    return [], [Entry(candidate.name, note=f"the package {package} is not installed")]
