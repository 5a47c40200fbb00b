"""Ctrl-C is never lost: one that Python swallows (in a destructor, in a generator that is closed) stays known.

Python raises KeyboardInterrupt wherever the main thread is; inside `__del__` or a generator that garbage collection
closes it is printed and forgotten. The handler here also remembers it, and loops over images, batches and epochs ask.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_asked = threading.Event()


def _handler(number: int, frame: FrameType | None) -> None:
    _asked.set()
    raise KeyboardInterrupt


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Remember Ctrl-C inside; at the end one that was swallowed is raised after all.

    Nothing changes outside of the main thread, or where someone else handles SIGINT.

    Raises:
        KeyboardInterrupt: it was asked for and nobody heard it.
    """
    own = threading.current_thread() is threading.main_thread()
    own = own and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not own:
        yield
        return
    _asked.clear()
    signal.signal(signal.SIGINT, _handler)
    try:
        yield
        check()
    finally:
        _asked.clear()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def heard() -> None:
    """A KeyboardInterrupt was heard, and ended what it was meant to end: it is not raised again."""
    _asked.clear()


def check() -> None:
    """Raise the KeyboardInterrupt that was asked for and swallowed, if there is one."""
    if _asked.is_set() and threading.current_thread() is threading.main_thread():
        _asked.clear()
        raise KeyboardInterrupt
