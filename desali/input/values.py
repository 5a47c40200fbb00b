"""JSON and TOML as plain values, no deeper and with no longer integers than `desali.limits` says."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from desali.errors import DesaliError
from desali.limits import DIGITS, NESTING

_DIGITS = re.compile(r"[0-9_]{200,}")


def parse_json(text: str, name: str, error: type[DesaliError], advice: str) -> Any:
    """The value of a JSON text.

    Args:
        name: of the file, for a message.
        error: what is raised.
        advice: what to do.

    Raises:
        error: not JSON, too deep, an integer too long, or text that holds half a character.
    """
    try:
        value = json.loads(text, parse_int=_whole)
    except _TooLong as found:
        raise error(f"{name}: not JSON that can be read (an integer of {found})") from None
    except RecursionError:
        raise error(f"{name}: not JSON that can be read (objects in objects too deep); {advice}") from None
    except ValueError as found:
        raise error(f"{name}: not JSON ({one_line(found)}); {advice}") from None
    check_values(value, name, error, advice)
    return value


def parse_toml(text: str, name: str, error: type[DesaliError], advice: str) -> dict[str, Any]:
    """The table of a TOML text; the arguments and errors are those of `parse_json`."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    for match in _DIGITS.finditer(text):
        too_long = DIGITS.exceeded(len(match[0]))
        if too_long:
            raise error(f"{name}: not TOML that can be read (a number of {too_long})")
    try:
        value: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise error(f"{name}: tables in tables too deep to read; {advice}") from None
    except Exception as found:  # ValueError and its kin; the parser lets some of others through
        raise error(f"{name}: not TOML ({one_line(found)}); {advice}") from None
    check_values(value, name, error, advice)
    return value


class _TooLong(Exception):
    """An integer beyond the limit."""


def _whole(text: str) -> int:
    too_long = DIGITS.exceeded(len(text.lstrip("-")))
    if too_long:
        raise _TooLong(too_long)
    return int(text)


def check_values(value: Any, name: str, error: type[DesaliError], advice: str) -> None:
    """Raise an error for values too deep, and for text that no file and no terminal can hold."""
    most = NESTING.value
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        one, depth = stack.pop()
        if isinstance(one, str):
            if not one.isascii() and any("\ud800" <= letter <= "\udfff" for letter in one):
                raise error(f"{name}: holds text with half a character; {advice}")
        elif isinstance(one, dict | list):
            if depth > most:
                raise error(f"{name}: holds objects in objects of {NESTING.exceeded(depth)}")
            if isinstance(one, dict):
                stack += [(key, depth + 1) for key in one]
                stack += [(item, depth + 1) for item in one.values()]
            else:
                stack += [(item, depth + 1) for item in one]


def one_line(error: BaseException | str) -> str:
    """The text of an error, or a text, for a message: one short, printable line."""
    text = " ".join(str(error).split())[:120] or type(error).__name__
    return text if text.isprintable() else ascii(text)[:160]
