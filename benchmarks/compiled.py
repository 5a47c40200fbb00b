"""`torch.compile` and CUDA graphs as baselines: made within a time limit, or a reason why not."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.measuring import Candidate, EqualityError, check


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
    """The candidate captured in a CUDA graph and replayed; its result lies in the graph's own memory."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            candidate.run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = candidate.run()

    def replay() -> Any:
        graph.replay()
        return result

    return Candidate(f"{candidate.name}, CUDA graph", replay, candidate.part, candidate.units, candidate.note)
