"""ROC and precision-recall curves of one class against the rest, weighted by patient.

A resample of the patients is a weight for each; all resamples are computed together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desali.evaluation.statistics import Counts, Floats

GRID = np.linspace(0, 1, 101)
"""False positive rates (ROC) and recalls (precision-recall) at which curves are averaged and bands are drawn."""
MOST_AT_ONCE = 4_000_000
"""Weighted ROIs held in memory at a time."""


@dataclass(frozen=True)
class OneClass:
    """Scores of one class against the rest.

    Attributes:
        scores: the class's probability [n].
        positive: whether the ROI is of the class [n].
        patient: index of its patient [n], in [0, patients).
        patients: how many there are.
    """

    scores: npt.NDArray[np.floating]
    positive: npt.NDArray[np.bool_]
    patient: npt.NDArray[np.int64]
    patients: int


def auroc(one: OneClass, weights: Counts) -> Floats:
    """Area under the ROC curve [b]; ties count half (Mann and Whitney; Hanley and McNeil 1982).

    The area is a sum over pairs of a positive and a negative ROI, so the pairs of each two patients are counted once
    and a resample weighs them (Obuchowski 1997 uses the same sums for clustered data).

    Args:
        one: scores of one class.
        weights: how often each resample holds each patient [b, patients].

    NaN for a resample without a positive or without a negative ROI.
    """
    pairs = np.zeros((one.patients, one.patients))  # [patient of the positive, patient of the negative]
    above = one.scores[one.positive]
    owner = one.patient[one.positive]
    for other in range(one.patients):
        below = np.sort(one.scores[~one.positive & (one.patient == other)])
        wins = (np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")) / 2
        pairs[:, other] = np.bincount(owner, wins, one.patients)
    w = np.asarray(weights, np.float64)
    positives = w @ np.bincount(owner, minlength=one.patients)
    negatives = w @ np.bincount(one.patient[~one.positive], minlength=one.patients)
    possible = positives * negatives
    won = ((w @ pairs) * w).sum(1)
    return np.asarray(np.divide(won, possible, out=np.full(len(w), np.nan), where=possible > 0))


def average_precision(one: OneClass, weights: Counts) -> Floats:
    """Average precision [b]: sum over thresholds of (R_k - R_k-1) P_k, without interpolation (as in scikit-learn).

    Args as in `auroc`. NaN for a resample without a positive ROI.
    """
    parts = []
    for w in _portions(one, weights):
        true, false = _counts(one, w)
        total = true[:, -1:]
        gained = np.diff(true, axis=1, prepend=0)
        area = (gained * _share(true, true + false)).sum(1)
        parts.append(np.divide(area, total[:, 0], out=np.full(len(w), np.nan), where=total[:, 0] > 0))
    return np.concatenate([np.zeros(0), *parts])


def roc(one: OneClass, weights: Counts, grid: Floats = GRID) -> Floats:
    """True positive rate [b, grid] at each false positive rate of `grid`, linear between thresholds (Fawcett 2006).

    Args as in `auroc`. A row of NaN for a resample without a positive or without a negative ROI. Where the curve rises
    straight up its upper end is taken.
    """
    rows = np.full((len(weights), len(grid)), np.nan)
    for start, w in _starts(one, weights):
        true, false = _counts(one, w)
        for k, (t, f) in enumerate(zip(true, false, strict=True)):
            if t[-1] > 0 and f[-1] > 0:
                x, y = np.concatenate([[0], f / f[-1]]), np.concatenate([[0], t / t[-1]])
                rows[start + k] = np.interp(grid, x, y)  # at a vertical rise: its upper end; beside it: the nearer end
    return rows


def precision_recall(one: OneClass, weights: Counts, grid: Floats = GRID) -> Floats:
    """Precision [b, grid] at the first threshold that reaches each recall of `grid`.

    No interpolation: between two thresholds a straight line would be too optimistic (Davis and Goadrich, ICML 2006).
    Args as in `auroc`. A row of NaN for a resample without a positive ROI.
    """
    rows = np.full((len(weights), len(grid)), np.nan)
    for start, w in _starts(one, weights):
        true, false = _counts(one, w)
        precision = _share(true, true + false)
        for k, t in enumerate(true):
            if t[-1] > 0:
                least = np.maximum(grid, 1e-12) * t[-1] * (1 - 1e-12)
                rows[start + k] = precision[k, np.searchsorted(t, least, "left")]
    return rows


def _counts(one: OneClass, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted true and false positives [b, thresholds] at each distinct score, from the highest down."""
    order = np.argsort(-one.scores, kind="stable")
    scores = one.scores[order]
    last = np.append(scores[1:] != scores[:-1], True)  # the last ROI of each score: ties pass together
    mass = weights[:, one.patient[order]]
    positive = one.positive[order]
    return np.cumsum(mass * positive, 1)[:, last], np.cumsum(mass * ~positive, 1)[:, last]


def _starts(one: OneClass, weights: Counts) -> list[tuple[int, Floats]]:
    step = max(1, MOST_AT_ONCE // max(1, len(one.scores)))
    return [(k, np.asarray(weights[k : k + step], np.float64)) for k in range(0, len(weights), step)]


def _portions(one: OneClass, weights: Counts) -> list[Floats]:
    return [w for _, w in _starts(one, weights)]


def _share(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))
