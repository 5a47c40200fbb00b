"""Evaluation of several models on the same ROIs: metrics with intervals, and every two models compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from desali.evaluation.calibration import MOST, bias_corrected, error_interval, reliability
from desali.evaluation.jackknife import log_interval, logit_interval
from desali.evaluation.models import CLASS_METRICS, gather
from desali.evaluation.notes import notes_on
from desali.evaluation.options import RESAMPLES
from desali.evaluation.pairs import Measured, compare_pairs
from desali.evaluation.results import (
    ALL_METRICS,
    CALIBRATION_ERRORS,
    PRIMARY,
    ClassMetrics,
    Comparison,
    Estimate,
    Evaluation,
    Spread,
    estimate,
)
from desali.evaluation.statistics import Counts, Floats, resample_weights, wilson

if TYPE_CHECKING:
    from desali.evaluation.predictions import Predictions


def compare(
    predictions: Sequence[Predictions], *, resamples: int = RESAMPLES, curve_resamples: int = 500, seed: int = 0
) -> Comparison:
    """Evaluate each recipe of `predictions` and compare every two.

    Several predictions of one recipe with different seeds are one model: every metric is the mean over them. Patients
    are independent units: a metric's interval leaves out one of them at a time. Two recipes *differ* only if the sign
    flips over patients, the test over trainings and the crossed bootstrap over both say so; with one training of either
    the sentence is about these trainings, and patients alone decide.

    Args:
        predictions: of one or more recipes on the same ROIs, in cross-validation pooled over the folds.
        resamples: of the patients, for calibration errors and pairs.
        curve_resamples: how many of them are used for the average precision, which takes longest.
        seed: of the resamples and of the sign flips, where these are too many to list.

    Raises:
        DataError: nothing given, one recipe and seed twice, or different evaluation sets.
    """
    models = gather(predictions)
    first = predictions[0]
    patients = len(models[0].patients)
    weights = resample_weights(patients, resamples, seed)
    once = np.ones((1, patients), np.int64)
    left_out = np.ones((1, 1), np.int64) - np.eye(patients, dtype=np.int64) if patients > 1 else once[:0]
    measured = []
    for model in models:
        points, class_points = model.metrics(once, once)
        without, class_without = model.metrics(left_out, left_out)
        measured.append(Measured(model, points, without, class_points, class_without))
    return Comparison(
        first.data,
        first.fingerprint,
        first.origin,
        first.classes,
        len(first.labels),
        patients,
        PRIMARY,
        resamples,
        min(curve_resamples, resamples),
        seed,
        notes_on(models),
        tuple(_evaluation(one, weights) for one in measured),
        compare_pairs(measured, weights, weights[:curve_resamples], seed),
        first.unit_of_split,
        first.parameters,
    )


def _evaluation(one: Measured, weights: Counts) -> Evaluation:
    model = one.model
    rois, patients = len(model.labels), len(model.patients)
    metrics, corrected, spread = {}, {}, {}
    resampled = model.calibration(weights)
    for name in ALL_METRICS:
        each = one.points[name][:, 0]
        if np.isnan(each).any():
            continue
        value, without = float(each.mean()), one.without[name].mean(0)
        if name in CALIBRATION_ERRORS:
            low, high = error_interval(value, *resampled[name], patients)
            corrected[name] = bias_corrected(value, resampled[name][0])
        elif name in MOST:
            low, high = log_interval(value, without, rois, MOST[name])
        else:
            low, high = logit_interval(value, without, rois)
        metrics[name] = estimate(value, float(low), float(high))
        sd = float(each.std(ddof=1)) if len(each) > 1 else 0.0
        spread[name] = Spread(float(each.min()), float(each.max()), sd)
    return Evaluation(
        model.recipe,
        tuple(training.seed for training in model.trainings),
        metrics,
        corrected,
        spread,
        wilson(float(model.correct.sum()), rois),
        model.matrices.sum(1).mean(0).tolist(),
        {
            str(name): (int(n), float(hits))
            for name, n, hits in zip(model.patients, model.rois, model.correct, strict=True)
        },
        _classes(one),
        reliability(model.top_label.mean(0), weights),
        max(len(np.unique(training.fold)) for training in model.trainings),
    )


def _classes(one: Measured) -> dict[str, ClassMetrics]:
    support = one.model.matrices[0].sum(2)  # [patients, classes]
    result = {}
    for c, name in enumerate(one.model.classes):
        mine = support[:, c]
        rois, holders, metrics = int(mine.sum()), int((mine > 0).sum()), {}
        for metric in CLASS_METRICS:
            value = float(one.class_points[metric][c, 0])
            if not np.isnan(value):
                metrics[metric] = _class_estimate(value, one.class_without[metric][c], rois, holders)
        result[name] = ClassMetrics(rois, holders, int(mine.max()), metrics)
    return result


def _class_estimate(value: float, without: Floats, rois: int, holders: int) -> Estimate:
    """Of a metric of one class, whose interval is about the patients that hold it."""
    if holders < 2:
        return Estimate(value, None, None)
    low, high = logit_interval(value, without, rois, holders=holders)
    return estimate(value, float(low), float(high))
