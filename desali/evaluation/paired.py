"""McNemar's test with and without clusters, for two models on the same ROIs, and Holm's correction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desali.evaluation.statistics import Floats


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
