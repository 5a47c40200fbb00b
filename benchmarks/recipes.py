"""How often recipes that are alike are called different, and how often a difference is found.

    python -m benchmarks.recipes --json benchmarks/results/inference/recipes.json --into docs/evaluation.md

About five minutes of one core.

Patients are unequally difficult (Beta with mean 0.8), each recipe suits each patient more or less (s.d. 0.06), and each
training moves the accuracy of its recipe as a whole (s.d. `SEED_SD`). The tests are those of `desali evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, product
from typing import Any

import numpy as np

from benchmarks.simulated import Cells, head, main, row
from desali.evaluation import Predictions, compare
from desali.evaluation.flips import flip_sums
from desali.evaluation.results import PRIMARY
from desali.evaluation.statistics import ALPHA, Floats, resample_weights
from desali.evaluation.trainings import crossed, of_samples, over_trainings

PATIENTS = (10, 20, 50)
TRAININGS = (3, 5)
SEED_SD = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05)
DIFFERENCES = (0.02, 0.05, 0.1)
POWER_SD = (0.0, 0.02, 0.04)
ROIS = 40
RUNS = 2000
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


def whole(patients: int, trainings: int, sd: float, *, runs: int, seed: int = 0) -> dict[str, float]:
    """Share of runs in which `compare` itself calls alike recipes different, by macro F1 of three classes."""
    rng = np.random.default_rng([5, seed, patients, trainings, round(1e4 * sd)])
    found = 0
    for run in range(runs):
        rois = rng.geometric(1 / ROIS, patients)
        owner = np.repeat(np.arange(patients), rois)
        labels = rng.integers(0, 3, len(owner))
        ease = rng.beta(8, 2, patients)
        common = rng.normal(0, sd * np.sqrt(PAIRED), trainings)
        told = []
        for recipe in ("one", "other"):
            suits = rng.normal(0, 0.06 / np.sqrt(2), patients)
            for training in range(trainings):
                moved = common[training] + rng.normal(0, sd * np.sqrt(1 - PAIRED))
                right = rng.random(len(owner)) < (ease + suits + moved)[owner]
                said = np.where(right, labels, (labels + rng.integers(1, 3, len(owner))) % 3)
                probabilities = np.full((len(owner), 3), 0.1, np.float32)
                probabilities[np.arange(len(owner)), said] = 0.8
                names = np.char.add("P", owner.astype(str))
                told.append(Predictions(recipe, probabilities, labels, names, ("a", "b", "c"), "", "", "", training))
        (pair,) = compare(told, resamples=400, curve_resamples=40, seed=run).pairs
        found += pair.verdict[PRIMARY] == "differs"
    return {"verdict": found / runs}


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


def whole_results(runs: int) -> Iterator[dict[str, Any]]:
    """The cells that go through `compare` as it is: fewer, for it does much else."""
    for patients, trainings in product((10, 20), TRAININGS):
        sd = 0.04
        facts = {"patients": patients, "trainings": trainings, "seed_sd": sd, "whole": True}
        yield {**facts, **whole(patients, trainings, sd, runs=runs)}


def outlying(runs: int) -> Iterator[dict[str, Any]]:
    """How often sign flips alone reject models that are alike on average, but not symmetrically so.

    One patient in ten is nine times as much worse as the others are better; 400 ROIs each, so that it shows.
    """
    for patients, step in product(PATIENTS, (0.01, 0.02, 0.04)):
        rng = np.random.default_rng([11, patients, round(1000 * step)])
        rois = np.full(patients, 10 * ROIS)
        ahead = np.where(rng.random((patients, runs)) < 0.1, -9 * step, step)
        ease = rng.uniform(0.3, 0.8, (patients, runs))
        hits = [rng.binomial(10 * ROIS, np.clip(ease + side * ahead, 0, 1)) for side in (0.5, -0.5)]
        p = flip_sums((hits[0] - hits[1]).astype(float), rois, FLIPS).p
        yield {"patients": patients, "step": step, "sign flips": float((p < ALPHA).mean())}


def cells_of(runs: int) -> Iterator[dict[str, Any]]:
    """Everything that is simulated."""
    return chain(results(runs), whole_results(max(1, runs // 5)), outlying(min(runs, 2000)))


def tables(cells: Cells) -> dict[str, str]:
    """Rejections of alike recipes (the worst over sizes and pairing), power, `compare` itself, broken symmetry."""

    def worst(name: str, **facts: Any) -> str:
        found = [c[name] for c in cells if name in c and all(c.get(k) == v for k, v in facts.items())]
        return f"{100 * max(found):.1f}"

    heads = [f"{patients} x {trainings}" for patients, trainings in product(PATIENTS, TRAININGS)]
    columns = [{"patients": patients, "trainings": trainings} for patients, trainings in product(PATIENTS, TRAININGS)]
    alike = head("seed s.d.", "test", *heads)
    for sd in SEED_SD:
        for name, said in (("patients alone", "sign flips alone"), ("patients and trainings", "sign flips and t"),
                           ("rule", "**all three**")):  # fmt: skip
            alike.append(row(f"{sd:g}", said, *(worst(name, seed_sd=sd, difference=0.0, **one) for one in columns)))
    power = head("difference", "seed s.d.", *heads)
    for difference, sd in product(DIFFERENCES, POWER_SD):
        found = [worst("rule", seed_sd=sd, difference=difference, **one) for one in columns]
        power.append(row(f"{difference:g}", f"{sd:g}", *found))
    through = [c for c in cells if "whole" in c]
    whole_table = head("patients x trainings", *(f"{c['patients']} x {c['trainings']}" for c in through))
    whole_table.append(row("differs", *(f"{100 * c['verdict']:.1f}" for c in through)))
    steps = sorted({c["step"] for c in cells if "step" in c})
    broken = head("patients", *(f"{step:g} better, {9 * step:g} worse" for step in steps))
    for patients in PATIENTS:
        broken.append(row(str(patients), *(worst("sign flips", patients=patients, step=step) for step in steps)))
    found = {"recipes": alike, "power": power, "whole": whole_table, "outlying": broken}
    return {name: "\n".join(lines) for name, lines in found.items()}


if __name__ == "__main__":
    main(__doc__, cells_of, tables, RUNS)
