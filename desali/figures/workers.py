"""Work on a batch in several processes: the first item here, so that what all share is found once, the others there."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from desali.errors import DataError, DesaliError
from desali.output.interrupts import check

Item = TypeVar("Item")
Made = TypeVar("Made")

_work: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class _Failed:
    """An error of a worker; errors that take other arguments than their text do not survive pickling."""

    kind: type[DesaliError]
    text: str

    def error(self) -> DesaliError:
        made = self.kind.__new__(self.kind)
        made.args = (self.text,)
        return made


def each(work: Callable[[Item], Made], batch: Sequence[Item], workers: int = 1) -> Generator[Made, None, None]:
    """What `work` makes of every item, in order.

    Args:
        work: picklable if there are several workers, results too. What it finds out with the first item and keeps goes
            to the workers with it.
        workers: processes; PyTorch's threads are divided among them.

    Raises:
        DesaliError: what `work` raises; it cannot be sent to other processes; a process was killed.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise DataError(f"workers must be a whole number of at least 1, got {workers!r}")
    if workers == 1 or len(batch) < 3:
        for item in batch:
            check()
            yield work(item)
        return
    prepare()
    yield work(batch[0])
    yield from _others(_context(), work, batch[1:], min(workers, len(batch) - 1))


def prepare() -> None:
    """Let the process that workers come from begin to load PyTorch, and do not wait for it.

    The earlier it is called, the less there is to wait for later; `each` calls it too.
    """
    if _context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


def _others(
    context: Any, work: Callable[[Item], Made], batch: Sequence[Item], workers: int
) -> Generator[Made, None, None]:
    import torch

    try:
        sent = pickle.dumps(work)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DesaliError(f"the models cannot be sent to other processes ({reason}): leave workers out") from error
    threads = max(1, torch.get_num_threads() // workers)
    pool = ProcessPoolExecutor(workers, context, _start, (sent, threads))
    try:
        for made in pool.map(_do, batch):
            check()
            if isinstance(made, _Failed):
                raise made.error()
            yield made
    except BrokenProcessPool as error:
        raise DesaliError("a worker process was killed (out of memory?): repeat with fewer workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _context() -> Any:
    """Processes that come from a clean one, which has loaded what they need: this one's threads are no matter then."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["desali.figures.batch_work", "desali.reversal.recording"])
    return context


def _start(sent: bytes, threads: int) -> None:
    global _work
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of them; the one that asked for work decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _work = pickle.loads(sent)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(item: Any) -> Any:
    assert _work is not None
    try:
        return _work(item)
    except DesaliError as error:
        return _Failed(type(error), str(error))
