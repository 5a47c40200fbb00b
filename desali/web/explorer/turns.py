"""How many computations run and wait at once, and which clicks are out of date."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from desali.web.explorer.answer import Refused

Value = TypeVar("Value")
AT_ONCE = 2
WAITING = 16
"""Requests that wait for their turn; more are sent away."""
PAGES = 256
"""Pages whose last click is remembered."""


class Clicks:
    """The last click of each page; an older one is stale."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, int] = OrderedDict()

    def came(self, page: str, click: int) -> Callable[[], bool]:
        """Note a click, and get a question: is it stale?"""
        self._last[page] = max(click, self._last.get(page, click))
        self._last.move_to_end(page)
        while len(self._last) > PAGES:
            self._last.popitem(last=False)
        return lambda: self._last.get(page, click) > click


class Queue:
    """Work in a few threads; what comes when too much waits already is refused.

    Args:
        begin: is called in each of the threads before its first work.
    """

    def __init__(
        self, at_once: int = AT_ONCE, waiting: int = WAITING, begin: Callable[[], None] = lambda: None
    ) -> None:
        self._threads = ThreadPoolExecutor(at_once, "desali-explore", begin)
        self._most = at_once + waiting
        self._inside = 0

    async def run(self, work: Callable[[], Value]) -> Value:
        """Do the work in its turn.

        Raises:
            Refused: too many wait.
        """
        if self._inside >= self._most:
            raise Refused(503, "too many requests wait; try again in a moment")
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._inside -= 1

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
