"""Intervals from leaving out one patient, or one block of patients, at a time.

Delete-one jackknife with Student's t of G - 1 degrees of freedom (Efron and Tibshirani 1993, chapter 11); with several
patients a block it is the delete-a-group jackknife (Kott 2001). Metrics in [0, 1] have their interval on the logit
scale, so it stays inside and is wider towards the middle. Where every ROI is right no jackknife can say anything: the
lower end is then the rule of three on patients, 0.05^(1/G) (Hanley and Lippman-Hand 1983). Simulated coverage:
docs/evaluation.md.

Everything is vectorised: values [...], values without each patient in turn [G, ...].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from desali.evaluation.statistics import LEVEL, Floats

Scale = Callable[[Floats], Floats]
NONE = 1e-12
"""A standard error below it is rounding."""


def standard_error(left_out: Floats, centre: npt.ArrayLike | None = None) -> Floats:
    """Jackknife standard error [...] of values without each of G patients in turn [G, ...]; G is at least 2.

    Squares are taken about `centre`, the value of all patients, which counts the bias in; about their mean without it.
    """
    count = len(left_out)
    middle = np.asarray(left_out.mean(0) if centre is None else centre, np.float64)
    return np.asarray(np.sqrt((count - 1) / count * ((left_out - middle) ** 2).sum(0)))


def t_quantile(degrees: npt.ArrayLike, level: float = LEVEL) -> Floats:
    """Half width, in standard errors, of a two-sided interval by Student's t."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(degrees, (1 + level) / 2), np.float64)


def t_interval(value: npt.ArrayLike, left_out: Floats, level: float = LEVEL) -> Floats:
    """Interval [2, ...] of any metric, or of a difference of two; NaN with one patient."""
    middle = np.asarray(value, np.float64)
    if len(left_out) < 2:
        return np.full((2, *middle.shape), np.nan)
    half = t_quantile(len(left_out) - 1, level) * standard_error(left_out, middle)
    return np.stack([middle - half, middle + half])


def log_interval(value: npt.ArrayLike, left_out: Floats, rois: int, most: float, level: float = LEVEL) -> Floats:
    """Interval [2, ...], symmetric on the log scale, of a mean over ROIs in [0, `most`]; NaN with one patient.

    Where all patients are alike it is as wide as `rois` independent ROIs can make it; where all ROIs have 0 the upper
    end is the rule of three on patients: so many others may have `most`.
    """
    mean = np.asarray(value, np.float64)
    count = len(left_out)
    if count < 2:
        return np.full((2, *mean.shape), np.nan)
    widest = np.sqrt(np.maximum(0, mean * (most - mean)) / rois)
    half = t_quantile(count - 1, level) * _scaled_error(mean, left_out, widest, most, np.log, lambda x: 1 / x)
    with np.errstate(over="ignore"):
        low, high = mean * np.exp(-half), np.minimum(mean * np.exp(half), most)
    high = np.where(mean < NONE, most * (1 - (1 - level) ** (1 / count)), high)
    return np.stack([low, high])


def logit_interval(
    value: npt.ArrayLike, left_out: Floats, rois: int, level: float = LEVEL, *, holders: int | None = None
) -> Floats:
    """Interval [2, ...] of a metric in [0, 1], symmetric on the logit scale; NaN with one patient.

    Args:
        value: of all patients.
        left_out: without each patient in turn [G, ...].
        rois: that the metric is of. If all patients are alike the jackknife sees no spread at all; the interval is then
            as wide as that of so many independent ROIs.
        level: of confidence.
        holders: patients that the metric is about, e.g. those with ROIs of one class; all of them by default.
    """
    share = np.asarray(value, np.float64)
    count = len(left_out) if holders is None else holders
    if min(count, len(left_out)) < 2:
        return np.full((2, *share.shape), np.nan)
    widest = np.sqrt(np.maximum(0, share * (1 - share)) / rois)
    error = _scaled_error(share, left_out, widest, 1.0, _logit, lambda x: 1 / (x * (1 - x)))
    half = t_quantile(count - 1, level) * error
    inside = (share > NONE) & (share < 1 - NONE)
    middle = _logit(np.where(inside, share, 0.5))
    with np.errstate(over="ignore"):
        low, high = (1 / (1 + np.exp(-end)) for end in (middle - half, middle + half))
    right, three = share >= 1 - NONE, (1 - level) ** (1 / count)
    low = np.where(inside, np.minimum(low, share), np.where(right, three, 0.0))
    high = np.where(inside, np.maximum(high, share), np.where(right, 1.0, 1 - three))
    return np.where(np.isnan(left_out).any(0) | np.isnan(share), np.nan, np.stack([low, high]))


def _logit(share: Floats) -> Floats:
    return np.asarray(np.log(share) - np.log1p(-share))


def _scaled_error(value: Floats, left_out: Floats, widest: Floats, most: float, scale: Scale, slope: Scale) -> Floats:
    """Standard error [...] on a scale; by the delta method where a patient left out leads to the scale's end."""
    inside = (value > NONE) & (value < most - NONE)
    safe = np.where(inside, value, most / 2)
    between = inside & ((left_out > NONE) & (left_out < most - NONE)).all(0)
    scaled = standard_error(scale(np.where(between, left_out, safe)), scale(safe))
    plain = standard_error(left_out, value)
    plain = np.where(plain < NONE, widest, plain) * slope(safe)
    return np.asarray(np.where(between & (scaled > NONE), scaled, np.where(inside, plain, 0.0)))
