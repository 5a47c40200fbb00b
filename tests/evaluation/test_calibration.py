"""Calibration metrics against torchmetrics and scikit-learn, and what intervals of them do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import norm, t
from sklearn.metrics import log_loss as sklearn_log_loss
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from desali.evaluation import calibration
from desali.evaluation.models import Model
from desali.evaluation.statistics import interval, resample_weights
from tests.evaluation.cases import random_predictions


def test_calibration_error_is_that_of_torchmetrics() -> None:
    one = random_predictions(classes=4, rois=500)
    model = Model([one])
    once = np.ones((1, len(model.patients)), np.int64)
    metrics, _ = model.metrics(once, once)
    p, labels = torch.from_numpy(one.probabilities.copy()), torch.from_numpy(one.labels)
    expected = multiclass_calibration_error(p, labels, 4, n_bins=calibration.BINS, norm="l1")
    assert metrics["ECE"][0, 0] == pytest.approx(float(expected), abs=1e-6)
    each = [
        binary_calibration_error(p[:, c].contiguous(), (labels == c).int(), n_bins=calibration.BINS) for c in range(4)
    ]
    assert metrics["class-wise ECE"][0, 0] == pytest.approx(float(torch.stack(each).mean()), abs=1e-6)


def test_brier_and_log_loss() -> None:
    one = random_predictions()
    onehot = np.eye(3)[one.labels]
    brier = ((one.probabilities - onehot) ** 2).sum(1).mean()
    assert calibration.brier(one.probabilities, one.labels).mean() == pytest.approx(brier, abs=1e-6)
    expected = sklearn_log_loss(one.labels, one.probabilities)
    assert calibration.log_loss(one.probabilities, one.labels).mean() == pytest.approx(expected, abs=1e-5)
    certain = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    wrong = np.array([1, 1])
    assert calibration.brier(certain, wrong).tolist() == [2, 0]
    assert np.isfinite(calibration.log_loss(certain, wrong)).all()


def test_bins_are_closed_on_the_right() -> None:
    values = np.array([0.0, 0.5, 0.500001, 1.0])
    sums = calibration.bin_sums(values, np.array([False, True, True, True]), np.zeros(4, np.int64), 1, bins=2)
    assert sums[0, :, 0].tolist() == [2, 2]
    assert sums[0, :, 2].tolist() == [1, 2]


def test_all_correct_and_certain_is_perfectly_calibrated() -> None:
    p, labels = np.eye(3, dtype=np.float32), np.arange(3)
    sums = calibration.top_label_sums(p, labels, np.zeros(3, np.int64), 1)
    assert calibration.calibration_error(sums.sum(0)) == 0
    points = calibration.reliability(sums, np.ones((5, 1), np.int64))
    assert (points.confidence, points.accuracy, points.low, points.high) == ((1.0,), (1.0,), (1.0,), (1.0,))


def test_the_interval_of_the_error_holds_its_value_and_the_truth() -> None:
    """The error of a calibrated model is above 0 and resampling adds to it; the percentile interval never knows."""
    rng = np.random.default_rng(1)
    covered = np.zeros(2)
    for seed in range(60):
        confidence = rng.uniform(0.4, 1, 500)
        right = rng.random(500) < confidence
        sums = calibration.bin_sums(confidence, right, np.repeat(np.arange(10), 50), 10)
        value = float(calibration.calibration_error(sums.sum(0)))
        drawn = calibration.weighted(resample_weights(10, 200, seed), sums)
        samples = calibration.calibration_error(drawn)
        low, high = calibration.error_interval(value, samples, calibration.centred_error(drawn, sums.sum(0)), 10)
        assert 0 <= low <= value <= high
        assert calibration.bias_corrected(value, samples) < value
        covered += [interval(samples)[0] <= 0, low <= 0]
    assert covered[0] == 0
    assert covered[1] >= 54


def test_the_interval_of_the_error_is_the_written_rule() -> None:
    """Worked out once more with SciPy and loops, on either side of the bound."""
    rng = np.random.default_rng(2)
    for wrong, patients in ((0.0, 6), (0.3, 6), (0.1, 15)):
        confidence = rng.uniform(0.4, 1, 600)
        owner = rng.integers(0, patients, 600)
        right = rng.random(600) < confidence - wrong
        sums = calibration.bin_sums(confidence, right, owner, patients)
        weights = resample_weights(patients, 100, 3)
        errors, noise = [], []
        own = _gaps(confidence, right, np.ones(600))
        for row in weights:
            gaps = _gaps(confidence, right, row[owner])
            errors.append(np.abs(gaps).sum())
            noise.append(np.abs(gaps - own).sum())
        value = float(np.abs(own).sum())
        k = t.ppf(0.975, patients - 1) / norm.ppf(0.975) * np.sqrt(patients / (patients - 1))
        top = np.quantile(errors, 0.975)
        low = 0 if value <= k * np.quantile(noise, 0.95) else min(max(2 * value - top, 0), value)
        drawn = calibration.weighted(weights, sums)
        samples, centred = calibration.calibration_error(drawn), calibration.centred_error(drawn, sums.sum(0))
        found = calibration.error_interval(value, samples, centred, patients)
        assert found == pytest.approx((low, max(top, value)), abs=1e-9)
    assert np.isnan(calibration.error_interval(value, samples, centred, 1)).all()


def _gaps(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], weights: npt.NDArray[np.generic]
) -> npt.NDArray[np.float64]:
    """Confidence minus accuracy of each of 15 bins, by its share of the weighted ROIs."""
    place = np.digitize(confidence, np.linspace(0, 1, 16), right=True) - 1
    return np.bincount(place, weights * (confidence - right), 15) / weights.sum()
