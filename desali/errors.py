"""What desali raises. Every message is one line: what was wrong, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


class DesaliError(Exception):
    """Base of the errors that a user can act on; the command line prints it on one line and exits with code 2.

    Its text is one line that every terminal can print, whatever it quotes from a file.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if text.isprintable():
            return text
        text = " ".join(text.split())
        return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class UnknownNameError(DesaliError, ValueError):
    """A name that is not among the known ones; the message suggests `meant`, or the nearest by its letters."""

    def __init__(self, kind: str, name: str, choices: Iterable[str], meant: str | None = None) -> None:
        known = list(choices)
        near = meant or nearest(name, known)
        hint = "" if near is None else f"did you mean {near!r}? "
        super().__init__(f"unknown {kind} {name!r}: {hint}choose from {', '.join(known)}")


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that `name` was probably meant to be, whatever its case; None if it is like none of them."""
    return next(iter(nearest_of(name, choices, 1, 0.4)), None)


def nearest_of(name: str, choices: Iterable[str], count: int, least: float = 0.0) -> list[str]:
    """At most so many choices by their likeness to a name, whatever its case, the most alike first.

    Args:
        least: likeness in [0, 1] that each has.
    """
    known = {choice.lower(): choice for choice in choices}
    return [known[one] for one in difflib.get_close_matches(name.lower(), known, count, least)]


def look_up(kind: str, name: str, known: Mapping[str, Entry]) -> Entry:
    """The entry of that name.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest.
    """
    if name not in known:
        raise UnknownNameError(kind, name, known)
    return known[name]


class UnsupportedLayerError(DesaliError):
    """The network holds an operation that cannot be reversed; the message names the module and the way out."""


class LayerError(DesaliError, ValueError):
    """A kind of layer that cannot be registered; the message names the kind, what it lacks and what to write."""


class MethodError(DesaliError, ValueError):
    """A method that cannot be applied to this network (for instance: no ReLU to act on)."""


class GradientWarning(UserWarning):
    """Layers that decide like a rectifier but are no ReLU keep their gradient: the method does not act on them."""


class NotFiniteWarning(UserWarning):
    """A network's output holds NaN or infinity; the message says where it comes from. An error on the command line."""


class SeedError(DesaliError, ValueError):
    """A seed that does not fit the layer it is put on."""


class ImageError(DesaliError, ValueError):
    """An image file that is missing, truncated, without pixels, or a box outside the image."""


class SeveralPagesError(ImageError):
    """An image file with several pages, slices or frames of which none was named; `pages` says how many."""

    def __init__(self, message: str, pages: int) -> None:
        super().__init__(message)
        self.pages = pages


class WeightsError(DesaliError, ValueError):
    """A weights file that is missing, unreadable, foreign, or does not match the architecture."""


class DataError(DesaliError, ValueError):
    """A data set that cannot be used as it is."""


class OutputError(DesaliError, OSError):
    """An output path that cannot be written."""
