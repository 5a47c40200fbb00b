"""Measurements as a picture: `python -m benchmarks.chart RESULT.json -o docs/benchmarks.png`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.stored import fastest, load, ratio
from desali.errors import DataError, DesaliError
from desali.output.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIN, LOSS, COPY = "#2b6ca3", "#c4442d", "#7a7a7a"
Result = dict[str, Any]
Panel = Callable[["Axes"], None]
MOST_TICKS = 6
SHORT_NOTE = 24


def _plain_ticks(axes: Axes, which: str) -> None:
    """Few ticks of a logarithmic axis, as plain numbers: 1, 2 and 5 of each decade, or where they are many 1 alone."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    many = sum(low <= step * 10.0**power <= high for power in range(-9, 13) for step in (1, 2, 5)) > MOST_TICKS
    axis.set_major_locator(LogLocator(subs=(1.0,) if many else (1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _named(entry: Result) -> str:
    """The entry's name, with its note where that is a short one."""
    note = str(entry.get("note") or "")
    return f"{entry['name']}\n({note})" if 0 < len(note) <= SHORT_NOTE else str(entry["name"])


def _speedups(result: Result) -> Panel:
    """How many times longer every baseline takes; 1 is desali."""

    def draw(axes: Axes) -> None:
        bars = [
            (_named(entry), ratio(result, entry)) for entry in result["entries"] if entry["name"] not in result["ours"]
        ]
        shown = [(name, value) for name, value in bars if value is not None]
        names, values = [name for name, _ in shown], [value for _, value in shown]
        axes.barh(names, values, color=[WIN if value >= 1 else LOSS for value in values])
        for row, value in enumerate(values):
            axes.text(value, row, f" {value:.3g}x", va="center", fontsize=7)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xlim(min(0.5, *values) / 1.5, max(2, *values) * 2.5)
        _plain_ticks(axes, "x")
        axes.invert_yaxis()
        axes.set_xlabel("time of the baseline / time of desali")

    return draw


def _layers(results: list[Result], network: str) -> Panel:
    """Ratio to the fastest baseline by layer, one line for each density."""

    def draw(axes: Axes) -> None:
        chosen = [result for result in results if result["facts"]["network"] == network]
        lines: dict[str, list[Result]] = {}
        for result in chosen:
            facts = result["facts"]
            lines.setdefault("its own" if facts["own"] else f"{facts['density']:.0%}", []).append(result)
        for density, line in lines.items():
            values = [ratio(result, fastest(result) or result["entries"][0]) or float("nan") for result in line]
            axes.plot(range(1, len(line) + 1), values, "o-", markersize=3, label=f"{density} non-zero")
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set_yscale("log")
        _plain_ticks(axes, "y")
        axes.set_xlabel("convolution, from the image up")
        axes.set_ylabel("fastest other / desali")
        axes.legend(fontsize=7)

    return draw


def _records(results: list[Result]) -> Panel:
    """Time of a second record over the module's own forward; the limit is drawn."""

    def draw(axes: Axes) -> None:
        names = [result["job"].removeprefix("second record of ") for result in results]
        values = [1 / (ratio(result, result["entries"][0]) or float("nan")) for result in results]
        limit = 1 / results[0]["targets"][0]["at_least"]
        axes.barh(names, values, color=[WIN if value <= limit else LOSS for value in values])
        axes.axvline(1, color="black", linewidth=0.8)
        axes.axvline(limit, color=COPY, linewidth=0.8, linestyle="--", label=f"limit, {limit:.2f}")
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelsize=5)
        axes.set_xlabel("time of a second record / time of the module's forward")
        axes.legend(fontsize=7)

    return draw


def _bandwidth(results: list[Result]) -> Panel:
    """Bandwidth of every op and of the copy that does the like."""

    def draw(axes: Axes) -> None:
        names, ours, copies = [], [], []
        for result in results:
            facts, (own, copy, clone, _) = result["facts"], result["entries"]
            names.append(f"{facts['op']}, {facts['shape']}")
            ours.append(facts["bytes"] / own["median"] / 1e9)
            copies.append(facts["bytes"] / (clone if facts["allocates"] else copy)["median"] / 1e9)
        axes.barh(names, ours, color=WIN, label="desali")
        axes.plot(copies, names, "|", color=COPY, markersize=9, markeredgewidth=2, label="copy of as many bytes")
        axes.invert_yaxis()
        axes.set_xlabel("GB/s that must move")
        axes.legend(fontsize=7)

    return draw


def _curve(result: Result, quantity: str) -> Panel:
    """Time or peak memory against the curve's quantity."""

    def draw(axes: Axes) -> None:
        for name in dict.fromkeys(entry["name"] for entry in result["entries"]):
            line = [entry for entry in result["entries"] if entry["name"] == name]
            x = [entry["facts"]["x"] for entry in line]
            if quantity == "time":
                y = [entry["median"] for entry in line]
            else:
                y = [(entry["facts"]["peak_bytes"] or float("nan")) / 1e6 for entry in line]
            axes.plot(x, y, "o-", markersize=3, label=name)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted({entry["facts"]["x"] for entry in result["entries"]}))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.set_yscale("log")
        _plain_ticks(axes, "y")
        axes.set_xlabel(result["facts"]["axis"])
        axes.set_ylabel("seconds" if quantity == "time" else "peak memory, MB")
        axes.legend(fontsize=7)

    return draw


def panels(measured: Result) -> list[tuple[str, Panel]]:
    """Title and drawing of every panel that the measurements give."""
    results = measured["results"]
    found: list[tuple[str, Panel]] = []
    for result in results:
        if result["kind"] == "time" and result["case"] not in ("layers", "record"):
            found.append((result["job"], _speedups(result)))
    again = [result for result in results if result["case"] == "record"]
    if again:
        found.append(("second record of the same shapes", _records(again)))
    by_layer = [result for result in results if result["case"] == "layers"]
    for network in dict.fromkeys(result["facts"]["network"] for result in by_layer):
        found.append((f"transposed convolutions of {network}", _layers(by_layer, network)))
    moved = [result for result in results if result["kind"] == "bandwidth"]
    if moved:
        found.append(("ops that move memory", _bandwidth(moved)))
    found += [(result["job"], _held(result)) for result in results if result["kind"] == "memory"]
    for result in results:
        if result["kind"] == "curve":
            for quantity in ("time", "memory"):
                found.append((f"{quantity}: {result['job']}", _curve(result, quantity)))
    return found


def _held(result: Result) -> Panel:
    def draw(axes: Axes) -> None:
        names = [entry["name"] for entry in result["entries"]]
        values = [entry["facts"]["bytes"] / 1e6 for entry in result["entries"]]
        axes.barh(names, values, color=[WIN if name in result["ours"] else COPY for name in names])
        for row, value in enumerate(values):
            axes.text(value, row, f" {value:.3g} MB", va="center", fontsize=7)
        axes.set_xlim(0, max(values) * 1.25)
        axes.invert_yaxis()
        axes.set_xlabel("MB held")

    return draw


def draw(measured: Result) -> Figure:
    """All panels on one figure.

    Raises:
        DataError: there is nothing to draw.
    """
    import textwrap

    from matplotlib.figure import Figure

    found = panels(measured)
    if not found:
        raise DataError("the measurements hold nothing to draw")
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(6.4 * columns, 3.6 * rows), layout="constrained")
    for index, (title, panel) in enumerate(found):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title("\n".join(textwrap.wrap(title, 62)), fontsize=8)
        axes.tick_params(labelsize=7)
        panel(axes)
    facts = measured["machine"]
    where = facts.get("gpu") or f"{facts['cpu']}, {facts['threads']} threads"
    figure.suptitle(
        f"desali {facts['desali']}, {where}, float32, {facts['date']}, {measured['scale']} run", fontsize=10
    )
    return figure


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: the JSON file's name with .png.")
def main(file: Path, output: Path | None) -> None:
    """Draw the chart of a JSON file."""
    target = output or file.with_suffix(".png")
    try:
        figure = draw(load(file))
        with atomic_path(target) as temporary:
            figure.savefig(temporary, dpi=110)
    except DesaliError as error:
        raise click.ClickException(str(error)) from None
    click.echo(target)


if __name__ == "__main__":
    main()
