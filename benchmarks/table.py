"""All measurements as Markdown: `python -m benchmarks.table RESULT.json`; `benchmarks.summary` is the short form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from benchmarks.stored import best, fastest, level, load, noise, ratio, reached, verdict
from desali.errors import DesaliError

Result = dict[str, Any]


def seconds(value: float | None) -> str:
    """A time with three digits and a fitting unit."""
    if value is None:
        return "-"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}" if value * factor < 1000 else f"{value * factor:.0f} {unit}"
    return f"{value * 1e9:.3g} ns"


def size(value: float | None) -> str:
    """Bytes in kB, MB or GB (powers of ten)."""
    if value is None:
        return "-"
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}" if value / factor < 1000 else f"{value / factor:.0f} {unit}"
    return f"{value:.0f} B"


def times(value: float | None) -> str:
    """A ratio; losses say so."""
    if value is None:
        return "-"
    return f"{value:.3g}x" if value >= 1 else f"**{value:.2f}x, a loss**"


def figure(kind: str, value: float) -> str:
    """A ratio as text: a share of a copy, what desali costs in times of the other, or how many times faster it is."""
    if kind == "bandwidth":
        return f"{value:.0%}"
    return f"costs {1 / value:.3g}x" if kind == "cost" else f"{value:.3g}x"


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _machine(measured: Result) -> str:
    facts = measured["machine"]
    where = facts.get("gpu") or f"{facts['cpu']}, {facts['threads']} threads of {facts['cores']} cores"
    versions = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    lines = [
        f"Measured {facts['date']} on {facts['device']}: {where}. Core: {facts['core']}, SIMD {level(facts)} "
        f"(torch: {facts['torch_cpu_capability']}), backend {facts['backend']}. desali {facts['desali']}, commit "
        f"{facts['commit']}; {versions}; Python {facts['python']}; {facts['platform']}.",
        "float32, random weights and inputs with fixed seeds; median [quartiles] of the runs. Before anything is "
        "timed, results must agree to max|difference| / max|reference| < 1e-5.",
    ]
    if noise(facts):
        lines.append(f"**The machine was {noise(facts)} before the run.**")
    if measured["scale"] != "full":
        lines.append(f"**A {measured['scale']} run: few and short measurements, not the numbers to quote.**")
    return "\n\n".join(lines)


def _targets(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        for target, entry, value in reached(result):
            shown, least, aim = (figure(result["kind"], one) for one in (value, target["at_least"], target["aim"]))
            word = verdict(target, value)
            rows.append([result["job"], entry["name"], shown, least, aim, f"**{word}**" if word == "missed" else word])
    return grid(["job", "against", "measured", "at least", "aim", "verdict"], rows) if rows else ""


def _time(results: Sequence[Result]) -> str:
    blocks = []
    for result in results:
        rows = []
        for entry in result["entries"]:
            spread = (
                "-" if entry["median"] is None else f"[{seconds(entry['q1'])}, {seconds(entry['q3'])}], {entry['runs']}"
            )
            each = "" if entry["units"] == 1 or entry["median"] is None else seconds(entry["median"] / entry["units"])
            own = entry["name"] == result["ours"][0]
            difference = "reference" if entry["difference"] is None else f"{entry['difference']:.0e}"
            rows.append(
                [
                    f"**{entry['name']}**" if own else entry["name"], seconds(entry["median"]), spread, each,
                    "" if own else times(ratio(result, entry)),
                    difference if entry["median"] is not None else "-", entry["note"],
                ]
            )  # fmt: skip
        notes = []
        if "path" in result["facts"]:
            notes.append(f"Kernel chosen: {result['facts']['path']}.")
        if "first_record_seconds" in result["facts"]:
            notes.append(
                f"The first `record` of a network exports it once: {seconds(result['facts']['first_record_seconds'])}, "
                "not in the times."
            )
        heads = ["", "time", "quartiles, runs", "per map", "desali is faster by", "difference", "note"]
        if not any(row[3] for row in rows):
            heads, rows = heads[:3] + heads[4:], [row[:3] + row[4:] for row in rows]
        blocks.append("\n\n".join([f"**{result['job']}**", grid(heads, rows), *notes]))
    return "\n\n".join(blocks)


def _cost(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        own = best(result, result["ours"])
        for entry in result["entries"]:
            if own is not None and entry["name"] not in result["ours"]:
                shown = f"{1 / (ratio(result, entry) or float('nan')):.3g}x"
                rows.append([result["job"], seconds(own["median"]), entry["name"], seconds(entry["median"]), shown])
    return grid(["job", "desali", "beside", "its time", "desali costs"], rows)


def _layers(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        facts, ours = result["facts"], result["entries"][1]
        other = fastest(result) or ours
        rate = facts["flop"] * facts["density"] / ours["median"] / 1e9
        rows.append(
            [
                facts["network"], facts["layer"], "x".join(map(str, facts["weight"])), str(facts["batch"]),
                f"{facts['density']:.0%}{', its own' if facts['own'] else ''}", seconds(ours["median"]),
                seconds(other["median"]), other["name"], times(ratio(result, other)), f"{rate:.0f}",
                facts["path"],
            ]
        )  # fmt: skip
    heads = ["network", "layer", "weight", "batch", "non-zero", "desali", "fastest other", "which", "faster by",
             "GFLOP/s on non-zeros", "kernel"]  # fmt: skip
    return grid(heads, rows)


def _bandwidth(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        facts, (ours, copy, clone, reference) = result["facts"], result["entries"]
        rates = [facts["bytes"] / entry["median"] / 1e9 for entry in (ours, copy, clone)]
        like = clone if facts["allocates"] else copy
        rows.append(
            [
                facts["op"], facts["shape"], size(facts["bytes"]), *(f"{rate:.1f}" for rate in rates),
                f"{like['median'] / ours['median']:.0%} of the {like['name']}",
                f"{copy['median'] / ours['median']:.0%}", times(ratio(result, reference)),
            ]
        )  # fmt: skip
    heads = ["op", "shape", "bytes moved", "desali GB/s", "copy into a buffer GB/s", "copy that allocates GB/s",
             "fraction of the like copy", "of the copy into a buffer", "faster than the reference by"]  # fmt: skip
    return grid(heads, rows)


def _memory(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        for entry in result["entries"]:
            own = entry["name"] == result["ours"][0]
            less = "" if own else times(ratio(result, entry))
            rows.append([result["facts"]["network"], entry["name"], size(entry["facts"]["bytes"]), less])
    return grid(["network", "", "bytes held", "desali holds less by"], rows)


def _curve(results: Sequence[Result]) -> str:
    blocks = []
    for result in results:
        entries = result["entries"]
        names = list(dict.fromkeys(entry["name"] for entry in entries))
        rows = []
        for x in dict.fromkeys(entry["facts"]["x"] for entry in entries):
            at = {entry["name"]: entry for entry in entries if entry["facts"]["x"] == x}
            clocks = [seconds(at[name]["median"]) if name in at else "-" for name in names]
            peaks = [size(at[name]["facts"]["peak_bytes"]) if name in at else "-" for name in names]
            rows.append([str(x), *clocks, *peaks])
        heads = [result["facts"]["axis"], *(f"{name}: time" for name in names), *(f"{name}: peak" for name in names)]
        blocks.append(f"**{result['job']}**\n\n{grid(heads, rows)}")
    return "\n\n".join(blocks)


TITLES = {
    "neurons": "Single neurons", "top9": "Top neurons of five layers", "layer": "A whole layer",
    "conv1": "The step to the image", "bandwidth": "Ops that move memory", "memory": "Memory held by a recording",
    "record": "A second recording beside the forward pass",
    "layers": "Transposed convolutions layer by layer", "figure": "The figure job", "drawn": "Figures drawn",
    "scaling": "Scaling", "workers": "Workers",
}  # fmt: skip
_FORMS: dict[str, Callable[[Sequence[Result]], str]] = {
    "time": _time, "cost": _cost, "bandwidth": _bandwidth, "memory": _memory, "curve": _curve,
}  # fmt: skip


def render(measured: Result) -> str:
    """All measurements of one file as Markdown."""
    blocks = [_machine(measured)]
    targets = _targets(measured["results"])
    if targets:
        blocks += ["### Targets", targets]
    for case, group in groupby(measured["results"], key=lambda result: result["case"]):
        blocks.append(f"### {TITLES.get(case, case)}")
        for kind, results in groupby(group, key=lambda result: result["kind"]):
            blocks.append((_layers if case == "layers" else _FORMS[kind])(list(results)))
    return "\n\n".join(blocks) + "\n"


def document(files: Sequence[Path]) -> str:
    """The tables of several files, each under its name.

    Raises:
        DataError: a file that is missing or foreign.
    """
    return "\n\n".join(f"## {path.stem}\n\n{render(load(path))}" for path in files)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def main(files: tuple[Path, ...]) -> None:
    """Print the tables of one or more JSON files."""
    try:
        click.echo(document(files))
    except DesaliError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
