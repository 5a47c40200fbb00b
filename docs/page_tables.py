"""Tables in pages: made of rows, and put between the marks of a page. For the scripts beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def filled(text: str, start: str, end: str, table: str) -> str:
    """The text with a table between the line `start` and the next line `end`.

    Raises:
        SystemExit: there are no such lines.
    """
    pattern = re.compile(rf"{re.escape(start)}\n.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"the page has no line {start!r} with a line {end!r} below it")
    return pattern.sub(lambda _: f"{start}\n{table}\n{end}", text)
