"""Whether probabilities mean what they say: calibration error, Brier score and log loss, by patient.

All metrics are sums over ROIs divided by a number of ROIs, so each patient's sums are enough: a resample of the
patients is a weighted sum of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desali.evaluation.statistics import LEVEL, Counts, Floats, interval

BINS = 15
"""Equal-width bins (0, 1/15], ..., (14/15, 1] (Guo, Pleiss, Sun and Weinberger, ICML 2017)."""
SMALLEST = float(np.finfo(np.float32).eps)
"""Probabilities are kept within [SMALLEST, 1 - SMALLEST] in the log loss, as scikit-learn does for float32."""

MOST = {"Brier score": 2.0, "log loss": -math.log(SMALLEST)}
"""The largest value that a ROI can have."""


@dataclass(frozen=True)
class Reliability:
    """A reliability plot's points, one for each bin that holds a ROI.

    Attributes:
        confidence: mean probability of the predicted class in the bin.
        accuracy: share of correct ROIs in it, with `low` and `high`, the 95 % percentile interval by patient.
        rois: how many ROIs it holds (the mean over trainings).
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rois: tuple[float, ...]


def bin_sums(
    confidence: npt.NDArray[np.floating],  # [n] in [0, 1]
    happened: npt.NDArray[np.bool_],  # [n]
    patient: npt.NDArray[np.int64],  # [n] in [0, patients)
    patients: int,
    bins: int = BINS,
) -> Floats:
    """Per patient and bin: ROIs, sum of `confidence`, and how often it `happened` [patients, bins, 3]."""
    values = np.asarray(confidence, np.float64)
    place = np.clip(np.ceil(values * bins).astype(np.int64) - 1, 0, bins - 1)
    sums = np.zeros((patients, bins, 3))
    np.add.at(sums, (patient, place), np.stack([np.ones_like(values), values, happened.astype(np.float64)], -1))
    return sums


def top_label_sums(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], patient: npt.NDArray[np.int64],
    patients: int, bins: int = BINS,
) -> Floats:  # fmt: skip
    """`bin_sums` [patients, bins, 3] of the predicted class's probability and of whether it is the true one."""
    return bin_sums(probabilities.max(1), probabilities.argmax(1) == labels, patient, patients, bins)


def class_wise_sums(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], patient: npt.NDArray[np.int64],
    patients: int, bins: int = BINS,
) -> Floats:  # fmt: skip
    """`bin_sums` [classes, patients, bins, 3] of each class's probability and of whether it is the true one."""
    each = [bin_sums(p, labels == c, patient, patients, bins) for c, p in enumerate(probabilities.T)]
    return np.stack(each)


def weighted(weights: Counts, sums: Floats) -> Floats:
    """Sums of each resample [b, ...] from weights [b, patients] and patients' sums [patients, ...]."""
    return np.tensordot(np.asarray(weights, np.float64), sums, axes=1)


def calibration_error(sums: Floats) -> Floats:
    """Expected calibration error [...] of bin sums [..., bins, 3]: sum over bins of |confidence - accuracy|, by ROIs.

    Guo et al. 2017, equation 3 (plug-in estimator, L1). It is biased upward: with few ROIs it is above 0 for a
    perfectly calibrated model too.
    """
    total = sums[..., 0].sum(-1)
    gap = np.abs(sums[..., 1] - sums[..., 2]).sum(-1)
    return np.asarray(np.divide(gap, total, out=np.full_like(gap, np.nan), where=total > 0))


def class_wise_error(sums: Floats) -> Floats:
    """Class-wise calibration error [...] of sums [classes, ..., bins, 3] (Kull et al., NeurIPS 2019).

    The calibration error of each class's own probability, meaned over the classes that occur.
    """
    each = calibration_error(sums)  # [classes, ...]
    occurs = sums[..., 2].sum(-1) > 0
    count = occurs.sum(0)
    total = np.where(occurs, each, 0).sum(0)
    return np.asarray(np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0))


def centred_error(drawn: Floats, sums: Floats) -> Floats:
    """What resampling alone makes of the calibration error [b, ...]: sum over bins of |gap drawn - gap|, by ROIs.

    It is the error of a resample if the model were calibrated, and so says how large an error noise alone makes.

    Args:
        drawn: bin sums of resamples [b, ..., bins, 3].
        sums: of the data themselves [..., bins, 3].
    """
    return np.asarray(np.abs(_gaps(drawn) - _gaps(sums)).sum(-1))


def _gaps(sums: Floats) -> Floats:
    """Confidence minus accuracy of each bin, times its share of the ROIs [..., bins]."""
    total = sums[..., 0].sum(-1, keepdims=True)
    gap = sums[..., 1] - sums[..., 2]
    return np.asarray(np.divide(gap, total, out=np.zeros_like(gap), where=total > 0))


def error_interval(value: float, samples: Floats, centred: Floats, patients: int) -> tuple[float, float]:
    """Interval of a calibration error from resamples of the patients; NaN with one patient.

    The plug-in error is above 0 for a calibrated model too. If noise alone makes an error as large, the lower end is 0;
    else it is that of the basic interval (Davison and Hinkley 1997, section 5.2). The upper end is the percentile's, or
    the value itself where that is larger, so the interval always holds its value.

    Args:
        value: of the data themselves.
        samples: of each resample [b].
        centred: `centred_error` of each resample [b]; its 95 % quantile is scaled by k = t(0.975, G - 1) / 1.96 times
            sqrt(G / (G - 1)), which is what few patients need.
        patients: G.
    """
    if patients < 2:
        return float("nan"), float("nan")
    from scipy.special import ndtri, stdtrit

    tail = (1 + LEVEL) / 2
    scale = stdtrit(patients - 1, tail) / ndtri(tail) * np.sqrt(patients / (patients - 1))
    _, top = interval(samples)
    noise = scale * np.nanquantile(centred, LEVEL)
    low = 0.0 if value <= noise else float(np.clip(2 * value - top, 0, value))
    return low, max(float(top), value)


def bias_corrected(value: float, samples: Floats) -> float:
    """A calibration error less the bias that resampling adds (Efron and Tibshirani 1993, chapter 10), at least 0."""
    return max(0.0, float(2 * value - np.nanmean(samples)))


def brier(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> Floats:
    """Brier score of each ROI [n]: squared distance to the one-hot truth, between 0 and 2 (Brier 1950)."""
    distance = np.asarray(probabilities, np.float64).copy()
    distance[np.arange(len(labels)), labels] -= 1
    return np.asarray((distance**2).sum(1))


def log_loss(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> Floats:
    """-ln of the true class's probability of each ROI [n], in nats; see `SMALLEST`."""
    chosen = np.asarray(probabilities, np.float64)[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.clip(chosen, SMALLEST, 1 - SMALLEST)))


def reliability(sums: Floats, weights: Counts) -> Reliability:
    """Points and bands of a reliability plot.

    Args:
        sums: `top_label_sums` [patients, bins, 3]; means over the trainings where there are several.
        weights: how often each resample holds each patient [b, patients].

    A resample without a ROI in a bin takes no part in that bin's interval.
    """
    total = sums.sum(0)
    filled = total[:, 0] > 0
    drawn = weighted(weights, sums[:, filled])  # [b, bins, 3]
    share = np.divide(drawn[..., 2], drawn[..., 0], out=np.full(drawn.shape[:2], np.nan), where=drawn[..., 0] > 0)
    low, high = interval(share)
    n = total[filled, 0]
    columns = (total[filled, 1] / n, total[filled, 2] / n, low, high, n)
    return Reliability(*(tuple(map(float, column)) for column in columns))
