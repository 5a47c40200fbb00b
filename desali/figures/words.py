"""Numbers as captions and tables print them."""

from __future__ import annotations

from collections.abc import Sequence

from desali.output.words import MINUS, signed


def between(interval: Sequence[float] | None) -> str:
    """An interval; "" for None."""
    return "" if interval is None else f"{signed(interval[0])} to {signed(interval[1])}"


def number(value: float | None) -> str:
    """With one digit; a dash for None."""
    return "-" if value is None else f"{value:.1f}"


def percent(share: float) -> str:
    """A share; what is above 0 is never called 0."""
    return "0 %" if share == 0 else "< 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


def short(value: float) -> str:
    """Two digits."""
    return f"{value:.2g}".replace("-", MINUS)
