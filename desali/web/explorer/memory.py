"""Values that are made once and kept while they are used, within a budget of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """The last used values by key; beyond the budget the one that was not used for longest goes.

    Several threads may ask at once: one makes a value, the others wait for it. The value that was made last stays even
    if it is larger than the budget.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._held = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self._held

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def get(self, key: Hashable, make: Callable[[], tuple[Value, int]]) -> Value:
        """The value of a key; `make` gives it with its bytes where it is not there. What it raises is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
            own = self._making.setdefault(key, threading.Lock())
        with own:
            with self._lock:
                if key in self._values:
                    return self._values[key][0]
            try:
                value, size = make()
                with self._lock:
                    self._values[key] = value, size
                    self._held += size
                    while self._held > self.most and len(self._values) > 1:
                        _, (_, gone) = self._values.popitem(last=False)
                        self._held -= gone
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return value
