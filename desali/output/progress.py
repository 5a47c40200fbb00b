"""Progress on stderr: a bar where a person looks on, else whole lines, few enough for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

INTERVAL = 30.0
"""Seconds between two lines of a log."""


def interactive() -> bool:
    """Whether stderr is a terminal, or a notebook's."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return sys.stderr.isatty() or getattr(shell, "kernel", None) is not None


def duration(seconds: float) -> str:
    """Seconds as M:SS or H:MM:SS."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class Lines(Generic[T]):
    """Counts like a bar, and writes a line to stderr every `interval` seconds: how many, of how many, time left."""

    def __init__(
        self, items: Iterable[T] = (), *, total: int, title: str, unit: str, interval: float = INTERVAL
    ) -> None:
        self._items, self._total, self._title, self._unit, self._interval = items, total, title, unit, interval
        self._done = 0
        self._start = self._last = time.monotonic()

    def update(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        now = time.monotonic()
        if now - self._last < self._interval or self._done >= self._total:
            return
        self._last = now
        left = duration((now - self._start) / self._done * (self._total - self._done))
        line = f"{self._title}: {self._done} of {self._total} {self._unit}s, about {left} left"
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is left open."""

    def __iter__(self) -> Iterator[T]:
        for item in self._items:
            yield item
            self.update()

    def __enter__(self) -> Lines[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def bar(total: int, title: str, unit: str, *, shown: bool = True, **options: Any) -> Any:
    """Something to `update(n)` and `close()`: a tqdm bar where stderr is a terminal, else `Lines`.

    Args:
        total: how many there are.
        title, unit: "figures" and "image", in the singular.
        shown: False shows nothing.
        options: of tqdm alone.
    """
    if shown and not interactive():
        return Lines(total=total, title=title, unit=unit)
    from tqdm import tqdm

    return tqdm(total=total, desc=title, unit=unit, file=sys.stderr, disable=not shown, **options)


def counted(items: Sequence[T], title: str, unit: str, **options: Any) -> Iterable[T]:
    """The items, with a `bar` over them that stays."""
    assert isinstance(items, Sized)
    if not interactive():
        return Lines(items, total=len(items), title=title, unit=unit)
    from tqdm import tqdm

    shown: Iterable[T] = tqdm(items, desc=title, unit=unit, file=sys.stderr, **options)
    return shown
