"""Metrics, bootstrap, Wilson, sign flips and Holm against independent references."""

from __future__ import annotations

import itertools
import time
import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from desali.evaluation.comparison import compare
from desali.evaluation.flips import flip_matrices
from desali.evaluation.models import Model
from desali.evaluation.paired import holm
from desali.evaluation.statistics import (
    METRICS,
    Counts,
    Floats,
    combine,
    interval,
    metrics_of,
    resample_weights,
    wilson,
)
from tests.evaluation.cases import certain

Case = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.str_]]


def reference(truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> list[float]:
    """scikit-learn, one score at a time."""
    options = {"labels": np.unique(truth), "zero_division": 0}
    scores = (recall_score, precision_score, f1_score)
    macro = [float(score(truth, predicted, average="macro", **options)) for score in scores]
    weighted = [float(score(truth, predicted, average="weighted", **options)) for score in scores]
    return [float(np.mean(truth == predicted)), *macro, *weighted]


def draw(seed: int, rois: int = 60, patients: int = 8, classes: int = 4) -> Case:
    rng = np.random.default_rng(seed)
    owners = rng.integers(0, patients, rois)
    truth = (owners + rng.integers(0, 2, rois)) % classes  # a patient shows two classes only
    predicted = np.where(rng.random(rois) < 0.6, truth, rng.integers(0, classes, rois))
    return truth, predicted, np.array([f"P{owner}" for owner in owners])


def all_metrics(model: Model, weights: Counts) -> Floats:
    """The `METRICS` [b, 7] of the model's only training."""
    found, _ = model.metrics(weights, weights[:1])
    return np.stack([found[name][0] for name in METRICS], axis=-1)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_metrics_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs, np.int64).T
    model = certain(truth, predicted, np.array(["P"] * len(truth)), 5)
    expected = reference(truth, predicted)
    np.testing.assert_allclose(metrics_of(model.matrices[0, 0]), expected, atol=1e-12)
    found = all_metrics(model, np.ones((1, 1), np.int64))[0]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        balanced = balanced_accuracy_score(truth, predicted)
    assert found[METRICS.index("macro recall")] == pytest.approx(balanced)


def test_confusion_matrices_are_those_of_scikit_learn() -> None:
    truth, predicted, patients = draw(4)
    model = certain(truth, predicted, patients, 4)
    assert model.patients.tolist() == sorted(set(patients.tolist()))
    for name, matrix in zip(model.patients, model.matrices[0], strict=True):
        mine = patients == name
        np.testing.assert_array_equal(matrix, confusion_matrix(truth[mine], predicted[mine], labels=range(4)))


def test_bootstrap_is_the_loop_written_out() -> None:
    truth, predicted, patients = draw(3, patients=4)
    model = certain(truth, predicted, patients, 4)
    names = model.patients
    drawn = np.random.default_rng(7).integers(0, len(names), (50, len(names)))
    fast = all_metrics(model, resample_weights(len(names), 50, seed=7))
    absent = 0
    for row, chosen in zip(fast, drawn, strict=True):
        index = np.concatenate([np.flatnonzero(patients == names[patient]) for patient in chosen])
        absent += len(np.unique(truth[index])) < 4
        np.testing.assert_allclose(row, reference(truth[index], predicted[index]), atol=1e-12)
    assert absent > 0  # the rule for absent classes was exercised


def test_bootstrap_of_a_thousand_rois_is_quick() -> None:
    truth, predicted, patients = draw(0, rois=1000, patients=20, classes=7)
    start = time.perf_counter()
    (matrices,) = certain(truth, predicted, patients, 7).matrices
    samples = metrics_of(combine(resample_weights(len(matrices), 2000, seed=0), matrices))
    assert time.perf_counter() - start < 1
    low, high = interval(samples)
    assert (low < metrics_of(matrices.sum(0))).all()
    assert (metrics_of(matrices.sum(0)) < high).all()


def test_interval_is_wider_when_the_rois_of_a_patient_agree() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    patients = np.array([f"P{k}" for k in np.arange(400) // 20])
    alike = np.where(np.repeat(rng.random(20) < 0.7, 20), truth, 1 - truth)
    alone = np.where(rng.random(400) < 0.7, truth, 1 - truth)
    widths = []
    for predicted in (alike, alone):
        model = certain(truth, predicted, patients, 2)
        estimate = compare(model.trainings, resamples=500, seed=1).evaluations[0].metrics["accuracy"]
        widths.append(estimate.high - estimate.low)
    assert widths[0] > 2.5 * widths[1]


@pytest.mark.parametrize(("hits", "total"), [(0, 5), (5, 5), (890, 927), (1, 3)])
def test_wilson(hits: int, total: int) -> None:
    expected = binomtest(hits, total).proportion_ci(method="wilson")
    assert wilson(hits, total) == pytest.approx((expected.low, expected.high))
    z, share = 1.959963984540054, hits / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total**2)) / (1 + z * z / total)
    assert wilson(hits, total) == pytest.approx((centre - half, centre + half), abs=1e-12)


def matrices_of(case: Case, classes: int = 4) -> Counts:
    """Confusion matrices [patients, classes, classes]."""
    (found,) = certain(*case, classes).matrices
    return found


def test_sign_flip_of_accuracy_lists_all_signs() -> None:
    truth, first, patients = draw(1)
    second = draw(2)[1]
    a, b = matrices_of((truth, first, patients)), matrices_of((truth, second, patients))
    gain = (first == truth).astype(int) - (second == truth)
    sums = np.array([gain[patients == name].sum() for name in np.unique(patients)])
    flipped = [abs(np.dot(signs, sums)) for signs in itertools.product((-1, 1), repeat=len(sums))]
    expected = np.mean(np.array(flipped) >= abs(sums.sum()))
    assert flip_matrices(a, b).p[METRICS.index("accuracy")] == pytest.approx(expected)


def test_sign_flip_drawn_at_random_is_near_the_full_list(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, first, patients = draw(5)
    a, b = matrices_of((truth, first, patients)), matrices_of((truth, draw(6)[1], patients))
    exact = flip_matrices(a, b).p
    monkeypatch.setattr("desali.evaluation.flips.LISTED_PATIENTS", 0)
    np.testing.assert_allclose(flip_matrices(a, b).p, exact, atol=0.03)
    assert (flip_matrices(a, b).p > 0).all()


def test_sign_flip_extremes() -> None:
    truth = np.tile(np.arange(2), 20)
    patients = np.repeat([f"P{k}" for k in range(10)], 4)
    right, wrong = matrices_of((truth, truth, patients), 2), matrices_of((truth, 1 - truth, patients), 2)
    np.testing.assert_allclose(flip_matrices(right, wrong).p, 2 / 2**10)
    np.testing.assert_allclose(flip_matrices(right, right).p, 1)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_nor_reorders(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-15).all()
    assert (adjusted <= np.minimum(1, np.array(p) * len(p)) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= -1e-12).all()
