"""Tests of two models on the same ROIs when patients are the independent units, and Holm's correction.

Several trainings (seeds) of a model are one model: its metrics are means over them, and what is swapped or counted for
a patient is that patient's predictions by all of them.
"""

from __future__ import annotations

from math import lcm
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desali.evaluation.statistics import Counts, Floats, combine, metrics_of

EXACT_PATIENTS = 13
"""Up to so many differing patients all sign flips are listed (8,192); beyond, `FLIPS` of them are drawn."""
FLIPS = 9999


def sign_flip(first: Counts, second: Counts, flips: int = FLIPS, seed: int = 0) -> Floats:
    """Two-sided p-values [7] of the paired differences in the `METRICS`, by flipping signs at patient level.

    If the two models are alike, a patient's predictions may be swapped between them. Each flip swaps a random set of
    patients and computes the difference anew; p is the share of flips with a difference at least as large. For accuracy
    this is the classical sign-flip test on the patients' sums; swapping extends it to metrics that are not sums.

    Args:
        first: confusion matrices of one model [patients, classes, classes], one a patient, or
            [seeds, patients, classes, classes].
        second: those of the other, on the same ROIs. Trainings are swapped in pairs, in order; where their numbers
            differ both are repeated to the least common multiple, which leaves the means as they are.
        flips: drawn where there are too many to list.
        seed: of the drawing.

    All flips are listed if few patients differ; else `flips` are drawn and the observed one is counted in (Phipson and
    Smyth 2010), so p is never 0.
    """
    one, other = (np.asarray(m)[None] if np.ndim(m) == 3 else np.asarray(m) for m in (first, second))
    repeats = lcm(len(one), len(other))
    one, other = (np.tile(m, (repeats // len(m), 1, 1, 1)) for m in (one, other))
    differ = (one != other).any((0, 2, 3))
    observed = np.abs((metrics_of(one.sum(1)) - metrics_of(other.sum(1))).mean(0))
    swap = _swaps(int(differ.sum()), flips, seed)
    null = np.zeros((len(swap), len(observed)))
    for a, b in zip(one, other, strict=True):
        change = combine(swap, b[differ] - a[differ])
        null += metrics_of(a.sum(0) + change) - metrics_of(b.sum(0) - change)
    return _share_reached(np.abs(null / repeats), observed, int(differ.sum()))


def sign_flip_of_sums(difference: Floats, flips: int = FLIPS, seed: int = 0) -> float:
    """Two-sided p-value of a difference of means, by flipping the signs of the patients' sums.

    Args:
        difference: sum over the ROIs of each patient of first minus second [patients], e.g. of their log loss.
        flips: drawn where there are too many to list; `seed` draws them.
    """
    some = difference[difference != 0]
    signs = 1 - 2 * _swaps(len(some), flips, seed)
    reached = _share_reached(np.abs(signs @ some)[:, None], np.abs(some.sum(keepdims=True)), len(some))
    return float(reached[0])


def _swaps(count: int, flips: int, seed: int) -> Counts:
    """Which of `count` patients are swapped [flips, count]: all sets of them, or random ones."""
    if count <= EXACT_PATIENTS:
        return np.asarray((np.arange(2**count)[:, None] >> np.arange(count)) & 1, np.int64)
    return np.random.default_rng(seed).integers(0, 2, (flips, count))


def _share_reached(null: Floats, observed: Floats, count: int) -> Floats:
    tolerance = 1e-12 * np.maximum(1, np.abs(observed))
    reached = (null >= observed - tolerance).sum(0)
    if count <= EXACT_PATIENTS:
        return np.asarray(reached / len(null), np.float64)
    return np.asarray((reached + 1) / (len(null) + 1), np.float64)


class Discordant(NamedTuple):
    """McNemar's exact test of one training of each model, ROIs taken as independent.

    `only_first` ROIs are classified correctly by the first model alone, `only_second` by the second alone.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> Discordant:
    """McNemar's test (1947), exact: two-sided binomial on the discordant ROIs. It ignores the clusters.

    Args:
        first: whether each ROI is classified correctly by one model [n]; `second` by the other, on the same ROIs.
    """
    from scipy.special import bdtr

    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    return Discordant(b, c, 1.0 if b == c else float(min(1.0, 2 * bdtr(min(b, c), b + c, 0.5))))


class Clustered(NamedTuple):
    """Clustered McNemar test: `statistic` is chi-squared with one degree of freedom under the null hypothesis."""

    statistic: float
    p: float


def clustered_mcnemar(difference: Floats) -> Clustered:
    """Obuchowski's test of two correlated proportions in clustered data (Statistics in Medicine 1998, 17, 1495-1507).

    The proportions of correct ROIs are p1 = sum x1k / n and p2 = sum x2k / n over K patients; under the null hypothesis
    both estimate their mean p, and Var(p_i) = K/(K-1) sum (x_ik - n_k p)^2 / n^2, Cov = K/(K-1) sum (x_1k - n_k p)
    (x_2k - n_k p) / n^2. The statistic (p1 - p2)^2 / (Var(p1) + Var(p2) - 2 Cov) is then
    (K-1)/K (sum d_k)^2 / sum d_k^2 with d_k = x_1k - x_2k: n_k and p cancel. With one ROI a patient it is (K-1)/K times
    McNemar's.

    Args:
        difference: d_k [K], correct ROIs of each patient by the first model minus those by the second; means over the
            trainings where there are several.

    It is asymptotic in the number of patients. No difference at all has statistic 0 and p = 1.
    """
    from scipy.special import erfc

    squares, count = float((difference**2).sum()), len(difference)
    if squares == 0 or count < 2:
        return Clustered(0.0, 1.0)
    statistic = (count - 1) / count * float(difference.sum()) ** 2 / squares
    return Clustered(statistic, float(erfc(np.sqrt(statistic / 2))))


def holm(p: npt.ArrayLike) -> Floats:
    """p-values [m] adjusted for m comparisons (Holm 1979)."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values)
    adjusted = np.maximum.accumulate(values[order] * (len(values) - np.arange(len(values))))
    result = np.empty_like(values)
    result[order] = np.minimum(adjusted, 1)
    return result
