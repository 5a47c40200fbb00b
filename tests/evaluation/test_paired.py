"""McNemar with and without clusters, sign flips over several trainings, and how often they reject what is equal."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2

from desali.evaluation.flips import flip_matrices, flip_sums
from desali.evaluation.paired import clustered_mcnemar, mcnemar
from desali.evaluation.statistics import Counts


@given(st.integers(0, 40), st.integers(0, 40))
def test_plain_mcnemar_is_the_binomial_test(b: int, c: int) -> None:
    first = np.array([True] * b + [False] * c + [True] * 3)
    second = np.array([False] * b + [True] * c + [True] * 3)
    result = mcnemar(first, second)
    assert (result.only_first, result.only_second) == (b, c)
    assert result.p == pytest.approx(binomtest(b, b + c).pvalue if b + c else 1)


def obuchowski(x1: npt.NDArray[np.int64], x2: npt.NDArray[np.int64], n: npt.NDArray[np.int64]) -> float:
    """The statistic as published: variances and covariance of the two proportions under the pooled proportion."""
    total, count = n.sum(), len(n)
    p1, p2 = x1.sum() / total, x2.sum() / total
    r1, r2 = x1 - n * (p1 + p2) / 2, x2 - n * (p1 + p2) / 2
    scale = count / (count - 1) / total**2
    variance = scale * ((r1**2).sum() + (r2**2).sum() - 2 * (r1 * r2).sum())
    return float((p1 - p2) ** 2 / variance)


def test_clustered_mcnemar_is_the_published_formula() -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(1, 30, 17)
    x1, x2 = rng.binomial(n, 0.8), rng.binomial(n, 0.6)
    result = clustered_mcnemar((x1 - x2).astype(float))
    assert result.statistic == pytest.approx(obuchowski(x1, x2, n))
    assert result.p == pytest.approx(chi2.sf(result.statistic, 1))


def test_clustered_mcnemar_with_one_roi_a_patient_is_mcnemars() -> None:
    difference = np.array([1.0] * 25 + [-1.0] * 10 + [0.0] * 65)
    assert clustered_mcnemar(difference).statistic == pytest.approx(99 / 100 * (25 - 10) ** 2 / (25 + 10))
    assert clustered_mcnemar(np.zeros(12)) == (0, 1)
    assert clustered_mcnemar(np.ones(1)) == (0, 1)


def _matrices(hits: npt.NDArray[np.bool_]) -> Counts:
    """Confusion matrices [patients, 2, 2] of ROIs that all are of class 0 [patients, n]."""
    result = np.zeros((len(hits), 2, 2), np.int64)
    result[:, 0, 0], result[:, 0, 1] = hits.sum(1), (~hits).sum(1)
    return result


def test_type_i_errors_when_patients_differ_in_difficulty_for_each_model() -> None:
    """Two models alike on average: tests by patient keep 5 %, the one that ignores patients rejects far too often."""
    rng = np.random.default_rng(3)
    rejected = np.zeros(3)
    runs = 250
    for seed in range(runs):
        one, other = (rng.random((25, 30)) < rng.beta(6, 2, (25, 1)) for _ in range(2))
        flips = flip_matrices(_matrices(one), _matrices(other), flips=299, seed=seed).p[0]
        clustered = clustered_mcnemar((one.sum(1) - other.sum(1)).astype(float)).p
        rejected += np.array([flips, clustered, mcnemar(one.ravel(), other.ravel()).p]) < 0.05
    share = rejected / runs
    assert share[0] < 0.09
    assert share[1] < 0.09
    assert share[2] > 0.2


def test_sign_flips_swap_all_trainings_of_a_patient_together() -> None:
    rng = np.random.default_rng(5)
    one, other = (rng.random((2, 7, 20)) < q for q in (0.8, 0.6))  # [seeds, patients, ROIs]
    first = np.stack([_matrices(hits) for hits in one])
    second = np.stack([_matrices(hits) for hits in other])
    sums = one.sum(2).mean(0) - other.sum(2).mean(0)
    flipped = [abs(np.dot(signs, sums)) for signs in itertools.product((-1, 1), repeat=7)]
    expected = np.mean(np.array(flipped) >= abs(sums.sum()) - 1e-9)
    assert flip_matrices(first, second).p[0] == pytest.approx(expected)
    assert flip_sums(sums, np.full(7, 20)).p == pytest.approx(expected)
    # a model that was trained once stands against each training of the other
    single = flip_matrices(first, second[:1]).p[0]
    assert single == pytest.approx(flip_matrices(first, np.concatenate([second[:1], second[:1]])).p[0])


def test_sums_that_do_not_differ_have_p_1() -> None:
    assert flip_sums(np.zeros(20), np.ones(20, np.int64)).p == 1
    assert flip_sums(np.ones(20), np.full(20, 3)).p == pytest.approx(1e-4)
