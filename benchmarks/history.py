"""Results by commit in one small table: `python -m benchmarks.history RESULT.json ...`, without files it is shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.machine import ROOT
from benchmarks.stored import level, load, noise
from benchmarks.summary import lines
from benchmarks.table import grid
from desali.errors import DataError, DesaliError
from desali.output.files import write_text

HISTORY = ROOT / "benchmarks" / "results" / "history.csv"
HEADS = ("commit", "date", "cpu", "threads", "level", "noise", "scale", "job", "against", "worst", "best")


def rows(measured: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row for each line of the summary: the worst and the best factor of its cases."""
    facts = measured["machine"]
    where = (
        facts["commit"], facts["date"][:10], facts.get("gpu") or facts["cpu"], str(facts["threads"]), level(facts),
        noise(facts), measured["scale"],
    )  # fmt: skip
    return [
        (*where, line.job, line.against, f"{line.worst:.3g}", f"{max(value for value, _ in line.values):.3g}")
        for line in lines(measured, "")
    ]


def read(path: Path) -> list[tuple[str, ...]]:
    """The rows of a history; none if there is no file.

    Raises:
        DataError: it is no history.
    """
    if not path.exists():
        return []
    found = [tuple(row) for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8")))]
    if not found or found[0] != HEADS or any(len(row) != len(HEADS) for row in found):
        raise DataError(f"{path}: is no history of benchmarks; its first line must be {','.join(HEADS)}")
    return found[1:]


def add(known: Sequence[tuple[str, ...]], more: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Both, oldest first; a job measured again on the same commit and machine takes the place of the old one."""
    job = HEADS.index("job")

    def key(row: tuple[str, ...]) -> tuple[str, ...]:
        return (row[0], *row[2:5], row[6], row[job])

    again = {key(row) for row in more}
    found = [*(row for row in known if key(row) not in again), *more]
    return sorted(found, key=lambda row: (row[1], row[4], *row[job : job + 2]))


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--history", type=click.Path(path_type=Path), default=HISTORY, help="The table that is added to.")
def main(files: tuple[Path, ...], history: Path) -> None:
    """Add results to the history, or show it."""
    try:
        found = read(history)
        if not files:
            click.echo(grid(HEADS, found))
            return
        found = add(found, [row for file in files for row in rows(load(file))])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([HEADS, *found])
        write_text(history, text.getvalue())
    except DesaliError as error:
        raise click.ClickException(str(error)) from None
    click.echo(history)


if __name__ == "__main__":
    main()
