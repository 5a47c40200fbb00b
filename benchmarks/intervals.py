"""How often the 95 % intervals of `desali evaluate` hold the truth, with few patients and patients of unequal size.

    python -m benchmarks.intervals --json benchmarks/results/inference/intervals.json --into docs/evaluation.md

About two minutes of one core.

Patients are unequally difficult (Beta), their ROIs are 40 each or geometric with mean 40, and classes are unevenly
mixed in them. The truth is that of 200,000 patients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from benchmarks.simulated import Cells, head, main, row
from desali.evaluation import calibration
from desali.evaluation.flips import BOUNDED_PATIENTS, flip_sums
from desali.evaluation.jackknife import log_interval, logit_interval, t_interval
from desali.evaluation.statistics import METRICS, Floats, interval, metrics_of, resample_weights

PATIENTS = (5, 10, 20, 50)
ROIS = 40
CLASSES = 3
RIGHT = {"0.6": (3.0, 2.0), "0.8": (4.0, 1.0), "0.95": (9.5, 0.5)}
"""Mean accuracy -> Beta distribution of the patients' own."""
ERRORS = (0.0, 0.05, 0.1)
SPREAD = (0.0, 0.1)
"""Standard deviation over patients of confidence minus accuracy."""
RUNS = 1000
MANY = 200_000
FLIPS, RESAMPLES = 1999, 1000


def sizes(rng: np.random.Generator, patients: int, unequal: bool) -> Any:
    """ROIs of each patient."""
    return rng.geometric(1 / ROIS, patients) if unequal else np.full(patients, ROIS)


def confusions(rng: np.random.Generator, rois: Any, shape: tuple[float, float]) -> Floats:
    """Confusion matrices [patients, classes, classes] of patients with so many ROIs."""
    mixture = rng.dirichlet(np.ones(CLASSES), len(rois))
    right = rng.beta(*shape, len(rois))
    row = (np.full((CLASSES, CLASSES), 1.0) - np.eye(CLASSES)) / (CLASSES - 1)
    chance = mixture[:, :, None] * (right[:, None, None] * np.eye(CLASSES) + (1 - right[:, None, None]) * row)
    flat = rng.multinomial(rois, chance.reshape(len(rois), -1))
    return flat.reshape(len(rois), CLASSES, CLASSES).astype(float)


def of_metrics(patients: int, unequal: bool, level: str, runs: int) -> dict[str, float]:
    """Coverage of accuracy and macro F1 by the logit jackknife, and by the percentile bootstrap beside it."""
    rng = np.random.default_rng([patients, unequal, round(100 * float(level))])
    truth = metrics_of(confusions(rng, sizes(rng, MANY, unequal), RIGHT[level]).sum(0))
    held: dict[str, int] = {}
    for run in range(runs):
        matrices = confusions(rng, sizes(rng, patients, unequal), RIGHT[level])
        total = matrices.sum(0)
        value, without = metrics_of(total), metrics_of(total - matrices)
        weights = resample_weights(patients, 500, run)
        ways = {
            "jackknife": logit_interval(value, without, int(total.sum())),
            "percentile": interval(metrics_of(np.tensordot(weights, matrices, 1))),
        }
        for way, (low, high) in ways.items():
            for name in ("accuracy", "macro F1"):
                k = METRICS.index(name)
                held[f"{name}, {way}"] = held.get(f"{name}, {way}", 0) + bool(low[k] <= truth[k] <= high[k])
    return {name: count / runs for name, count in held.items()}


def of_differences(patients: int, unequal: bool, level: str, runs: int) -> dict[str, float]:
    """Coverage of differences of accuracies by inverted sign flips and by the jackknife, and of a log loss.

    Patients' own differences are symmetric about their mean, as sign flips assume, or skewed: few gain much.
    """
    rng = np.random.default_rng([7, patients, unequal, round(100 * float(level))])
    clipped = float(np.clip(rng.beta(*RIGHT[level], MANY), 0.2, 0.95).mean())
    held: dict[str, int] = {}
    for run in range(runs):
        rois = sizes(rng, patients, unequal)
        ease = np.clip(rng.beta(*RIGHT[level], patients), 0.2, 0.95)
        ahead = {"": 0.05 + rng.uniform(-0.1, 0.1, patients), "skewed, ": 0.1 * ease * rng.exponential(size=patients)}
        mean = {"": 0.05, "skewed, ": 0.1 * clipped}
        ways: dict[str, Any] = {}
        for name, gain in ahead.items():
            hits = [rng.binomial(rois, np.clip(p, 0, 1)).astype(float) for p in (ease, ease - gain)]
            apart = hits[0] - hits[1]
            value, without = apart.sum() / rois.sum(), (apart.sum() - apart) / (rois.sum() - rois)
            ways[f"{name}jackknife"] = (*t_interval(value, without), mean[name])
            if patients >= BOUNDED_PATIENTS:
                found = flip_sums(apart, rois, FLIPS, run)
                ways[f"{name}inverted sign flips"] = (found.low, found.high, mean[name])
        own = rng.gamma(2.0, 0.25, patients)  # each patient's mean log loss
        loss = rng.gamma(rois * 1.0, own)  # sums of exponential losses
        value, without = loss.sum() / rois.sum(), (loss.sum() - loss) / (rois.sum() - rois)
        most = calibration.MOST["log loss"]
        ways["log loss"] = (*log_interval(value, without, int(rois.sum()), most), 0.5)
        for way, (low, high, truth) in ways.items():
            held[way] = held.get(way, 0) + bool(low <= truth <= high)
    return {name: count / runs for name, count in held.items()}


def of_errors(patients: int, unequal: bool, error: float, spread: float, runs: int) -> dict[str, float]:
    """Coverage of the calibration error; means of the error and of the bias-corrected one; whether it is held."""
    rng = np.random.default_rng([9, patients, unequal, round(1000 * error), round(1000 * spread)])
    found = {"ECE": 0.0, "mean ECE": 0.0, "mean bias-corrected": 0.0, "holds its value": 0.0}
    for run in range(runs):
        rois = sizes(rng, patients, unequal)
        owner = np.repeat(np.arange(patients), rois)
        confidence = rng.uniform(0.4, 1, len(owner))
        shift = rng.uniform(-spread, spread, patients) * np.sqrt(3)
        room = np.minimum(1, 2 * (1 - confidence + error))  # probabilities stay within [0, 1] and means as they are
        chance = confidence - error + np.clip(shift[owner], -error - 1 + confidence, 1 - confidence + error) * room
        happened = rng.random(len(owner)) < np.clip(chance, 0, 1)
        sums = calibration.bin_sums(confidence, happened, owner, patients)
        value = float(calibration.calibration_error(sums.sum(0)))
        drawn = calibration.weighted(resample_weights(patients, RESAMPLES, run), sums)
        samples = calibration.calibration_error(drawn)
        low, high = calibration.error_interval(value, samples, calibration.centred_error(drawn, sums.sum(0)), patients)
        found["ECE"] += low <= error <= high
        found["mean ECE"] += value
        found["mean bias-corrected"] += calibration.bias_corrected(value, samples)
        found["holds its value"] += low <= value <= high
    return {name: total / runs for name, total in found.items()}


def results(runs: int) -> Iterator[dict[str, Any]]:
    """Every cell: its facts and what was found."""
    ways: tuple[tuple[str, Callable[..., dict[str, float]]], ...] = (
        ("metrics", of_metrics), ("differences", of_differences)
    )  # fmt: skip
    for patients, unequal in product(PATIENTS, (False, True)):
        for kind, way in ways:
            for level in RIGHT:
                yield {"kind": kind, "patients": patients, "unequal": unequal, "accuracy": level,
                       **way(patients, unequal, level, runs)}  # fmt: skip
        for error, spread in product(ERRORS, SPREAD):
            yield {"kind": "ECE", "patients": patients, "unequal": unequal, "error": error, "spread": spread,
                   **of_errors(patients, unequal, error, spread, runs)}  # fmt: skip


SHOWN = {
    "accuracy, jackknife": "accuracy: logit jackknife",
    "macro F1, jackknife": "macro F1: logit jackknife",
    "macro F1, percentile": "macro F1: percentile bootstrap (not used)",
    "log loss": "log loss: log jackknife",
    "inverted sign flips": "difference: inverted sign flips",
    "jackknife": "difference: jackknife",
    "skewed, inverted sign flips": "skewed difference: inverted sign flips",
    "skewed, jackknife": "skewed difference: jackknife",
    "ECE": "ECE",
}
COLUMNS = tuple(product(PATIENTS, (False, True)))


def tables(cells: Cells) -> dict[str, str]:
    """Coverage in percent, least to greatest over the cells of a kind; and means of calibration errors."""
    heads = [f"{patients} {'unequal' if unequal else 'equal'}" for patients, unequal in COLUMNS]

    def ranges(form: str, name: str, scale: float = 1, **facts: Any) -> list[str]:
        texts = []
        for patients, unequal in COLUMNS:
            facts |= {"patients": patients, "unequal": unequal}
            values = [scale * c[name] for c in cells if name in c and all(c.get(k) == v for k, v in facts.items())]
            texts.append(f"{min(values):{form}}-{max(values):{form}}" if values else "-")
        return texts

    held = head("interval", *heads)
    held += [row(said, *ranges(".0f", name, 100)) for name, said in SHOWN.items()]
    errors = head("true ECE", "mean of", *heads)
    for error, (name, said) in product(ERRORS, (("mean ECE", "ECE"), ("mean bias-corrected", "bias-corrected"))):
        errors.append(row(f"{error:g}", said, *ranges(".3f", name, error=error)))
    return {"intervals": "\n".join(held), "errors": "\n".join(errors)}


if __name__ == "__main__":
    main(__doc__, results, tables, RUNS)
