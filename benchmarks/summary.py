"""One table of all measurements, losses first: `python -m benchmarks.summary RESULT.json ... [--into PAGE.md]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.stored import best, fastest, level, load, noise, ratio, reached, verdict
from benchmarks.table import figure, grid
from desali.errors import DataError, DesaliError
from desali.output.files import write_text

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
Result = dict[str, Any]
_MACHINES = "abcdefgh"
_AGAINST = {
    "bandwidth": "a copy of as many bytes",
    "layers": "the fastest of `F.conv_transpose2d` and the phase convolution",
}


@dataclass
class Line:
    """What one row of the table holds: like jobs against one kind of baseline.

    Attributes:
        machine: the letter of the file that it was measured in.
        kind: of the measurements; "bandwidth" is a fraction of a copy's, "cost" no contest.
        values: (number, job) of each measurement; a ratio below 1 is a loss.
        verdicts: of those that something was asked of.
    """

    job: str
    against: str
    machine: str
    kind: str
    values: list[tuple[float, str]] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    wanted: str = ""

    @property
    def worst(self) -> float:
        """The least number of the row."""
        return min(value for value, _ in self.values)

    @property
    def lost(self) -> bool:
        """Whether something is slower, or larger, than the other."""
        return self.kind not in ("bandwidth", "cost") and self.worst < 1

    @property
    def rank(self) -> tuple[int, float]:
        """Where the row stands: what missed what was asked, then what is slower than the other, then the rest."""
        return (0 if "missed" in self.verdicts else 1 if self.lost else 2, self.worst)

    def cells(self) -> list[str]:
        """The row as text."""
        shown = sorted(value for value, _ in self.values)
        least, most = (self._text(shown[0]), self._text(shown[-1]))
        if self.lost:
            least = f"**{least}, a loss**"
        which = min(self.values)[1] if len(self.values) > 1 else ""
        met = f"{sum(word != 'missed' for word in self.verdicts)} of {len(self.verdicts)}" if self.verdicts else "-"
        if "missed" in self.verdicts:
            met = f"**{met}**"
        count = len(self.values)
        return [self.job, self.against, least, which, most if count > 1 else "", self.wanted or "-", met, self.machine]

    def _text(self, value: float) -> str:
        return figure(self.kind, value)


def lines(measured: Result, machine: str) -> list[Line]:
    """The rows that one file gives; curves stay in the full tables."""
    found: dict[tuple[str, str], Line] = {}
    for result in measured["results"]:
        if result["kind"] == "curve":
            continue
        for target, entry, value in _compared(result):
            job, which = _job(result)
            against = _AGAINST.get(result["case"], entry["name"])
            line = found.setdefault((job, against), Line(job, against, machine, result["kind"]))
            line.values.append((value, which))
            if target is not None:
                line.verdicts.append(verdict(target, value))
                line.wanted = line._text(target["at_least"])
    return list(found.values())


def _compared(result: Result) -> list[tuple[Result | None, Result, float]]:
    """Each target with the baseline that counts; without targets, the best of all baselines."""
    if result["targets"]:
        return list(reached(result))
    entry = fastest(result)
    if result["kind"] == "bandwidth":
        entry = best(result, ["copy that allocates" if result["facts"]["allocates"] else "copy into a buffer"])
    value = None if entry is None else ratio(result, entry)
    return [] if entry is None or value is None else [(None, entry, value)]


def _job(result: Result) -> tuple[str, str]:
    """The row that a result belongs to, and its name inside the row."""
    facts, job = result["facts"], str(result["job"])
    match result["case"]:
        case "bandwidth":
            return str(facts["op"]), job.partition(", ")[2]
        case "record":
            name, _, rest = job.removeprefix("second record of ").partition(", ")
            return f"a second `record` of {name}", rest
        case "memory":
            return "bytes that a recording holds", str(facts["network"])
        case "layers":
            job = "every convolution of four networks, transposed"
            where = f"{facts['network']} {facts['layer']}"
            return f"{job}, at its own share of non-zeros" if facts["own"] else _density(job, facts), where
        case "conv1":
            return _density("AlexNet's conv1, transposed", facts), ""
        case "neurons" if result["kind"] == "cost":
            return f"all of: {job}", ""
        case "figure":
            return f"the figure job on {facts['network']}: {facts['maps']} maps", ""
        case "drawn":
            return f"figures of {facts['network']}, drawn: {facts['maps']} maps", ""
    return job, ""


def _density(job: str, facts: Result) -> str:
    return f"{job}, {'dense' if facts['density'] == 1 else format(facts['density'], '.2g') + ' non-zero'}"


def _machine(measured: Result, letter: str) -> str:
    facts = measured["machine"]
    where = facts.get("gpu") or f"{facts['cpu']}, {facts['threads']} threads of {facts['cores']} cores, {level(facts)}"
    noisy = f"; **{noise(facts)}**" if noise(facts) else ""
    scale = "" if measured["scale"] == "full" else f"; **a {measured['scale']} run, not numbers to quote**"
    versions = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    return f"{letter}: {facts['date'][:10]}, {where}; {versions}; commit {facts['commit']}{noisy}{scale}."


def render(files: Sequence[Result]) -> str:
    """The table of all files, and a line about the machine of each.

    Raises:
        DataError: there is nothing to show.
    """
    found = [line for letter, measured in zip(_MACHINES, files, strict=False) for line in lines(measured, letter)]
    if not found:
        raise DataError("the measurements hold nothing to show")
    heads = ["job", "against", "worst", "in", "best", "at least", "met", "run"]
    table = grid(heads, [line.cells() for line in sorted(found, key=lambda line: line.rank)])
    machines = [_machine(measured, letter) for letter, measured in zip(_MACHINES, files, strict=False)]
    return "\n\n".join([table, "Runs. " + " ".join(machines)]) + "\n"


def insert(document: str, table: str) -> str:
    """Put a table between the document's markers.

    Raises:
        DataError: the markers are not there, once each and in order.
    """
    before, found, rest = document.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed or BEGIN in rest or END in after:
        raise DataError(f"the document must hold {BEGIN} and, after it, {END}, once each")
    return f"{before}{BEGIN}\n\n{table.strip()}\n\n{END}{after}"


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), help="Document whose marked part is replaced; else print.")
def main(files: tuple[Path, ...], into: Path | None) -> None:
    """Make the summary of one or more JSON files."""
    try:
        table = render([load(path) for path in files])
        if into is None:
            click.echo(table)
        else:
            if not into.is_file():
                raise DataError(f"{into}: no such document")
            write_text(into, insert(into.read_text(encoding="utf-8"), table))
    except DesaliError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
