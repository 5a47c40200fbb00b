"""How metrics change with the share of training data: curves with intervals, and what each recipe loses."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from desali.errors import DataError
from desali.evaluation.comparison import compare
from desali.evaluation.models import Model, gather
from desali.evaluation.options import RESAMPLES
from desali.evaluation.predictions import Predictions
from desali.evaluation.results import LEAST_PATIENTS, Comparison, Estimate
from desali.evaluation.statistics import Floats, interval, resample_weights
from desali.evaluation.table import estimate_text
from desali.output.columns import columns

CURVES = ("accuracy", "macro recall", "macro F1", "macro AUROC")
"""Metrics that are followed; macro recall is also called balanced accuracy."""


@dataclass(frozen=True)
class Loss:
    """What a recipe loses between all of the training data and the smallest fraction.

    Attributes:
        recipe: its name; `minus` is the recipe whose loss is subtracted, or "" for the loss itself.
        metric: one of `CURVES`.
        estimate: metric at 1 minus metric at the smallest fraction (for a pair: the difference of two such losses),
            with its 95 % interval from the patient bootstrap, both fractions and recipes resampled together.
    """

    recipe: str
    minus: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True)
class Robustness:
    """An evaluation for every fraction of the training data.

    Attributes:
        fractions: rising; the last is 1 where all data were used.
        by: what was taken of, "rois" or "patients".
        comparisons: one a fraction.
        losses: of every recipe, and of every two of them; empty without the fraction 1 or with a single one.
        decided: whether there are enough patients for a verdict; with fewer every comparison is *undecided*.
    """

    fractions: tuple[float, ...]
    by: str
    comparisons: tuple[Comparison, ...]
    losses: tuple[Loss, ...]
    decided: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return asdict(self)

    def curve(self, recipe: str, metric: str) -> list[Estimate]:
        """The metric of one recipe at each fraction.

        Raises:
            DataError: no such recipe, or a metric that the data do not define.
        """
        found = [one.metrics[metric] for c in self.comparisons for one in c.evaluations if one.recipe == recipe
                 and metric in one.metrics]  # fmt: skip
        if len(found) != len(self.fractions):
            raise DataError(f"{recipe}: has no {metric} at every fraction")
        return found


def robustness(
    predictions: Mapping[float, Sequence[Predictions]], by: str, *, resamples: int = RESAMPLES, seed: int = 0
) -> Robustness:
    """Curves from predictions at each fraction, as `desali.experiments.run` gives them.

    Raises:
        DataError: nothing given, or different evaluation sets.
    """
    if not predictions:
        raise DataError("nothing to follow: give predictions for at least one fraction")
    fractions = tuple(sorted(predictions))
    comparisons = tuple(compare(predictions[f], resamples=resamples, curve_resamples=100, seed=seed) for f in fractions)
    losses: tuple[Loss, ...] = ()
    if len(fractions) > 1 and fractions[-1] == 1:
        losses = _losses(gather(predictions[fractions[0]]), gather(predictions[1.0]), resamples, seed)
    return Robustness(fractions, by, comparisons, losses, comparisons[0].patients >= LEAST_PATIENTS)


def _losses(least: Sequence[Model], full: Sequence[Model], resamples: int, seed: int) -> tuple[Loss, ...]:
    patients = len(full[0].patients)
    weights = np.concatenate([np.ones((1, patients), np.int64), resample_weights(patients, resamples, seed)])
    small = {model.recipe: _curves(model, weights) for model in least}
    lost = {model.recipe: _curves(model, weights) - small[model.recipe] for model in full}
    pairs = [("", name) for name in lost]
    names = list(lost)
    pairs += [(names[b], names[a]) for a in range(len(names)) for b in range(a + 1, len(names))]
    result = []
    for minus, name in pairs:
        values = lost[name] - (lost[minus] if minus else 0)
        for k, metric in enumerate(CURVES):
            if not np.isnan(values[k, 0]):
                low, high = interval(values[k, 1:])
                result.append(Loss(name, minus, metric, Estimate(float(values[k, 0]), float(low), float(high))))
    return tuple(result)


def _curves(model: Model, weights: Any) -> Floats:
    """`CURVES` [4, b] of the resamples `weights` [b, patients], means over the trainings."""
    metrics, _ = model.metrics(weights, weights[:1])
    return np.stack([metrics[name].mean(0) for name in CURVES])


def format_robustness(result: Robustness, metric: str = "macro F1") -> str:
    """The curves of one metric and the losses as text."""
    first = result.comparisons[0]
    names = [one.recipe for one in first.evaluations]
    seeds = {one.recipe: one.seeds for one in first.evaluations}
    lines = [
        f"Data: {first.data}; origin: {first.origin}",
        f"{first.rois} ROIs of {first.patients} patients; fractions of the training {result.by}; "
        f"seeds: {', '.join(sorted({str(len(s)) for s in seeds.values()}))} a recipe",
        "",
        f"{metric} with 95 % intervals (bootstrap over patients)",
        "",
    ]
    rows = [["fraction", *names]]
    for k, fraction in enumerate(result.fractions):
        cells = [result.curve(name, metric)[k] for name in names]
        rows.append([f"{100 * fraction:g} %", *map(estimate_text, cells)])
    lines += columns(rows)
    if result.losses:
        verdict = "" if result.decided else f"; fewer than {LEAST_PATIENTS} patients: undecided whatever the interval"
        lines += ["", f"Lost in {metric} from 100 % to {100 * result.fractions[0]:g} % of the data{verdict}", ""]
        rows = [
            [f"{one.recipe} - {one.minus}" if one.minus else one.recipe,
             estimate_text(one.estimate, signed=True)]
            for one in result.losses if one.metric == metric
        ]  # fmt: skip
        lines += columns(rows)
    return "\n".join(lines)


def robustness_csv(result: Robustness) -> str:
    """One row a fraction, recipe and metric, with interval and spread over the trainings."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["fraction", "by", "recipe", "metric", "value", "low", "high", "least", "greatest", "seeds"])
    for fraction, comparison in zip(result.fractions, result.comparisons, strict=True):
        for one in comparison.evaluations:
            for name, e in one.metrics.items():
                spread = one.spread[name]
                row = [e.value, e.low, e.high, spread.least, spread.greatest, len(one.seeds)]
                writer.writerow([fraction, result.by, one.recipe, name, *row])
    return text.getvalue()
