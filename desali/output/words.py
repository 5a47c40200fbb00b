"""How sentences and tables list names and print numbers with a sign."""

from __future__ import annotations

from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
MOST_LISTED = 3
"""Layers that a sentence names one by one."""


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them: "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def listed_layers(names: Sequence[str]) -> str:
    """Layers in forward order: each by its name, or where there are many their number, the first and the last."""
    if len(names) > MOST_LISTED:
        return f"{len(names)} layers from {names[0]} to {names[-1]}"
    return listed(names)


def signed(value: float | None) -> str:
    """With its sign and two digits; a dash for None."""
    return "-" if value is None else f"{value:+.2f}".replace("-", MINUS)
