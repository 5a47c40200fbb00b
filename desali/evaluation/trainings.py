"""Trainings as a random factor: what two recipes' difference is over other trainings, and over patients and trainings.

A sentence about a *recipe* is about trainings that were not run as well as about patients who were not seen. More
patients cannot shrink the trainings' part. So trainings are tested by themselves (Student's t, paired where the two
recipes share seeds or stages, else Welch's), and drawn together with the patients in a crossed bootstrap (Owen 2007,
the pigeonhole bootstrap: patients and trainings are drawn independently of each other).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from desali.evaluation.jackknife import t_quantile
from desali.evaluation.statistics import ALPHA, LEVEL, Floats

if TYPE_CHECKING:
    from desali.evaluation.models import Model

LEAST_TRAININGS = 2
"""With fewer of either recipe a sentence is about these trainings alone."""

Pairing = Sequence[tuple[int, int]]
"""Which training of the first recipe belongs to which of the second."""


class Tested(NamedTuple):
    """Two-sided p-values and 95 % intervals of differences [m]."""

    p: Floats
    low: Floats
    high: Floats


def pairing(one: Model, other: Model) -> Pairing | None:
    """Each training of `one` with the training of `other` that has its seed, or else a stage of its own in common.

    None where they do not belong together one to one: other seeds, or more trainings of one recipe. They are then taken
    as independent, which is careful if some do share something and are alike for it.
    """
    seeds = [[training.seed for training in model.trainings] for model in (one, other)]
    if sorted(seeds[0]) == sorted(seeds[1]):
        return [(k, seeds[1].index(seed)) for k, seed in enumerate(seeds[0])]
    if len(seeds[0]) != len(seeds[1]) or set(seeds[0]) & set(seeds[1]):
        return None
    stages = [[set(training.stages) for training in model.trainings] for model in (one, other)]
    everywhere = set.intersection(*stages[0], *stages[1])
    found = []
    for k, mine in enumerate(stages[0]):
        partners = [j for j, theirs in enumerate(stages[1]) if (mine & theirs) - everywhere]
        if len(partners) != 1:
            return None
        found.append((k, partners[0]))
    return found if len({j for _, j in found}) == len(found) else None


def over_trainings(first: Floats, second: Floats, pairs: Pairing | None, rois: int) -> Tested:
    """Student's t over the trainings, of metrics of all patients.

    Args:
        first: metrics of each training of one recipe [trainings, m], at least two.
        second: those of the other.
        pairs: see `pairing`; None for Welch's test (1947).
        rois: that the metrics are of. Trainings whose metrics are exactly equal by chance are taken to differ by the
            rounding error of a count, 1 / (rois sqrt 12).
    """
    from scipy.special import stdtr

    rounding = 1 / (12 * rois**2)
    if pairs is not None:
        apart = np.stack([first[a] - second[b] for a, b in pairs])
        square = np.maximum(apart.var(0, ddof=1), rounding) / len(apart)
        degrees = np.full(square.shape, len(apart) - 1.0)
        value = apart.mean(0)
    else:
        parts = [np.maximum(x.var(0, ddof=1), rounding) / len(x) for x in (first, second)]
        square = parts[0] + parts[1]
        degrees = square**2 / (parts[0] ** 2 / (len(first) - 1) + parts[1] ** 2 / (len(second) - 1))
        value = first.mean(0) - second.mean(0)
    error = np.sqrt(square)
    half = t_quantile(degrees) * error
    return Tested(np.asarray(2 * stdtr(degrees, -np.abs(value) / error)), value - half, value + half)


def crossed(first: Floats, second: Floats, pairs: Pairing | None, seed: int = 0) -> Floats:
    """Differences [b, m] of b resamples of patients and trainings.

    Args:
        first: metrics of each training of one recipe in each resample of the patients [trainings, b, m].
        second: those of the other, in the same resamples.
        pairs: trainings that are drawn together; None draws each recipe's on their own.
        seed: of the drawing.
    """
    rng = np.random.default_rng([seed, 1])  # another stream than that of the patients
    count = first.shape[1]
    chosen = _drawn(rng, count, len(first))
    if pairs is not None:
        order = [[pair[side] for pair in pairs] for side in (0, 1)]
        return _mean(first[order[0]], chosen) - _mean(second[order[1]], chosen)
    return _mean(first, chosen) - _mean(second, _drawn(rng, count, len(second)))


def of_samples(samples: Floats) -> Tested:
    """Percentile p-values and intervals from resampled differences [b, m]; an interval leaves out 0 where p < 0.05.

    Resamples in which a difference is not defined (NaN) are left out; NaN where it is defined in none.
    """
    found = np.sort(np.reshape(samples, (len(samples), -1)), axis=0)  # NaN last
    known = (~np.isnan(found)).sum(0)
    with np.errstate(invalid="ignore"):
        below, above = (found <= 0).sum(0), (found >= 0).sum(0)
    p = np.minimum(1.0, 2 * (np.minimum(below, above) + 1) / (known + 1))
    place = np.array([max(1, ceil((1 - LEVEL) / 2 * (n + 1) - 1e-9) - 1) for n in known])
    column = np.arange(found.shape[1])
    low = found[np.minimum(place, len(found)) - 1, column]
    high = found[np.maximum(known - place, 0), column]
    shape = np.shape(samples)[1:]
    undefined = known == 0
    return Tested(*(np.where(undefined, np.nan, one).reshape(shape) for one in (p, low, high)))


def hull(*intervals: tuple[Floats, Floats]) -> Floats:
    """The interval [2, ...] that reaches over all of them; one that is NaN takes no part."""
    lows, highs = (np.stack([one[side] for one in intervals]) for side in (0, 1))
    return np.stack([np.fmin.reduce(lows), np.fmax.reduce(highs)])


def rejected(p: float) -> bool:
    """Whether a p-value says "differs"."""
    return bool(p < ALPHA)


def _drawn(rng: np.random.Generator, count: int, trainings: int) -> Floats:
    """How much of each training's metric a resample has [count, trainings], drawn with replacement."""
    chosen = rng.integers(0, trainings, (count, trainings))
    return np.asarray((chosen[:, :, None] == np.arange(trainings)).mean(1), np.float64)


def _mean(metrics: Floats, share: Floats) -> Floats:
    """Means over the trainings drawn [b, m]; one that is not drawn counts for nothing, also if it is NaN."""
    weights = share.T.reshape(*share.T.shape, *[1] * (metrics.ndim - 2))
    return np.asarray(np.where(weights > 0, weights * metrics, 0).sum(0))
