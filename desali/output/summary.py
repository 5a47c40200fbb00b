"""What an object says of itself in a console and in a notebook: a few facts, on one line or as a small table."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

Facts = Sequence[tuple[str, str]]
"""(label, value) pairs in order; those without a value are left out."""

NAMES_SHOWN = 6
LONGEST = 80


def line(kind: str, name: str, facts: Facts) -> str:
    """One line: Kind(name: fact, fact, ...); a count goes before its label, any other value behind."""
    said = ", ".join(_short(_said(label, value)) for label, value in facts if value)
    return f"{kind}({': '.join(part for part in (_short(name), said) if part)})"


def table(kind: str, name: str, facts: Facts) -> str:
    """A small HTML table; everything in it is escaped."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(_short(label))}</th>"
        f"<td style='text-align:left'>{html.escape(_short(value))}</td></tr>"
        for label, value in facts
        if value
    )
    head = f"{html.escape(kind)} {html.escape(_short(name))}".strip()
    return f"<table><caption style='text-align:left'><b>{head}</b></caption>{rows}</table>"


def names(values: Sequence[str]) -> str:
    """The first few of some names, and how many there are if they are more."""
    shown = ", ".join(map(str, values[:NAMES_SHOWN]))
    return shown if len(values) <= NAMES_SHOWN else f"{shown}, ... ({len(values)})"


def size(count: float) -> str:
    """A number of bytes, e.g. "3.1 MB"."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def shape(value: Any) -> str:
    """A shape as text, e.g. "3 x 224 x 224"."""
    return " x ".join(map(str, value))


def if_known(fact: Callable[[], str]) -> str:
    """A fact, or "" where it cannot be found out: an object shows itself whatever became of its parts."""
    try:
        return fact()
    except Exception:
        return ""


def _said(label: str, value: str) -> str:
    counted = value[:1].isdigit() and label != "seed"
    return f"{value} {label}".strip() if counted or not label else f"{label} {value}"


def _short(text: str) -> str:
    one_line = " ".join(str(text).split())
    return one_line if len(one_line) <= LONGEST else f"{one_line[: LONGEST - 3]}..."
