"""Metrics of classification from confusion matrices, and their uncertainty when patients are the independent units.

A confusion matrix [..., classes, classes] counts true class (row) against predicted class (column). A class *occurs*
in it if its row is not empty. Macro averages are means over the classes that occur; weighted ones weigh them by their
ROIs. So a class that is absent from a bootstrap resample takes no part in that resample's averages. A class that occurs
but is never predicted has precision 0. These are scikit-learn's definitions with `labels` = the classes that occur and
`zero_division=0`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

METRICS = (
    "accuracy",
    "macro recall",
    "macro precision",
    "macro F1",
    "weighted recall",
    "weighted precision",
    "weighted F1",
)
"""Macro recall is also called balanced accuracy; weighted recall equals accuracy."""


def metrics_of(confusion: npt.NDArray[Any]) -> Floats:
    """The `METRICS` [..., 7] of confusion matrices [..., classes, classes], each of which holds at least one ROI."""
    matrix = np.asarray(confusion, np.float64)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    support, predicted = matrix.sum(-1), matrix.sum(-2)
    occurs = support > 0
    recall = _ratio(hits, support)
    precision = _ratio(hits, predicted)
    f1 = _ratio(2 * hits, support + predicted)
    total = support.sum(-1)
    macro = [np.where(occurs, one, 0).sum(-1) / occurs.sum(-1) for one in (recall, precision, f1)]
    weighted = [(one * support).sum(-1) / total for one in (recall, precision, f1)]
    return np.stack([hits.sum(-1) / total, *macro, *weighted], axis=-1)


def class_metrics_of(confusion: npt.NDArray[Any]) -> Floats:
    """Recall, precision and F1 of each class [..., 3, classes]; NaN for a class that does not occur (empty row)."""
    matrix = np.asarray(confusion, np.float64)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    support, predicted = matrix.sum(-1), matrix.sum(-2)
    three = [_ratio(hits, support), _ratio(hits, predicted), _ratio(2 * hits, support + predicted)]
    return np.stack([np.where(support > 0, one, np.nan) for one in three], axis=-2)


def resample_weights(patients: int, resamples: int, seed: int) -> Counts:
    """How often each patient is drawn [resamples, patients] when so many patients are drawn with replacement."""
    drawn = np.random.default_rng(seed).integers(0, patients, (resamples, patients))
    weights = np.zeros((resamples, patients), np.int64)
    np.add.at(weights, (np.arange(resamples)[:, None], drawn), 1)
    return weights


def combine(weights: npt.NDArray[Any], matrices: Counts) -> Floats:
    """Weighted sums [b, classes, classes] of patients' matrices [patients, classes, classes] by weights [b, patients].

    The metrics of such a sum are those of a resample of whole patients (Efron and Tibshirani 1993, chapter 8: the
    cluster is the unit drawn).
    """
    return np.tensordot(np.asarray(weights, np.float64), matrices.astype(np.float64), axes=1)


LEVEL = 0.95
ALPHA = 0.05
"""A p-value below it says "differs"."""


def interval(samples: Floats, level: float = LEVEL) -> Floats:
    """Percentile interval [2, ...] over the first axis of `samples`.

    A resample in which the metric is not defined is NaN and left out; NaN where it is defined in none.
    """
    tail = (1 - level) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        return np.asarray(np.nanquantile(samples, [tail, 1 - tail], axis=0), np.float64)


def wilson(hits: float, total: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson interval of hits/total (Wilson 1927). It takes ROIs as independent, so it ignores the clusters.

    `hits` may be a mean over several trainings.
    """
    from scipy.special import ndtri

    z, share = float(ndtri((1 + level) / 2)), hits / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total**2)) / (1 + z * z / total)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
