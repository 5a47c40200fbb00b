"""Evaluation of several models on the same ROIs: metrics with intervals, and every two models compared in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from desali.evaluation.calibration import reliability
from desali.evaluation.models import CLASS_METRICS, Model, gather
from desali.evaluation.notes import notes_on
from desali.evaluation.options import RESAMPLES
from desali.evaluation.paired import Clustered, clustered_mcnemar, holm, mcnemar, sign_flip, sign_flip_of_sums
from desali.evaluation.results import (
    ALL_METRICS,
    LEAST_PATIENTS,
    TESTED,
    ClassMetrics,
    ClusteredTest,
    Comparison,
    Estimate,
    Evaluation,
    Pair,
    Spread,
    UnclusteredTest,
)
from desali.evaluation.statistics import (
    LEVEL,
    METRICS,
    Counts,
    Floats,
    basic_interval,
    interval,
    resample_weights,
    wilson,
)

if TYPE_CHECKING:
    from desali.evaluation.predictions import Predictions

SHIFTED = ("ECE", "class-wise ECE")
"""Resampling moves these up, so their own interval is the basic one, kept at 0 or above."""


def compare(
    predictions: Sequence[Predictions], *, resamples: int = RESAMPLES, curve_resamples: int = 500, seed: int = 0
) -> Comparison:
    """Evaluate each recipe of `predictions` and compare every two.

    Several predictions of one recipe with different seeds are one model: every metric is the mean over them. Patients
    are the independent units: intervals are from a bootstrap that draws patients with replacement, the same draws for
    all models and seeds, with the mean over the seeds taken inside each resample; p-values come from patient-level sign
    flips and a clustered McNemar test.

    Args:
        predictions: of one or more recipes on the same ROIs, in cross-validation pooled over the folds.
        resamples: of the patients.
        curve_resamples: how many of them are used for the average precision, which takes longest.
        seed: of the resamples and of the sign flips, where these are too many to list.

    Raises:
        DataError: nothing given, one recipe and seed twice, or different evaluation sets.
    """
    models = gather(predictions)
    first = predictions[0]
    patients = len(models[0].patients)
    weights = resample_weights(patients, resamples, seed)
    curve_weights = weights[:curve_resamples]
    once = np.ones((1, patients), np.int64)
    points, samples, evaluations = [], [], []  # the first two: metric -> means over the trainings, [1] and [b]
    for model in models:
        point, class_point = model.metrics(once, once)
        sample, class_sample = model.metrics(weights, curve_weights)
        points.append(_means(point))
        samples.append(_means(sample))
        classes = _classes(model, class_point, class_sample, weights)
        evaluations.append(_evaluation(model, point, samples[-1], classes, weights))
    return Comparison(
        first.data,
        first.fingerprint,
        first.origin,
        first.classes,
        len(first.labels),
        patients,
        resamples,
        len(curve_weights),
        seed,
        notes_on(models),
        tuple(evaluations),
        _pairs(models, points, samples, seed),
    )


def _means(metrics: Mapping[str, Floats]) -> dict[str, Floats]:
    """Means over the trainings [b]."""
    return {name: np.asarray(values.mean(0)) for name, values in metrics.items()}


def _evaluation(
    model: Model,
    points: Mapping[str, Floats],  # [seeds, 1]
    samples: Mapping[str, Floats],  # [b]
    classes: dict[str, ClassMetrics],
    weights: Counts,
) -> Evaluation:
    metrics, spread = {}, {}
    for name in ALL_METRICS:
        each = points[name][:, 0]
        if np.isnan(each).any():
            continue
        value = float(each.mean())
        low, high = basic_interval(value, samples[name]) if name in SHIFTED else interval(samples[name])
        metrics[name] = Estimate(value, max(0.0, float(low)), float(high))
        sd = float(each.std(ddof=1)) if len(each) > 1 else 0.0
        spread[name] = Spread(float(each.min()), float(each.max()), sd)
    rois = len(model.labels)
    return Evaluation(
        model.recipe,
        tuple(one.seed for one in model.trainings),
        metrics,
        spread,
        wilson(float(model.correct.sum()), rois),
        model.matrices.sum(1).mean(0).tolist(),
        {
            str(name): (int(n), float(hits))
            for name, n, hits in zip(model.patients, model.rois, model.correct, strict=True)
        },
        classes,
        reliability(model.top_label.mean(0), weights),
        max(len(np.unique(one.fold)) for one in model.trainings),
    )


def _classes(
    model: Model, points: Mapping[str, Floats], samples: Mapping[str, Floats], weights: Counts
) -> dict[str, ClassMetrics]:
    support = model.matrices[0].sum(2)  # [patients, classes]
    result = {}
    for c, name in enumerate(model.classes):
        metrics = {}
        for metric in CLASS_METRICS:
            value = float(points[metric][c, 0])
            if not np.isnan(value):
                low, high = interval(samples[metric][c])
                metrics[metric] = Estimate(value, float(low), float(high))
        occurs = weights @ support[:, c] > 0
        mine = support[:, c]
        share = float(occurs.mean())
        result[name] = ClassMetrics(int(mine.sum()), int((mine > 0).sum()), int(mine.max()), share, metrics)
    return result


def _pairs(
    models: Sequence[Model], points: Sequence[dict[str, Floats]], samples: Sequence[dict[str, Floats]], seed: int
) -> tuple[Pair, ...]:
    couples = list(combinations(range(len(models)), 2))
    if not couples:
        return ()
    decided = len(models[0].patients) >= LEAST_PATIENTS
    p = np.ones((len(couples), len(TESTED)))
    clustered = [Clustered(0.0, 1.0)] * len(couples)
    if decided:
        p = np.array([_tests(models[a], models[b], seed) for a, b in couples])
        clustered = [clustered_mcnemar(models[a].correct - models[b].correct) for a, b in couples]
    adjusted = np.stack([holm(column) for column in p.T], axis=1)
    clustered_adjusted = holm([test.p for test in clustered])
    left_out = np.ones((1, 1), np.int64) - np.eye(len(models[0].patients), dtype=np.int64)
    without = [_means(model.metrics(left_out, left_out)[0]) for model in models] if len(left_out) > 1 else []
    judge = {True: "differs", False: "no difference shown"}
    result = []
    for k, (a, b) in enumerate(couples):
        result.append(
            Pair(
                models[a].recipe,
                models[b].recipe,
                _differences(points[a], points[b], samples[a], samples[b]),
                dict(zip(TESTED, map(float, p[k]), strict=True)) if decided else {},
                dict(zip(TESTED, map(float, adjusted[k]), strict=True)) if decided else {},
                _range(without[a], without[b]) if without else {},
                {
                    name: judge[bool(value < 1 - LEVEL)] if decided else "undecided"
                    for name, value in zip(TESTED, adjusted[k], strict=True)
                },
                ClusteredTest(*clustered[k], float(clustered_adjusted[k])) if decided else None,
                _unclustered(models[a], models[b]) if decided else (),
            )
        )
    return tuple(result)


def _tests(one: Model, other: Model, seed: int) -> list[float]:
    """p-values of the `TESTED` metrics."""
    p = sign_flip(one.matrices, other.matrices, seed=seed).tolist()
    for name in TESTED[len(METRICS) :]:
        p.append(sign_flip_of_sums(one.scores[name].mean(0) - other.scores[name].mean(0), seed=seed))
    return [float(value) for value in p]


def _differences(
    one: Mapping[str, Floats], other: Mapping[str, Floats], first: Mapping[str, Floats], second: Mapping[str, Floats]
) -> dict[str, Estimate]:
    result = {}
    for name in ALL_METRICS:
        value = float(one[name][0] - other[name][0])
        if not np.isnan(value):
            low, high = interval(first[name] - second[name])
            result[name] = Estimate(value, float(low), float(high))
    return result


def _range(one: Mapping[str, Floats], other: Mapping[str, Floats]) -> dict[str, tuple[float, float]]:
    """Least and greatest difference over the patients left out; without metrics that none of these defines."""
    result = {}
    for name in ALL_METRICS:
        values = one[name] - other[name]
        values = values[~np.isnan(values)]
        if len(values):
            result[name] = (float(values.min()), float(values.max()))
    return result


def _unclustered(one: Model, other: Model) -> tuple[UnclusteredTest, ...]:
    result = []
    for k in range(lcm(len(one.trainings), len(other.trainings))):
        a, b = one.trainings[k % len(one.trainings)], other.trainings[k % len(other.trainings)]
        result.append(UnclusteredTest(a.seed, b.seed, *mcnemar(a.correct, b.correct)))
    return tuple(result)
