"""Marks: something small that stays equal as long as a value that a module holds says the same.

Numbers and text are their own mark. Containers, arrays and tensors are marked by their contents, objects of the user's
own (a namespace of settings, a dataclass, a helper) by their attributes, functions by what they close over, classes by
what stands in them; all else by its identity. What is read through a module's globals is not seen.
"""

from __future__ import annotations

import sys
import weakref
from argparse import Namespace
from collections.abc import Hashable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any

from desali.ops import contents

PLAIN = (int, float, str, type(None))
DEPTH = 4  # containers and objects inside others that are looked into
_OTHERS = frozenset({"builtins", "numpy", "torch", *sys.stdlib_module_names}) - {"__main__"}
"""Top-level packages whose objects and classes are not looked into: what they hold is their own affair."""


class Same:
    """An object by its identity. It is not held, and once it is gone nothing equals it: its id may be given away."""

    __slots__ = ("_id", "_reference")

    def __init__(self, value: Any) -> None:
        self._id = id(value)
        self._reference = reference(value)

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Same) or self._id != other._id:
            return False
        alive = all(item is None or item() is not None for item in (self._reference, other._reference))
        return self is other or alive


@dataclass(frozen=True)
class Numbers:
    """A tensor by its identity, its layout and its values."""

    tensor: Same
    facts: tuple[Any, ...]
    values: int


def alike(first: Any, second: Any) -> bool:
    """Whether two marks are the same but for tensors, which a module may compute anew in every forward pass."""
    if isinstance(first, Numbers) and isinstance(second, Numbers):
        return True
    if isinstance(first, tuple) and isinstance(second, tuple):
        return len(first) == len(second) and all(map(alike, first, second))
    return bool(first == second)


def reference(value: Any) -> weakref.ref[Any] | None:
    """A weak reference to a value; None if there are none to its kind."""
    try:
        return weakref.ref(value)
    except TypeError:
        return None


def same(values: Iterable[Any]) -> tuple[Same, ...]:
    """Every value by its identity."""
    return tuple(map(Same, values))


def may_change(value: Any) -> bool:
    """Whether a value can become another one without being replaced, in a way that `mark` sees."""
    import numpy as np
    import torch

    if isinstance(value, (list, dict, set, torch.Tensor, np.ndarray)):
        return True
    if isinstance(value, tuple):
        return any(map(may_change, value))
    return _is_settings(value) or bool(_inside(value))


def mark(value: Any, depth: int = 0) -> Hashable:
    """Something equal as long as an attribute says the same."""
    import numpy as np
    import torch

    if isinstance(value, PLAIN):
        return type(value), value
    if isinstance(value, torch.Tensor):
        return Numbers(Same(value), contents.facts(value), contents.fingerprint(value))
    if isinstance(value, np.ndarray):
        return Same(value), *_array(value)
    if isinstance(value, type):
        return Same(value), settings(value) if is_users(value) and depth < DEPTH else ()
    if depth >= DEPTH:
        return Same(value)
    if isinstance(value, dict):
        return dict, tuple((mark(key, depth + 1), mark(item, depth + 1)) for key, item in list(value.items()))
    if isinstance(value, (list, tuple, set)):
        marks = [mark(item, depth + 1) for item in list(value)]
        return type(value), frozenset(marks) if isinstance(value, set) else tuple(marks)
    if _is_settings(value):
        held = [(name, mark(item, depth + 1)) for name, item in _attributes(value)]
        return Same(value), settings(type(value)), tuple(held)
    inside = _inside(value)
    return (Same(value), *(mark(item, depth + 1) for item in inside)) if inside else Same(value)


def is_users(kind: type) -> bool:
    """Whether a class is neither of Python nor of torch or NumPy."""
    return str(kind.__module__).partition(".")[0] not in _OTHERS


def settings(kind: type) -> tuple[Hashable, ...]:
    """What stands in a class and in those that it is derived from: values by their marks, functions by identity."""
    return tuple(
        (name, Same(value) if callable(value) else mark(value, DEPTH - 1))
        for own in kind.__mro__
        if is_users(own)
        for name, value in list(vars(own).items())
        if not name.startswith("__") or name in ("__call__", "__getattr__")
    )


def _inside(value: Any) -> tuple[Any, ...]:
    """What a function or class holds that may change in its place."""
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if isinstance(value, MethodType):
        return (value.__self__,) if may_change(value.__self__) else ()
    if isinstance(value, FunctionType):
        held = map(_content, value.__closure__ or ())
        return tuple(one for one in held if isinstance(one, PLAIN) or may_change(one))
    return (value,) if isinstance(value, type) and is_users(value) else ()


def _is_settings(value: Any) -> bool:
    """Whether a value is an object of the user's own; modules are walked over for themselves."""
    import torch

    kind = type(value)
    if isinstance(value, (torch.nn.Module, type)):
        return False
    return is_users(kind) or kind in (SimpleNamespace, Namespace)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    with suppress(AttributeError):  # where there are slots alone
        yield from list(object.__getattribute__(value, "__dict__").items())
    for own in type(value).__mro__:
        slots = vars(own).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield name, getattr(value, name)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _array(value: Any) -> tuple[Hashable, ...]:
    """Address, layout and contents of an array that can be written to."""
    import torch

    facts = value.ctypes.data, value.shape, value.strides, value.dtype.str
    if not value.flags.writeable or value.dtype.hasobject:
        return facts
    try:
        return *facts, contents.fingerprint(torch.from_numpy(value))
    except (TypeError, ValueError):  # a layout or kind of numbers that torch has not
        return *facts, hash(value.tobytes())
