"""How often recipes that are alike are called different, and how often a difference is found.

    python -m benchmarks.recipes            # a table for docs/evaluation.md, in about three minutes on one core
    python -m benchmarks.recipes --json F   # and every number

Patients are unequally difficult (Beta with mean 0.8), each recipe suits each patient more or less (s.d. 0.06), and each
training moves the accuracy of its recipe as a whole (s.d. `SEED_SD`). The tests are those of `desali evaluate`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from desali.evaluation.flips import flip_sums
from desali.evaluation.statistics import ALPHA, Floats, resample_weights
from desali.evaluation.trainings import crossed, of_samples, over_trainings

PATIENTS = (10, 20, 50)
TRAININGS = (3, 5)
SEED_SD = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05)
DIFFERENCES = (0.02, 0.05, 0.1)
POWER_SD = (0.0, 0.02, 0.04)
ROIS = 40
RUNS = 1000
BLOCK = 100
FLIPS, RESAMPLES = 1999, 1000
PAIRED = 0.5
"""Share of a training's variance that the two recipes' trainings of one seed have in common."""


def simulate(
    patients: int, trainings: int, sd: float, difference: float, *, runs: int = RUNS, unequal: bool = False,
    paired: bool = True, seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    """Share of runs in which each test, and the rule of `desali evaluate`, says "differs"."""
    rng = np.random.default_rng([seed, patients, trainings, round(1e4 * sd), round(1e4 * difference)])
    pairs = [(k, k) for k in range(trainings)] if paired else None
    counts: dict[str, float] = {}
    for start in range(0, runs, BLOCK):
        block = min(BLOCK, runs - start)
        rois = rng.geometric(1 / ROIS, patients) if unequal else np.full(patients, ROIS)
        ease = rng.beta(8, 2, (patients, 1, block))
        common = rng.normal(0, sd * np.sqrt(PAIRED), (trainings, block)) if paired else 0.0
        correct = []
        for side in (0.5, -0.5):
            own = rng.normal(0, sd * np.sqrt(1 - PAIRED if paired else 1), (trainings, block))
            suits = rng.normal(0, 0.06 / np.sqrt(2), (patients, 1, block))
            share = np.clip(ease + suits + side * difference + (common + own), 0, 1)
            correct.append(rng.binomial(rois[:, None, None], share).astype(float))  # [patients, trainings, runs]
        for name, p in _p_values(correct[0], correct[1], rois, pairs, start).items():
            counts[name] = counts.get(name, 0) + float((p < ALPHA).sum())
    return {name: count / runs for name, count in counts.items()}


def _p_values(one: Floats, other: Floats, rois: Any, pairs: Any, seed: int) -> dict[str, Floats]:
    total = rois.sum()
    over_patients = flip_sums((one - other).mean(1), rois, FLIPS, seed).p
    metrics = [x.sum(0) / total for x in (one, other)]  # [trainings, runs]
    by_training = over_trainings(metrics[0], metrics[1], pairs, int(total)).p
    weights = resample_weights(len(rois), RESAMPLES, seed)
    size = (weights @ rois)[:, None]
    sampled = [np.stack([weights @ x[:, k] / size for k in range(x.shape[1])]) for x in (one, other)]
    both = of_samples(crossed(sampled[0], sampled[1], pairs, seed)).p
    two = np.maximum(over_patients, by_training)
    return {
        "patients alone": over_patients, "trainings alone": by_training, "crossed bootstrap": both,
        "patients and trainings": two, "rule": np.maximum(two, both),
    }  # fmt: skip


def results(runs: int) -> Iterator[dict[str, Any]]:
    """Every cell: its facts and the share of rejections."""
    for difference in (0.0, *DIFFERENCES):
        for patients, trainings, sd in product(PATIENTS, TRAININGS, SEED_SD if not difference else POWER_SD):
            for unequal, paired in product((False, True), (True, False)) if not difference else [(True, True)]:
                facts = {"patients": patients, "trainings": trainings, "seed_sd": sd, "difference": difference,
                         "unequal": unequal, "paired": paired}  # fmt: skip
                found = simulate(patients, trainings, sd, difference, runs=runs, unequal=unequal, paired=paired)
                yield {**facts, **found}


def table(cells: list[dict[str, Any]]) -> str:
    """Two tables in Markdown: rejections of alike recipes (worst over sizes and pairing), and power."""

    def worst(name: str, **facts: Any) -> str:
        return f"{100 * max(c[name] for c in cells if all(c[k] == v for k, v in facts.items())):.1f}"

    heads = [f"{p} x {t}" for p, t in product(PATIENTS, TRAININGS)]
    lines = ["| seed s.d. | test | " + " | ".join(heads) + " |", "|" + "---|" * (2 + len(heads))]
    for sd in SEED_SD:
        for name in ("patients alone", "patients and trainings", "rule"):
            row = [worst(name, patients=p, trainings=t, seed_sd=sd, difference=0.0)
                   for p, t in product(PATIENTS, TRAININGS)]  # fmt: skip
            lines.append(f"| {sd:g} | {name} | " + " | ".join(row) + " |")
    lines += ["", "| difference | seed s.d. | " + " | ".join(heads) + " |", "|" + "---|" * (2 + len(heads))]
    for difference, sd in product(DIFFERENCES, POWER_SD):
        row = [worst("rule", patients=p, trainings=t, seed_sd=sd, difference=difference)
               for p, t in product(PATIENTS, TRAININGS)]  # fmt: skip
        lines.append(f"| {difference:g} | {sd:g} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cells = []
    for cell in results(given.runs):
        cells.append(cell)
        print(f"{len(cells)}: {cell}", file=sys.stderr)
    print(table(cells))
    if given.json:
        given.json.write_text(json.dumps({"runs": given.runs, "cells": cells}, indent=1) + "\n")


if __name__ == "__main__":
    main()
