"""Figures, bootstrap, Wilson, sign flips and Holm against independent references."""

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
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, recall_score

from desali.evaluation.comparison import point_figures
from desali.evaluation.paired import holm, sign_flip
from desali.evaluation.statistics import (
    FIGURES,
    bootstrap,
    confusion_by_group,
    figures_of,
    interval,
    resample_weights,
    wilson,
)

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
    groups = rng.integers(0, patients, rois)
    truth = (groups + rng.integers(0, 2, rois)) % classes  # a patient shows two classes only
    predicted = np.where(rng.random(rois) < 0.6, truth, rng.integers(0, classes, rois))
    return truth, predicted, np.array([f"P{group}" for group in groups])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
@settings(max_examples=60)
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs, np.int64).T
    _, matrices = confusion_by_group(truth, predicted, np.array(["P"] * len(truth)), 5)
    expected = reference(truth, predicted)
    np.testing.assert_allclose(figures_of(matrices[0]), expected, atol=1e-12)
    np.testing.assert_allclose(list(point_figures(truth, predicted).values()), expected, atol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        balanced = balanced_accuracy_score(truth, predicted)
    assert point_figures(truth, predicted)["macro recall"] == pytest.approx(balanced)


def test_bootstrap_is_the_loop_written_out() -> None:
    truth, predicted, groups = draw(3, patients=4)
    names, matrices = confusion_by_group(truth, predicted, groups, 4)
    weights = resample_weights(len(names), 50, seed=7)
    drawn = np.random.default_rng(7).integers(0, len(names), (50, len(names)))
    fast = bootstrap(matrices, weights)
    absent = 0
    for row, patients in zip(fast, drawn, strict=True):
        index = np.concatenate([np.flatnonzero(groups == names[patient]) for patient in patients])
        absent += len(np.unique(truth[index])) < 4
        np.testing.assert_allclose(row, reference(truth[index], predicted[index]), atol=1e-12)
    assert absent > 0  # the rule for absent classes was exercised


def test_bootstrap_of_a_thousand_rois_is_quick() -> None:
    truth, predicted, groups = draw(0, rois=1000, patients=20, classes=7)
    start = time.perf_counter()
    names, matrices = confusion_by_group(truth, predicted, groups, 7)
    samples = bootstrap(matrices, resample_weights(len(names), 2000, seed=0))
    assert time.perf_counter() - start < 1
    low, high = interval(samples)
    assert (low < figures_of(matrices.sum(0))).all()
    assert (figures_of(matrices.sum(0)) < high).all()


def test_interval_is_wider_when_the_rois_of_a_patient_agree() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    groups = np.array([f"P{k}" for k in np.arange(400) // 20])
    alike = np.where(np.repeat(rng.random(20) < 0.7, 20), truth, 1 - truth)
    alone = np.where(rng.random(400) < 0.7, truth, 1 - truth)
    widths = []
    for predicted in (alike, alone):
        _, matrices = confusion_by_group(truth, predicted, groups, 2)
        low, high = interval(bootstrap(matrices, resample_weights(20, 500, 1)))
        widths.append(high[0] - low[0])
    assert widths[0] > 2.5 * widths[1]


@pytest.mark.parametrize(("hits", "total"), [(0, 5), (5, 5), (890, 927), (1, 3)])
def test_wilson(hits: int, total: int) -> None:
    expected = binomtest(hits, total).proportion_ci(method="wilson")
    assert wilson(hits, total) == pytest.approx((expected.low, expected.high))
    z, share = 1.959963984540054, hits / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total**2)) / (1 + z * z / total)
    assert wilson(hits, total) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_sign_flip_of_accuracy_lists_all_signs() -> None:
    truth, first, groups = draw(1)
    second = draw(2)[1]
    names, a = confusion_by_group(truth, first, groups, 4)
    _, b = confusion_by_group(truth, second, groups, 4)
    sums = np.array([((first == truth).astype(int) - (second == truth))[groups == name].sum() for name in names])
    flipped = [abs(np.dot(signs, sums)) for signs in itertools.product((-1, 1), repeat=len(sums))]
    expected = np.mean(np.array(flipped) >= abs(sums.sum()))
    assert sign_flip(a, b)[FIGURES.index("accuracy")] == pytest.approx(expected)


def test_sign_flip_drawn_at_random_is_near_the_full_list(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, first, groups = draw(5)
    _, a = confusion_by_group(truth, first, groups, 4)
    _, b = confusion_by_group(truth, draw(6)[1], groups, 4)
    exact = sign_flip(a, b)
    monkeypatch.setattr("desali.evaluation.paired.EXACT_GROUPS", 0)
    np.testing.assert_allclose(sign_flip(a, b), exact, atol=0.03)
    assert (sign_flip(a, b) > 0).all()


def test_sign_flip_extremes() -> None:
    truth = np.tile(np.arange(2), 20)
    groups = np.repeat([f"P{k}" for k in range(10)], 4)
    _, right = confusion_by_group(truth, truth, groups, 2)
    _, wrong = confusion_by_group(truth, 1 - truth, groups, 2)
    np.testing.assert_allclose(sign_flip(right, wrong), 2 / 2**10)
    np.testing.assert_allclose(sign_flip(right, right), 1)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_nor_reorders(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-15).all()
    assert (adjusted <= np.minimum(1, np.array(p) * len(p)) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= -1e-12).all()
