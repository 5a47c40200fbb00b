"""Read the arguments of an ATen call."""

from __future__ import annotations

from typing import Any


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str, default: Any) -> Any:
    """The argument at a position or of a name."""
    return args[position] if len(args) > position else kwargs.get(name, default)


def tuple_of(value: Any, dims: int, default: int) -> tuple[int, ...]:
    """One integer per spatial dimension, from an integer, a list of one or of all, or nothing."""
    if value is None or (isinstance(value, (list, tuple)) and not value):
        return (default,) * dims
    items = [int(value)] if isinstance(value, int) else [int(item) for item in value]
    return tuple(items * dims) if len(items) == 1 else tuple(items)
