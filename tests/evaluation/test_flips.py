"""Inverted sign flips: the interval is the set of differences that a brute-force test does not reject."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from desali.evaluation.flips import flip_matrices, flip_sums
from desali.evaluation.statistics import METRICS, Counts, metrics_of


def p_at(sums: npt.NDArray[np.float64], rois: npt.NDArray[np.int64], shift: float) -> float:
    """Every sign of every patient, after `shift` has been taken off each ROI."""
    rest = sums - shift * rois
    flips = itertools.product((-1, 1), repeat=len(sums))
    return float(np.mean([abs(np.dot(signs, rest)) >= abs(rest.sum()) - 1e-9 for signs in flips]))


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 12)), min_size=6, max_size=9))
@settings(max_examples=40, deadline=None)
def test_the_interval_is_what_the_test_does_not_reject(patients: list[tuple[int, int]]) -> None:
    sums, rois = np.array(patients, float)[:, 0], np.array(patients)[:, 1]
    found = flip_sums(sums, rois)
    assert found.p == pytest.approx(p_at(sums, rois, 0))
    assert (found.low <= 0 <= found.high) == (found.p >= 0.05)
    step = 1e-6
    assert p_at(sums, rois, float(found.low) + step) >= 0.05 or found.low == found.high
    assert p_at(sums, rois, float(found.high) - step) >= 0.05 or found.low == found.high
    assert p_at(sums, rois, float(found.low) - step) < 0.05
    assert p_at(sums, rois, float(found.high) + step) < 0.05


def test_p_is_that_of_scipy() -> None:
    sums = np.random.default_rng(3).normal(0.5, 1, 9)
    options = {"permutation_type": "samples", "n_resamples": np.inf}
    expected = permutation_test((sums,), lambda x, axis: np.sum(x, axis), **options)
    assert flip_sums(sums, np.full(9, 5)).p == pytest.approx(expected.pvalue)


def test_with_five_patients_no_difference_can_be_rejected() -> None:
    found = flip_sums(np.ones(5), np.full(5, 4))
    assert (found.p, found.low, found.high) == (2 / 32, -np.inf, np.inf)
    assert np.isfinite(flip_sums(np.array([1.0, 2, 3, 2, 1, 2]), np.full(6, 4))).all()


def matrices(seed: int, patients: int, skill: float) -> Counts:
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(1).integers(0, 3, (patients, 20))
    said = np.where(rng.random(truth.shape) < skill, truth, rng.integers(0, 3, truth.shape))
    result = np.zeros((patients, 3, 3), np.int64)
    np.add.at(result, (np.arange(patients)[:, None], truth, said), 1)
    return result


@pytest.mark.parametrize("patients", [8, 30])
def test_interval_and_p_of_every_metric_agree(patients: int) -> None:
    decided = 0
    for seed in range(12):
        found = flip_matrices(matrices(seed, patients, 0.7), matrices(seed + 50, patients, 0.7 - seed / 60), seed=seed)
        for k, name in enumerate(METRICS):
            assert (found.low[k] <= 0 <= found.high[k]) == (found.p[k] >= 0.05), (seed, name)
            decided += found.p[k] < 0.05
    assert 0 < decided < 12 * 7


def test_the_interval_of_the_macro_f1_is_found_by_trying_differences() -> None:
    """All swaps of seven patients, one hypothetical difference after the other."""
    one, other = matrices(4, 7, 0.8), matrices(5, 7, 0.6)
    found = flip_matrices(one, other)
    k = METRICS.index("macro F1")
    support = one.sum(2)
    share = (support / support.sum(0)).mean(1)
    observed = float(metrics_of(one.sum(0))[k] - metrics_of(other.sum(0))[k])
    flips = []
    for swap in itertools.product((0, 1), repeat=7):
        chosen = np.array(swap)[:, None, None] == 1
        a, b = np.where(chosen, other, one).sum(0), np.where(chosen, one, other).sum(0)
        flips.append((float(metrics_of(a)[k] - metrics_of(b)[k]), float(np.dot(swap, share))))

    def p(shift: float) -> float:
        return float(np.mean([abs(a - shift * (1 - 2 * w)) >= abs(observed - shift) - 1e-12 for a, w in flips]))

    assert found.p[k] == pytest.approx(p(0))
    kept = [shift for shift in np.linspace(-1, 1, 2001) if p(shift) >= 0.05]
    assert (min(kept), max(kept)) == pytest.approx((found.low[k], found.high[k]), abs=1.1e-3)


def test_alike_models_have_p_1_and_no_difference() -> None:
    same = matrices(1, 9, 0.7)
    found = flip_matrices(same, same)
    np.testing.assert_array_equal(found, [[1] * 7, [0] * 7, [0] * 7])
