"""Threads that answer one click together: each works on a network of its own, and the cores are not asked for twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from desali.errors import DesaliError
from desali.web.explorer.answer import Refused

Item = TypeVar("Item")
Made = TypeVar("Made")

START = 60.0
"""Seconds in which all threads have begun, or they never will."""
_turn = threading.Lock()


class Hands:
    """At most so many threads as networks; together they use the threads that torch was given.

    Small maps gain little from threads beneath one operation, and where another program holds a core those threads wait
    for each other through whole time slices of the machine: with one of two cores taken, a click on CaffeNet took 43 ms
    (95 % quantile) with one thread and 602 with two. Networks side by side wait for nothing but their end.

    Args:
        most: networks that a click may show.

    Raises:
        DesaliError: a thread cannot begin.
    """

    def __init__(self, most: int) -> None:
        import torch

        threads = torch.get_num_threads()
        self.count = max(1, min(most, threads))
        self._beneath = max(1, threads // self.count)
        started = threading.Barrier(self.count + 1, timeout=START)  # all begin here, none while something else goes on
        reasons: list[BaseException] = []

        def begin() -> None:
            try:
                self.begin()
            except BaseException as error:
                reasons.append(error)
                started.abort()

        self._pool = ThreadPoolExecutor(self.count, "desali-hand", begin)
        try:
            for _ in range(self.count):
                self._pool.submit(started.wait)
            started.wait()
        except (RuntimeError, OSError) as error:  # a broken barrier is one
            self.close()
            why = reasons[0] if reasons else error
            raise DesaliError(f"a thread of the explorer cannot begin ({type(why).__name__}: {why})") from why

    def begin(self) -> None:
        """Give the thread that calls its share of the cores; other threads keep what they have."""
        import torch

        with _turn:
            usual = torch.get_num_threads()  # what a thread takes when it first asks, over one that was set before
            torch.set_num_threads(self._beneath)
            # torch gives the last number to threads that come later, which are a notebook's own
            later = threading.Thread(target=torch.set_num_threads, args=(usual,))
            later.start()
            later.join()

    def each(self, work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
        """The work on every item, in their order; what one of them raises is raised when all are done."""
        closed = Refused(503, "the explorer is closed")
        try:
            begun = [self._pool.submit(work, item) for item in items]
        except RuntimeError:
            raise closed from None
        # One by one: `concurrent.futures.wait` never hears of what the end of a pool cancels.
        failures = [_failure(one) for one in begun]
        if any(isinstance(one, CancelledError) for one in failures):
            raise closed
        return [one.result() for one in begun]

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _failure(one: Future[Any]) -> BaseException | None:
    """Wait for the end of some work, and tell what it raised; CancelledError where it never began."""
    try:
        return one.exception()
    except CancelledError as error:
        return error
