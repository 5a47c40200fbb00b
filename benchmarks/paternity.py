"""Is every model traced to its parent? `python -m benchmarks.paternity --runs demo/runs` prints the table.

The final models of trained recipes are asked against all stages, all initial weights and random networks; a recipe's
parent is known from its card. Says how many (model, layer) pairs got it right, and whether any random network was
nearer than the parent.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from desali.comparison.paternity import Paternity, paternity
from desali.experiments.lineages import expand, pairs_of
from desali.experiments.options import LineageOptions
from desali.experiments.probe_images import drawn, held_out
from desali.training.chain import chain

LAYERS = ("features.relu1", "features.relu2", "features.relu3", "features.relu4")
"""Of CaffeNet: the inputs of these are what conv1 to conv4 compute."""


def family(names: Sequence[str], runs: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Final models, all that they may come from, and the true parent of each final model."""
    children: dict[str, Any] = {}
    candidates: dict[str, Any] = {}
    parents: dict[str, str] = {}
    for name in names:
        links, _ = chain(name, runs)
        for link in links:
            networks = link.networks()
            if link.start is None and networks.before is not None:
                candidates[f"initial weights of {link.title}"] = networks.before
            elif networks.before is not None:  # the stage before, also where its weights were given
                candidates.setdefault(link.before, networks.before)
            candidates[link.title] = networks.after
        children[links[-1].title] = candidates[links[-1].title]
        parents[links[-1].title] = (
            f"initial weights of {links[-1].title}" if links[-1].start is None else links[-1].before
        )
    return children, candidates, parents


def report(found: Paternity, parents: dict[str, str]) -> tuple[str, bool]:
    """The table and what it says; whether all is as it should be."""
    asked = [(child, layer, found.parent(child, layer)) for child in found.children for layer in found.layers]
    wrong = [(child, layer, got) for child, layer, got in asked if got != parents[child]]
    right = [found.parent(child) == parents[child] for child in found.children]
    randoms = found.random_share.shape[1]
    near = sum(
        bool((found.random_likeness[i, :, k] >= found.likeness[i, found.candidates.index(parents[child]), k]).any())
        for i, child in enumerate(found.children)
        for k in range(len(found.layers))
    )
    lines = [
        found.text(),
        "",
        f"{sum(right)} of {len(right)} final models are assigned to their parent by the mean over these layers, "
        f"{len(asked) - len(wrong)} of {len(asked)} by one layer alone; in {near} of the latter a random network "
        f"({randoms} drawn) is as near as the parent.",
        *(f"  {child}, {layer}: {got}, and not {parents[child]}" for child, layer, got in wrong),
    ]
    return "\n".join(lines), all(right) and not near


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; exit code 1 if a model is assigned to another than its parent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paternity", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("demo/runs"))
    parser.add_argument("--recipes", default="all")
    parser.add_argument("--layers", default=",".join(LAYERS))
    parser.add_argument("--random-networks", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    names = expand(args.recipes)
    pairs_of(names, args.runs)  # refuse what is missing before the images are made
    options = LineageOptions(seed=args.seed)
    images = drawn(held_out(names, args.runs, options), options)
    children, candidates, parents = family(names, args.runs)
    start = time.process_time()
    found = paternity(
        children, candidates, images, args.layers.split(","), args.random_networks, args.seed,
        progress=sys.stderr.isatty(),
    )  # fmt: skip
    text, right = report(found, parents)
    print(text)
    print(f"{len(images)} held-out images; {time.process_time() - start:.0f} s of processor time")
    if args.json:
        args.json.write_text(json.dumps({**found.record, "parents": parents, "rows": found.table()}, indent=1))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
