"""Dataclasses from the JSON that `dataclasses.asdict` gave, checked type by type."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Made = TypeVar("Made")


class DecodeError(ValueError):
    """A value that does not fit; the message says where it stands and what was expected."""


def decode(owner: type[Made], value: Any, where: str = "") -> Made:
    """An instance of a dataclass whose fields are numbers, texts, tuples, lists, dictionaries and such dataclasses.

    A field that is missing takes its default if it has one.

    Args:
        value: what JSON gave.
        where: of it, for messages.

    Raises:
        DecodeError: a field that is missing or of another type.
    """
    made: Made = _decode(owner, value, where)
    return made


def _decode(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and type(None) in inner:
            return None
        return _decode(next(one for one in inner if one is not type(None)), value, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    if origin is tuple:
        items = _list(value, where)
        kinds = [inner[0]] * len(items) if inner[-1] is Ellipsis else list(inner)
        if len(kinds) != len(items):
            raise DecodeError(f"{where or 'the whole'} must hold {len(kinds)} values, got {len(items)}")
        return tuple(
            _decode(one, item, f"{where}[{k}]") for k, (one, item) in enumerate(zip(kinds, items, strict=True))
        )
    if origin is list:
        return [_decode(inner[0], item, f"{where}[{k}]") for k, item in enumerate(_list(value, where))]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise DecodeError(f"{where or 'the whole'} must be an object, got {_shown(value)}")
        return {str(key): _decode(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    return _plain(kind, value, where)


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise DecodeError(f"{where or 'the whole'} must be an object, got {_shown(value)}")
    hints = get_type_hints(kind)
    found = {}
    for field in dataclasses.fields(kind):
        place = f"{where}.{field.name}" if where else field.name
        default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.name not in value and default:
            continue
        if field.name not in value:
            raise DecodeError(f"{place} is missing")
        found[field.name] = _decode(hints[field.name], value[field.name], place)
    return kind(**found)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise DecodeError(f"{where or 'the whole'} must be a list, got {_shown(value)}")
    return list(value)


def _plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if kind in (int, bool, str) and type(value) is kind:
        return value
    word = {float: "a finite number", int: "a whole number", bool: "true or false", str: "text"}[kind]
    raise DecodeError(f"{where or 'the whole'} must be {word}, got {_shown(value)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
