"""ROC and precision-recall, weighted by patient, against scikit-learn on the resampled ROIs written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from desali.evaluation.bands import MACRO, bands
from desali.evaluation.curves import GRID, OneClass, auroc, average_precision, precision_recall, roc
from desali.evaluation.models import Model
from desali.evaluation.statistics import resample_weights
from tests.evaluation.cases import random_predictions


@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 8), st.booleans())
@settings(max_examples=40, deadline=None)
def test_areas_are_those_of_the_resample_written_out(seed: int, rois: int, patients: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(rois), 1) if ties else rng.random(rois)
    one = OneClass(scores, rng.random(rois) < 0.4, rng.integers(0, patients, rois), patients)
    weights = resample_weights(patients, 6, seed)
    for w, area, precision in zip(weights, auroc(one, weights), average_precision(one, weights), strict=True):
        index = np.repeat(np.arange(rois), w[one.patient])
        positive, s = one.positive[index], scores[index]
        if positive.any() and not positive.all():
            assert area == pytest.approx(roc_auc_score(positive, s))
        else:
            assert np.isnan(area)
        if positive.any():
            assert precision == pytest.approx(average_precision_score(positive, s))
        else:
            assert np.isnan(precision)


def test_curves_pass_through_the_points_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    scores = np.round(rng.random(300), 2)
    positive = rng.random(300) < scores
    one = OneClass(scores, positive, np.zeros(300, np.int64), 1)
    once = np.ones((1, 1), np.int64)
    false, true, _ = roc_curve(positive, scores, drop_intermediate=False)
    at = roc(one, once, false)[0]
    for x, y in zip(false, at, strict=True):
        assert y == pytest.approx(true[false == x].max() if x > 0 else true[false == 0].max())
    precision, recall, _ = precision_recall_curve(positive, scores)
    for x, y in zip(recall[:-1], precision_recall(one, once, recall[:-1])[0], strict=True):
        assert y == pytest.approx(precision[:-1][recall[:-1] == x][-1])  # the first threshold that reaches it
    fine = np.linspace(0, 1, 20_001)
    assert np.trapezoid(roc(one, once, fine)[0], fine) == pytest.approx(roc_auc_score(positive, scores), abs=1e-3)


def test_bands_hold_the_curve_and_leave_absent_classes_out() -> None:
    first = random_predictions(classes=4)
    keep = first.labels < 3
    fields = {name: getattr(first, name)[keep] for name in ("probabilities", "labels", "patients", "fold")}
    model = Model([type(first)(**{**vars(first), **fields})])
    result = bands(model, resample_weights(len(model.patients), 100, 0))
    for kind in ("ROC", "precision-recall"):
        assert list(result[kind]) == ["a", "b", "c", MACRO]
        band = result[kind][MACRO]
        assert band.value.shape == band.low.shape == GRID.shape
        assert (band.low <= band.high).all()
        inside = (band.low <= band.value + 1e-9) & (band.value <= band.high + 1e-9)
        assert inside.mean() > 0.9
        mean = np.mean([result[kind][name].value for name in "abc"], axis=0)
        np.testing.assert_allclose(band.value, mean)
