"""Can a reader who sees no labels tell a network before a stage from the one after it? Sheets to ask people with.

    python -m benchmarks.blinded sheets two_stage --runs demo/runs --output sheets --key key.json
    python -m benchmarks.blinded score answers.txt --key key.json

Each sheet shows the same eight channels of one layer in both networks, drawn at random from those that are alive in
both: the nine strongest regions of each and their reconstructions, A above B. Which of the two is the network after
is drawn for each sheet and stands in the key alone. A line of the answers is a sheet's number and A or B.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from desali.comparison.lineage import lineage
from desali.comparison.networks import check_together, subject
from desali.comparison.probe_set import probe_set
from desali.comparison.sheet import Asked, Sheet, sheet
from desali.comparison.tracing import ALIVE
from desali.experiments.lineages import inherited, pairs_of
from desali.experiments.options import LineageOptions
from desali.experiments.probe_images import drawn, held_out
from desali.figures.drawing.grid import save
from desali.figures.drawing.panel import Cell, Column, Grid, Panel, Words
from desali.figures.sheet_grid import arrange
from desali.output.files import write_json

CHANNELS = 8


def make(recipe: str, runs: Path, output: Path, count: int, seed: int) -> dict[str, Any]:
    """Write the sheets; returns the key."""
    options = LineageOptions(seed=seed)
    pairs, _ = pairs_of([recipe], runs)
    nets = pairs[-1].networks()
    images = drawn(held_out([recipe], runs, options), options)
    layers = inherited(nets, images)
    change = lineage(nets.before, nets.after, images, labels=(), layers=layers, random_networks=0, seed=seed)
    changed = [layer for layer in change if not layer.equal]
    pair = [subject("before", nets.before), subject("after", nets.after)]
    probe = probe_set(images, None, (), check_together(pair))
    rng = np.random.default_rng(seed)
    after_first = rng.permutation([k % 2 == 0 for k in range(count)])
    key: dict[str, Any] = {}
    left: dict[str, list[int]] = {}
    for number in range(1, count + 1):
        layer = changed[(number - 1) % len(changed)]
        alive = np.flatnonzero((layer.firing_before > ALIVE) & (layer.firing_after > ALIVE))
        if len(left.get(layer.name, ())) < CHANNELS:  # no channel stands on two sheets as long as there are others
            left[layer.name] = [int(c) for c in rng.permutation(alive)]
        channels, left[layer.name] = sorted(left[layer.name][:CHANNELS]), left[layer.name][CHANNELS:]
        asked = Asked(layer.name, channels, "activation", "desalinet", 0, seed)
        first = bool(after_first[number - 1])
        path = output / f"sheet-{number:02d}.png"
        save(blind(sheet(pair, [], probe, asked), first, number), path)
        key[str(number)] = {"after": "A" if first else "B", "layer": layer.name, "channels": channels}
        print(f"{path}: {len(channels)} channels", flush=True)
    return {"recipe": recipe, "stage": pairs[-1].title, "seed": seed, "sheets": key}


def blind(made: Sheet, after_first: bool, number: int) -> Grid:
    """The sheet without a word on which network is which; regions and reconstructions only."""
    bands = list(reversed(made.bands)) if after_first else list(made.bands)
    grid, _ = arrange(replace(made, bands=bands), "desalinet")

    def bare(cell: Cell) -> Cell:
        if isinstance(cell, Panel):
            return replace(cell, caption="")
        return replace(cell, text="silent") if isinstance(cell, Words) else cell

    rows = [f"{name}\n{what}" for name in ("A", "B") for what in ("strongest regions", "reconstructions")]
    columns = [Column(f"channel {k}") for k in range(1, len(grid.columns) + 1)]
    return Grid(rows, columns, [[bare(cell) for cell in row] for row in grid.panels], f"Sheet {number}")


def score(answers: Path, key: dict[str, Any]) -> str:
    """How many were right, with the exact interval and the chance of as many by guessing."""
    from scipy.stats import binomtest

    given = dict(line.split()[:2] for line in answers.read_text().splitlines() if line.strip())
    asked = {number: one for number, one in key["sheets"].items() if number in given}
    right = [number for number, one in asked.items() if given[number].upper() == one["after"]]
    if not asked:
        return "no answers that the key knows"
    test = binomtest(len(right), len(asked), 0.5, alternative="greater")
    low, high = binomtest(len(right), len(asked)).proportion_ci(method="exact")
    lines = [
        f"{len(right)} of {len(asked)} right ({len(right) / len(asked):.0%}, 95 % {low:.0%} to {high:.0%}); "
        f"as many by guessing: p {test.pvalue:.3g}"
    ]
    for layer in dict.fromkeys(one["layer"] for one in asked.values()):
        mine = [number for number, one in asked.items() if one["layer"] == layer]
        lines.append(f"  {layer}: {sum(number in right for number in mine)} of {len(mine)}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Make sheets, or score answers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blinded", description=__doc__)
    parser.add_argument("what", choices=("sheets", "score"))
    parser.add_argument("name", help="a recipe, or the file of answers")
    parser.add_argument("--runs", type=Path, default=Path("demo/runs"))
    parser.add_argument("--output", type=Path, default=Path("sheets"))
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--sheets", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.what == "score":
        print(score(Path(args.name), json.loads(args.key.read_text())))
        return 0
    args.output.mkdir(parents=True, exist_ok=True)
    write_json(args.key, make(args.name, args.runs, args.output, args.sheets, args.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
