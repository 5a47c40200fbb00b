"""CSV as rows of stripped text."""

from __future__ import annotations

import csv
from collections import Counter

from desali.errors import DesaliError
from desali.input.values import one_line
from desali.limits import CELL_CHARACTERS

Row = dict[str, str]


def read_csv(
    text: str, name: str, error: type[DesaliError], delimiter: str = ",", *, exact: bool = False
) -> tuple[list[str], list[Row]]:
    """Column names, and the lines below them; a cell that a line lacks is empty.

    Args:
        name: of the file, for a message.
        error: what is raised.
        exact: refuse lines with more or fewer cells than the header has, and loose quotes.

    Raises:
        error: not CSV, a column named twice, or a cell beyond the limit.
    """
    most = CELL_CHARACTERS.value
    if csv.field_size_limit() < most:
        csv.field_size_limit(most)
    try:
        lines = [line for line in csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=exact) if line]
    except csv.Error as found:
        if "field larger" in str(found):
            said = f"a cell of more than {most} characters; {CELL_CHARACTERS.variable} raises that"
            raise error(f"{name}: {said}") from None
        raise error(f"{name}: cannot be read as a table ({one_line(found)}); expected text with a header") from None
    columns = [cell.strip() for cell in lines[0]] if lines else []
    twice = next((cell for cell, count in Counter(columns).items() if count > 1), None)
    if twice is not None and exact:
        raise error(f"{name}: the column {twice[:80]!r} stands there twice; name each once")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if exact and len(line) != len(columns):
            raise error(f"{name}, line {number}: has not {len(columns)} cells as the header has")
        padded = line + [""] * (len(columns) - len(line))
        rows.append({column: cell.strip() for column, cell in zip(columns, padded, strict=False)})
    return columns, rows
