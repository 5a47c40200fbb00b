"""Figures of classification from confusion matrices, and their uncertainty when patients are the independent units.

A confusion matrix [..., classes, classes] counts true class (row) against predicted class (column). A class *occurs*
in it if its row is not empty. Macro averages are means over the classes that occur; weighted ones weigh them by their
ROIs. So a class that is absent from a bootstrap resample takes no part in that resample's averages. A class that occurs
but is never predicted has precision 0. These are scikit-learn's definitions with `labels` = the classes that occur and
`zero_division=0`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

FIGURES = (
    "accuracy",
    "macro recall",
    "macro precision",
    "macro F1",
    "weighted recall",
    "weighted precision",
    "weighted F1",
)
"""Macro recall is also called balanced accuracy; weighted recall equals accuracy."""


def confusion_by_group(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], groups: npt.NDArray[np.str_], classes: int
) -> tuple[npt.NDArray[np.str_], Counts]:
    """Group names [g] in order, and one confusion matrix a group [g, classes, classes]."""
    names, index = np.unique(groups, return_inverse=True)
    matrices = np.zeros((len(names), classes, classes), np.int64)
    np.add.at(matrices, (index, truth, predicted), 1)
    return names, matrices


def figures_of(confusion: npt.NDArray[Any]) -> Floats:
    """The `FIGURES` [..., 7] of confusion matrices [..., classes, classes], each of which holds at least one ROI."""
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


def resample_weights(groups: int, resamples: int, seed: int) -> Counts:
    """How often each group is drawn [resamples, groups] when `groups` groups are drawn with replacement."""
    drawn = np.random.default_rng(seed).integers(0, groups, (resamples, groups))
    weights = np.zeros((resamples, groups), np.int64)
    np.add.at(weights, (np.arange(resamples)[:, None], drawn), 1)
    return weights


def combine(weights: npt.NDArray[Any], matrices: Counts) -> Floats:
    """Weighted sums [b, classes, classes] of group matrices [g, classes, classes] by weights [b, g]."""
    return np.tensordot(np.asarray(weights, np.float64), matrices.astype(np.float64), axes=1)


def bootstrap(matrices: Counts, weights: Counts) -> Floats:
    """The `FIGURES` [b, 7] of every resample (Efron and Tibshirani 1993, chapter 8: the cluster is the unit drawn)."""
    return figures_of(combine(weights, matrices))


def interval(samples: Floats, level: float = 0.95) -> Floats:
    """Percentile interval [2, ...] over the first axis of `samples`."""
    tail = (1 - level) / 2
    return np.quantile(samples, [tail, 1 - tail], axis=0)


def wilson(hits: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson interval of hits/total (Wilson 1927). It takes ROIs as independent, so it ignores the clusters."""
    from scipy.stats import binomtest

    low, high = binomtest(hits, total).proportion_ci(level, method="wilson")
    return float(low), float(high)


EXACT_GROUPS = 13
"""Up to so many differing groups all sign flips are listed (8,192); beyond, `flips` of them are drawn."""


def sign_flip(first: Counts, second: Counts, flips: int = 9999, seed: int = 0) -> Floats:
    """Two-sided p-values [7] of the paired differences in the `FIGURES`, by flipping signs at patient level.

    If the two models are alike, a patient's predictions may be swapped between them. Each flip swaps a random set of
    patients and computes the difference anew; p is the share of flips with a difference at least as large. For accuracy
    this is the classical sign-flip test on the patients' sums; swapping extends it to figures that are not sums.

    Args:
        first: confusion matrices of one model [g, classes, classes], one a patient.
        second: those of the other, on the same ROIs.

    All flips are listed if few patients differ; else `flips` are drawn and the observed one is counted in (Phipson and
    Smyth 2010), so p is never 0.
    """
    differ = (first != second).any((1, 2))
    observed = np.abs(figures_of(first.sum(0)) - figures_of(second.sum(0)))
    count = int(differ.sum())
    if count <= EXACT_GROUPS:
        swap = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    else:
        swap = np.random.default_rng(seed).integers(0, 2, (flips, count))
    change = combine(swap, second[differ] - first[differ])
    null = np.abs(figures_of(first.sum(0) + change) - figures_of(second.sum(0) - change))
    reached = (null >= observed - 1e-12).sum(0)
    if count <= EXACT_GROUPS:
        return np.asarray(reached / len(swap), np.float64)
    return np.asarray((reached + 1) / (len(swap) + 1), np.float64)


def holm(p: npt.ArrayLike) -> Floats:
    """p-values [m] adjusted for m comparisons (Holm 1979)."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values)
    adjusted = np.maximum.accumulate(values[order] * (len(values) - np.arange(len(values))))
    result = np.empty_like(values)
    result[order] = np.minimum(adjusted, 1)
    return result


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
