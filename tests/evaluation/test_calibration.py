"""Calibration metrics against torchmetrics and scikit-learn, and what intervals of them do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss as sklearn_log_loss
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from desali.evaluation import calibration
from desali.evaluation.models import Model
from desali.evaluation.statistics import basic_interval, interval, resample_weights
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


def test_basic_interval_takes_the_shift_of_the_resamples_out() -> None:
    """The error of a calibrated model is above 0; its resamples are higher still, and only the basic interval knows."""
    rng = np.random.default_rng(1)
    covered = np.zeros(2)
    for seed in range(60):
        confidence = rng.uniform(0.4, 1, 500)
        right = rng.random(500) < confidence
        sums = calibration.bin_sums(confidence, right, np.repeat(np.arange(10), 50), 10)
        value = calibration.calibration_error(sums.sum(0))
        samples = calibration.calibration_error(calibration.weighted(resample_weights(10, 200, seed), sums))
        covered += [interval(samples)[0] <= 0, basic_interval(value, samples)[0] <= 0]
    assert covered[0] == 0
    assert covered[1] > 20
