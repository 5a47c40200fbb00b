"""Options as data: a field of a dataclass says its help, range and flag; TOML, command line and docs are made of that.

A field is an option if its default is `option(...)`. Its name is the key in a TOML file, its type decides what is
accepted, and a value from a file, from the command line or from Python is checked by the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from desali.errors import DesaliError, UnknownNameError

_METADATA = "option"
_WORDS = {int: ("a whole number", "whole numbers"), float: ("a number", "numbers"), str: ("text", "names")}
_COUNTS = {0: "a list of", 2: "two", 3: "three"}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; an open end is not among them. Neither are NaN and infinite numbers."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high or math.isinf(self.high) else value <= self.high
        return above and below

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"above {self.low:g}" if self.open_low else f"at least {self.low:g}"
        high = f"2^{math.log2(self.high):g}" if self.high >= 2**53 else f"{self.high:g}"
        return f"in {'(' if self.open_low else '['}{self.low:g}, {high}{')' if self.open_high else ']'}"


SEED = Range(0, 2**63, open_high=True)
FROM_0, FROM_1, ABOVE_0 = Range(0), Range(1), Range(0, open_low=True)
SHARE = Range(0, 1, open_low=True)
BELOW_1 = Range(0, 1, open_high=True)


_KNOWN: dict[type, Mapping[str, Option]] = {}


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: of the field; the key in a TOML file.
        kind: bool, int, float or str; of tuples the type of an item.
        default: the field's.
        help: what it is, in a sentence or two.
        choices: the words that are accepted; empty for any.
        range: the numbers that are accepted; None for all finite ones.
        length: of a tuple; None for no tuple, 0 for any length.
        optional: whether None is accepted.
        metavar: what the help shows for a value.
        shown: the default in words, where the field's own says too little.
        flags: on the command line; "" in front of a name that is an argument there.
        off: the flag that switches it off, of bool alone.
    """

    name: str
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...]
    range: Range | None
    length: int | None
    optional: bool
    metavar: str
    shown: str
    flags: tuple[str, ...]
    off: str

    @property
    def default_text(self) -> str:
        """The default as a reader of the help or the docs sees it; "" for none."""
        if self.shown or self.default in (None, ()):
            return self.shown
        if isinstance(self.default, bool):
            return "yes" if self.default else "no"
        values = self.default if self.length is not None else (self.default,)
        return ",".join(one if isinstance(one, str) else f"{one:g}" for one in values)

    def checked(self, value: Any, name: str = "") -> Any:
        """`value`, as a file or a caller gives it, in the field's own type.

        Args:
            name: what a message calls the option; its own name if empty.

        Raises:
            DesaliError: another type, or out of range. UnknownNameError: none of the choices.
        """
        name = name or self.name
        if value is None and self.optional:
            return None
        if value == () == self.default:
            return ()
        if self.length is None:
            return self._one(value, name)
        few = not isinstance(value, list | tuple) or (self.length and len(value) != self.length)
        if few or not all(map(self._is_kind, value)):
            count = _COUNTS.get(self.length, f"{self.length}")
            form = f"; expected {self.metavar}" if self.metavar else ""
            raise DesaliError(f"{name} must be {count} {_WORDS[self.kind][1]}, got {value!r}{form}")
        if self.kind is str and not all(one.strip() for one in value or ("",)):
            raise DesaliError(f"{name} must be names, none of them empty, got {list(value)!r}")
        return tuple(self._one(one, name) for one in value)

    def parsed(self, text: str) -> Any:
        """The value that `text` on the command line means; see `checked`."""
        parts = [part.strip() for part in text.split(",")] if self.length is not None else [text]
        if self.length is not None and self.kind is str:
            parts = [part for part in parts if part]
        try:
            values: list[Any] = [self.kind(part) for part in parts]
        except ValueError:
            values = parts  # said with the option's words
        return self.checked(values if self.length is not None else values[0])

    def _is_kind(self, value: Any) -> bool:
        if self.kind in (int, float):
            return isinstance(value, Integral if self.kind is int else Real) and not isinstance(value, bool)
        return isinstance(value, self.kind)

    def _one(self, value: Any, name: str) -> Any:
        if self.choices and value not in self.choices:
            raise UnknownNameError(name, str(value), self.choices)
        if not self._is_kind(value):
            wanted = _WORDS[self.kind][0] if self.kind in _WORDS else "true or false" if self.kind is bool else "text"
            raise DesaliError(f"{name} must be {wanted}, got {value!r}")
        if self.kind in (int, float):
            value = self.kind(value)
            if not math.isfinite(value) or (self.range is not None and value not in self.range):
                raise DesaliError(f"{name} must {self._demand()}, got {value!r}")
        return value

    def _demand(self) -> str:
        if self.range is None:
            return "be a finite number"
        text = str(self.range)
        if text.startswith("in "):
            return f"lie {text}"
        return f"be a number {text}" if text.startswith("above") else f"be {text}"


def option(
    default: Any,
    help: str,
    *,
    range: Range | None = None,
    choices: Sequence[str] = (),
    metavar: str = "",
    shown: str = "",
    flag: str | Sequence[str] | None = None,
    off: str = "",
) -> Any:
    """The default of a dataclass field that is an option; the arguments are explained at `Option`.

    Args:
        choices: of text; those of a `Literal` need not be repeated.
        flag: one or several; by default "--" and the field's name with hyphens.
    """
    flags = None if flag is None else (flag,) if isinstance(flag, str) else tuple(flag)
    said = {
        "help": help, "range": range, "choices": tuple(choices), "metavar": metavar, "shown": shown,
        "flags": flags, "off": off,
    }  # fmt: skip
    return field(default=default, metadata={_METADATA: said})


def options_of(owner: type) -> Mapping[str, Option]:
    """The options of a dataclass by name, in the order of its fields."""
    if owner not in _KNOWN:
        _KNOWN[owner] = _options(owner)
    return _KNOWN[owner]


def _options(owner: type) -> dict[str, Option]:
    hints = get_type_hints(owner)
    found = {}
    for one in fields(owner):
        if _METADATA in one.metadata:
            assert one.default is not MISSING
            kind, choices, length, optional = _type(hints[one.name])
            said = dict(one.metadata[_METADATA])
            plain = "--" + one.name.replace("_", "-")
            if said["flags"] is None:
                said["flags"] = (plain,)
            if kind is bool and not said["off"]:
                said["off"] = "--no-" + plain[2:]
            said["choices"] = said["choices"] or choices
            found[one.name] = Option(
                name=one.name, kind=kind, default=one.default, length=length, optional=optional, **said
            )
    return found


def check_fields(made: Any) -> None:
    """Put every option of a frozen dataclass into its own type, from its `__post_init__`.

    Raises:
        DesaliError, UnknownNameError: see `Option.checked`.
    """
    for name, one in options_of(type(made)).items():
        object.__setattr__(made, name, one.checked(getattr(made, name)))


def checked_table(owner: type, table: Mapping[str, Any], what: str, prefix: str = "") -> dict[str, Any]:
    """The values of a TOML table whose keys are options of `owner`.

    Args:
        what: what a message calls its keys, e.g. "key of [data]".
        prefix: what a message puts before a key, e.g. "data.".

    Raises:
        UnknownNameError: an unknown key; the message suggests the nearest. DesaliError: see `Option.checked`.
    """
    known = options_of(owner)
    for name in table:
        if name not in known:
            raise UnknownNameError(what, name, known)
    return {name: known[name].checked(value, f"{prefix}{name}") for name, value in table.items()}


def _type(hint: Any) -> tuple[type, tuple[str, ...], int | None, bool]:
    """Kind, choices, length and whether None is allowed, of a type annotation."""
    if get_origin(hint) in (Union, UnionType):
        (inner,) = (one for one in get_args(hint) if one is not type(None))
        return (*_type(inner)[:3], True)
    if get_origin(hint) is Literal:
        return str, get_args(hint), None, False
    if get_origin(hint) is tuple:
        items = get_args(hint)
        return items[0], (), 0 if items[-1] is Ellipsis else len(items), False
    kind: type = hint
    return kind, (), None, False
