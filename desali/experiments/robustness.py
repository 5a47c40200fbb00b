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
from desali.evaluation.jackknife import t_interval
from desali.evaluation.models import Model, gather
from desali.evaluation.options import RESAMPLES
from desali.evaluation.predictions import Predictions
from desali.evaluation.results import Comparison, Estimate, estimate
from desali.evaluation.statistics import Counts, Floats
from desali.evaluation.table import estimate_text, role
from desali.evaluation.trainings import LEAST_TRAININGS, hull, over_trainings, pairing
from desali.output.columns import columns
from desali.output.decode import decode

CURVES = ("macro F1", "accuracy", "macro recall", "macro AUROC")
"""Metrics that are followed; macro recall is also called balanced accuracy."""


@dataclass(frozen=True)
class Loss:
    """What a recipe loses between all of the training data and the smallest fraction.

    Attributes:
        recipe: its name; `minus` is the recipe whose loss is subtracted, or "" for the loss itself.
        metric: one of `CURVES`.
        estimate: metric at 1 minus metric at the smallest fraction (for a pair: the difference of two such losses),
            with its 95 % interval: a jackknife that leaves one patient out of all at once and, with several trainings,
            Student's t over them; it reaches over both.
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

    @classmethod
    def from_dict(cls, value: Any) -> Robustness:
        """What `to_dict` gave.

        Raises:
            DecodeError: a value that is missing or of another type.
        """
        return decode(cls, value)

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
        losses = _losses(gather(predictions[fractions[0]]), gather(predictions[1.0]))
    return Robustness(fractions, by, comparisons, losses, comparisons[0].decided)


def _losses(least: Sequence[Model], full: Sequence[Model]) -> tuple[Loss, ...]:
    patients, rois = len(full[0].patients), len(full[0].labels)
    weights = np.concatenate([np.ones((1, patients), np.int64), 1 - np.eye(patients, dtype=np.int64)])
    if patients == 1:
        weights = weights[:1]
    small = {model.recipe: model for model in least}
    lost = {model.recipe: _lost(model, small[model.recipe], weights) for model in full if model.recipe in small}
    models = {model.recipe: model for model in full}
    pairs = [("", name) for name in lost]
    names = list(lost)
    pairs += [(names[b], names[a]) for a in range(len(names)) for b in range(a + 1, len(names))]
    result = []
    for minus, name in pairs:
        for metric in CURVES:
            mine, theirs = lost[name][metric], lost[minus][metric] if minus else None
            values = mine.mean(0) - (theirs.mean(0) if theirs is not None else 0)
            if np.isnan(values[0]):
                continue
            ends = t_interval(values[0], values[1:])
            trained = len(mine) if theirs is None else min(len(mine), len(theirs))
            if trained >= LEAST_TRAININGS and not np.isnan(ends).any():
                other = np.zeros_like(mine) if theirs is None else theirs
                paired = [(k, k) for k in range(len(mine))] if theirs is None else pairing(models[name], models[minus])
                found = over_trainings(mine[:, 0], other[:, 0], paired, rois)
                ends = hull((ends[0], ends[1]), (found.low, found.high))
            result.append(Loss(name, minus, metric, estimate(float(values[0]), *map(float, ends))))
    return tuple(result)


def _lost(full: Model, small: Model, weights: Counts) -> dict[str, Floats]:
    """`CURVES` -> loss of each training [trainings, 1 + patients]; one row where the two were trained unequally."""
    more, less = (model.metrics(weights, weights[:1])[0] for model in (full, small))
    seeds = [[one.seed for one in model.trainings] for model in (full, small)]
    if sorted(seeds[0]) != sorted(seeds[1]):
        return {name: more[name].mean(0, keepdims=True) - less[name].mean(0, keepdims=True) for name in CURVES}
    order = [seeds[1].index(seed) for seed in seeds[0]]
    return {name: more[name] - less[name][order] for name in CURVES}


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
        f"{metric} ({role(metric)} metric) with 95 % intervals (jackknife over patients)",
        "",
    ]
    rows = [["fraction", *names]]
    for k, fraction in enumerate(result.fractions):
        cells = [result.curve(name, metric)[k] for name in names]
        rows.append([f"{100 * fraction:g} %", *map(estimate_text, cells)])
    lines += columns(rows)
    if result.losses:
        verdict = "" if result.decided else f"; {result.comparisons[0].lack}: undecided whatever the interval"
        lines += ["", f"Lost in {metric} from 100 % to {100 * result.fractions[0]:g} % of the data{verdict}"]
        lines += ["(intervals over patients and, where there are several, over trainings; no test)", ""]
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
    writer.writerow(
        ["fraction", "by", "recipe", "metric", "role", "value", "low", "high", "least", "greatest", "seeds"]
    )
    for fraction, comparison in zip(result.fractions, result.comparisons, strict=True):
        for one in comparison.evaluations:
            for name, e in one.metrics.items():
                spread = one.spread[name]
                row = [e.value, *(e.ends or ("", "")), spread.least, spread.greatest, len(one.seeds)]
                writer.writerow([fraction, result.by, one.recipe, name, role(name), *row])
    return text.getvalue()
