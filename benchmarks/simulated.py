"""What the simulations of `desali evaluate`'s inference share: cells to JSON, and from JSON to tables in a page."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
Cells = list[Cell]


def main(
    doc: str,
    results: Callable[[int], Iterable[dict[str, Any]]],
    tables: Callable[[Cells], Mapping[str, str]],
    runs: int,
) -> None:
    """Simulate, or read what was simulated; print the tables, or write them into a page between their markers."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=runs, help=f"simulated sets a cell (default: {runs})")
    parser.add_argument("--json", type=Path, help="write every number there")
    parser.add_argument("--stored", type=Path, help="read the numbers of an earlier run instead of simulating")
    parser.add_argument("--into", type=Path, help="write the tables into this page")
    given = parser.parse_args()
    if given.stored:
        cells = json.loads(given.stored.read_text())["cells"]
    else:
        cells = []
        for cell in results(given.runs):
            cells.append(cell)
            print(f"{len(cells)}: {cell}", file=sys.stderr)
    if given.json:
        lines = ",\n".join(json.dumps(cell) for cell in cells)
        given.json.write_text(f'{{"runs": {given.runs}, "cells": [\n{lines}\n]}}\n')
    found = tables(cells)
    if given.into:
        given.into.write_text(filled(given.into.read_text(), found))
    else:
        print("\n\n".join(found.values()))


def filled(page: str, tables: Mapping[str, str]) -> str:
    """The page with each table between its markers."""
    for name, table in tables.items():
        marks = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        pattern = re.escape(marks[0]) + r"\n.*?" + re.escape(marks[1])
        page, count = re.subn(pattern, lambda _, t=table, m=marks: f"{m[0]}\n{t}\n{m[1]}", page, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"expected the markers {marks[0]} and {marks[1]} once, found them {count} times")
    return page


def row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def head(*names: str) -> list[str]:
    """The first two lines of a table."""
    return [row(*names), "|" + "---|" * len(names)]
