"""Docstrings are plain English with `code` in single backticks; outside of it, no character is markup."""

from __future__ import annotations

import re
from typing import Any


def plain(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape, before napoleon reads the sections, what reStructuredText would take for emphasis or a reference."""
    text = "\n".join(lines)
    parts = re.split(r"(`[^`]*`)", text)
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"([*|])|(?<=\w)(_)(?!\w)", lambda found: "\\" + found[0], parts[index])
    lines[:] = "".join(parts).split("\n")


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx; napoleon listens at 500."""
    app.connect("autodoc-process-docstring", plain, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
