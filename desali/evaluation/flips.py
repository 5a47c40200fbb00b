"""Sign flips at patient level: p-values of a paired difference, and the interval of all differences not rejected.

If two models are alike, a patient's predictions may be swapped between them (Fisher 1935; Good 2005). Each flip swaps a
set J of patients and computes the difference anew, a(J). For a hypothetical difference d the models are compared after
d has been taken off: a swap changes its sign for the swapped patients, who carry the share w of the data, so that flip
reaches the observed difference D if |a - d (1 - 2w)| >= |D - d|, which holds for d between (D - a) / 2w and
(D + a) / 2(1 - w). D lies between the two, so p falls on both sides of D and the differences with p >= 0.05 are an
interval: it leaves out 0 exactly where p < 0.05. For means over ROIs the two ends are the differences of the swapped
patients alone and of the others (Hartigan 1969).

Assumption: under the null hypothesis a patient's difference is symmetric about 0. With one outlying patient in ten of
them the test rejects alike models too often; see docs/evaluation.md.
"""

from __future__ import annotations

from math import ceil, lcm
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desali.evaluation.statistics import ALPHA, Counts, Floats, combine, metrics_of

LISTED_PATIENTS = 13
"""Up to so many patients all sign flips are listed (8,192); beyond, `FLIPS` of them are drawn."""
FLIPS = 9999
BOUNDED_PATIENTS = 6
"""With fewer patients no flip is rare enough and the interval is unbounded."""


class Flipped(NamedTuple):
    """Two-sided p-values and 95 % intervals of differences [m]; infinite ends below `BOUNDED_PATIENTS`."""

    p: Floats
    low: Floats
    high: Floats


def swaps(patients: int, flips: int = FLIPS, seed: int = 0) -> tuple[Counts, bool]:
    """Which patients are swapped [flips, patients], and whether these are all sets of them or drawn ones.

    All sets of up to `LISTED_PATIENTS` patients are listed; of more `flips` are drawn, and the observed one is counted
    in (Phipson and Smyth 2010), so p is never 0.
    """
    if patients <= LISTED_PATIENTS:
        return np.asarray((np.arange(2**patients)[:, None] >> np.arange(patients)) & 1, np.int64), True
    return np.random.default_rng(seed).integers(0, 2, (flips, patients)), False


def flip_matrices(first: Counts, second: Counts, flips: int = FLIPS, seed: int = 0) -> Flipped:
    """Of the paired differences in the seven `METRICS`.

    Args:
        first: confusion matrices of one model [patients, classes, classes], one a patient, or
            [trainings, patients, classes, classes].
        second: those of the other, on the same ROIs. Trainings are swapped in pairs, in order; where their numbers
            differ both are repeated to the least common multiple, which leaves the means as they are.
        flips: drawn where there are too many to list.
        seed: of the drawing.
    """
    one, other = (np.asarray(m)[None] if np.ndim(m) == 3 else np.asarray(m) for m in (first, second))
    support = one[0].sum(2)  # [patients, classes]: the same for all
    repeats = lcm(len(one), len(other))
    one, other = (np.tile(m, (repeats // len(m), 1, 1, 1)) for m in (one, other))
    swap, listed = swaps(support.shape[0], flips, seed)
    observed = (metrics_of(one.sum(1)) - metrics_of(other.sum(1))).mean(0)
    null = np.zeros((len(swap), len(observed)))
    for a, b in zip(one, other, strict=True):
        change = combine(swap, b - a)
        null += metrics_of(a.sum(0) + change) - metrics_of(b.sum(0) - change)
    by_roi = swap @ (support.sum(1) / support.sum())
    occurs = support.sum(0) > 0
    by_class = swap @ (support[:, occurs] / support[:, occurs].sum(0)).mean(1)
    # accuracy | macro recall, precision, F1 | weighted recall, precision, F1
    weight = np.stack([by_roi, by_class, by_class, by_class, by_roi, by_roi, by_roi], axis=1)
    return _flipped(observed, null / repeats, weight, listed)


def flip_sums(difference: Floats, rois: npt.NDArray[np.int64], flips: int = FLIPS, seed: int = 0) -> Flipped:
    """Of differences of means over ROIs, e.g. of the log loss.

    Args:
        difference: sum over the ROIs of each patient of first minus second [patients, ...].
        rois: of each patient [patients].
        flips: drawn where there are too many to list; `seed` draws them.
        seed: of the drawing.
    """
    swap, listed = swaps(len(rois), flips, seed)
    total = rois.sum()
    null = np.tensordot(1 - 2 * swap, difference, axes=1) / total
    weight = (swap @ (rois / total)).reshape(-1, *[1] * (np.ndim(difference) - 1))
    return _flipped(np.asarray(difference.sum(0) / total), null, weight, listed)


def _flipped(observed: Floats, null: Floats, weight: Floats, listed: bool) -> Flipped:
    """From differences [m], those after each flip [flips, m] and the share of data that it swaps [flips, m]."""
    tolerance = 1e-12 * np.maximum(1, np.abs(observed))
    reached = (np.abs(null) >= np.abs(observed) - tolerance).sum(0)
    p = reached / len(null) if listed else (reached + 1) / (len(null) + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(observed - null) / (2 * weight), (observed + null) / (2 * (1 - weight))])
    always = (weight < 1e-12) | (weight > 1 - 1e-12) | np.isnan(ends).any(0)
    lower = np.where(always, -np.inf, ends.min(0))
    upper = np.where(always, np.inf, ends.max(0))
    needed = ceil(ALPHA * len(null) - 1e-9) if listed else max(1, ceil(ALPHA * (len(null) + 1) - 1e-9) - 1)
    low = np.partition(lower, needed - 1, axis=0)[needed - 1]
    high = -np.partition(-upper, needed - 1, axis=0)[needed - 1]
    low, high = (np.where(np.abs(end) < tolerance, 0.0, end) for end in (low, high))
    return Flipped(np.asarray(p, np.float64), np.minimum(low, observed), np.maximum(high, observed))
