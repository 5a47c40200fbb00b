"""Class purity, linear probe and similarity against independent oracles: sorting by hand, scikit-learn, brute force."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from desali.comparison.numbers import _interval, _signed_interval
from desali.comparison.probe import balanced_accuracy, classify, discriminants, task
from desali.comparison.purity import STRONGEST, purities, strongest
from desali.comparison.similarity import Kernels, hsic, kernel
from desali.comparison.strongest import Ranking
from desali.evaluation.jackknife import logit_interval

SEEDS = st.integers(0, 10_000)


def taken_by_hand(values: np.ndarray, patients: np.ndarray) -> list[int]:
    """One image a patient, strongest first, then the rest, strongest first; those that do not open the channel last."""
    order = sorted(np.flatnonzero(values > 0).tolist(), key=lambda k: -values[k])
    seen: set[int] = set()
    first, rest = [], []
    for k in order:
        (rest if patients[k] in seen else first).append(k)
        seen.add(patients[k])
    return first + rest + np.flatnonzero(values <= 0).tolist()


def purity_by_hand(values: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> float:
    nine = taken_by_hand(values, patients)[:9]
    return max(Counter(labels[nine].tolist()).values()) / 9


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(9, 40), st.integers(1, 30), st.integers(2, 5))
def test_purity_is_that_of_a_hand_made_choice(seed: int, n: int, owners: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    strength = rng.normal(1, 1, (n, 4))
    patients = np.unique(rng.integers(0, owners, n), return_inverse=True)[1]
    labels = rng.integers(0, classes, n)
    chosen = strongest(strength, patients, n)
    for c in range(4):
        assert chosen[:, c].tolist() == taken_by_hand(strength[:, c], patients)
    found = purities(strength, labels, patients, patients)
    assert found is not None
    each, left_out = found
    opened = [c for c in range(4) if (strength[:, c] > 0).sum() >= 9]
    for c in range(4):
        if c in opened:
            assert each[c] == pytest.approx(purity_by_hand(strength[:, c], labels, patients))
        else:
            assert np.isnan(each[c])
    counts = np.bincount(patients)
    if not opened or n - counts.max() < STRONGEST or len(counts) < 2:
        assert np.isnan(left_out).all()
        return
    for block in range(len(counts)):
        rest = patients != block
        left = [c for c in opened if (strength[rest, c] > 0).sum() >= 9]
        expected = [purity_by_hand(strength[rest, c], labels[rest], patients[rest]) for c in left]
        assert left_out[block] == pytest.approx(np.mean(expected) if left else np.nan, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.lists(st.integers(1, 12), min_size=2, max_size=12), st.floats(-2, 1))
def test_the_nine_strongest_are_those_of_a_sheet(seed: int, sizes: list[int], middle: float) -> None:
    patients = np.repeat(np.arange(len(sizes)), sizes)
    n = len(patients)
    strength = np.random.default_rng(seed).normal(middle, 1, (n, 5))
    ranking = Ranking(5, torch.device("cpu"))
    ranking.add(torch.from_numpy(strength), torch.zeros(n, 5, dtype=torch.int64), np.arange(n), patients.astype(str))
    found, chosen = ranking.found(), strongest(strength, patients, 9)
    for c in np.flatnonzero((strength > 0).sum(0) >= 9):
        assert {image for _, image, _ in found.of(c)} == set(chosen[:, c].tolist())


def test_images_that_do_not_open_a_channel_are_none_of_its_strongest() -> None:
    labels, patients = np.array([0] * 9 + [1] * 5 + [2] * 5), np.array([0] * 9 + list(range(1, 11)))
    strength = np.where(labels == 0, 1.0, -0.5)[:, None]
    found = purities(strength, labels, patients, patients)
    assert found is not None
    assert found[0][0] == 1
    assert np.isnan(found[1][0])  # without that patient no image opens it
    assert found[1][1:].tolist() == [1] * 10


def test_purity_of_known_channels() -> None:
    labels, patients = np.repeat([0, 1], 12), np.arange(24)
    strength = np.stack([1.0 + (labels == 0), np.where(np.arange(24) < 8, 1.0, -1.0), np.arange(24.0)], 1)
    found = purities(strength, labels, patients, patients)
    assert found is not None
    assert found[0][0] == 1
    assert np.isnan(found[0][1])  # eight images open it
    assert found[0][2] == 1
    assert purities(strength[:8], labels[:8], patients[:8], patients[:8]) is None
    mixed = purities(np.ones((24, 1)) + 1e-3 * (np.arange(24) % 12 == 0)[:, None], labels, patients, patients)
    assert mixed is not None
    assert mixed[0][0] >= 5 / 9


def ledoit_wolf_lda(x: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Discriminants with scikit-learn's covariance and a plain inverse."""
    from sklearn.covariance import ledoit_wolf

    known = np.unique(labels)
    means = np.stack([x[labels == label].mean(0) for label in known])
    around = x - means[np.searchsorted(known, labels)]
    scale = around.std(0)
    covariance, _ = ledoit_wolf(around / scale, assume_centered=True)
    inverse = np.linalg.inv(covariance * np.outer(scale, scale))
    return asked @ inverse @ means.T - 0.5 * np.einsum("kp,pq,kq->k", means, inverse, means)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(2, 4), st.integers(1, 60))
def test_probe_is_discriminant_analysis_with_scikit_learns_covariance(seed: int, classes: int, p: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), np.arange(classes), rng.integers(0, classes, 14)])
    mix = rng.normal(size=(p, p)) if p < 10 else np.eye(p)
    x = (rng.normal(size=(len(labels), p)) + labels[:, None] * rng.normal(size=p)) @ mix * 10 ** rng.normal(size=p)
    asked = x + rng.normal(size=x.shape)
    got, expected = discriminants(x, labels, asked), ledoit_wolf_lda(x, labels, asked)
    gaps = [values - values[:, :1] for values in (got, expected)]  # a term that all classes share decides nothing
    np.testing.assert_allclose(*gaps, rtol=1e-4, atol=1e-6 * np.abs(gaps[1]).max())
    scaled = 10.0 ** rng.integers(-3, 4, p)
    np.testing.assert_allclose(discriminants(x * scaled, labels, asked * scaled), got, rtol=1e-4, atol=1e-5)
    order = rng.permutation(p)
    assert (classify(x[:, order], labels, asked[:, order]) == got.argmax(1)).all()


def test_probe_agrees_with_scikit_learns_own_classifier_where_images_are_many() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 2000)
    x = rng.normal(size=(6000, 5)) @ rng.normal(size=(5, 5)) + labels[:, None] * [0.5, -0.3, 0.2, 0, 0]
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[1 / 3] * 3).fit(x[::2], labels[::2])
    assert (classify(x[::2], labels[::2], x[1::2]) == theirs.predict(x[1::2])).mean() > 0.98


def test_probe_keeps_patients_together_and_counts_held_out_images_alone() -> None:
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(3)
    patients = np.repeat(np.arange(12), 5)
    labels = patients % 3
    asked = task(labels, patients, patients)
    assert asked is not None
    assert sorted(np.concatenate(asked.held).tolist()) == list(range(60))
    predicted = np.empty(60, int)
    x = rng.normal(size=(60, 30)) + labels[:, None]
    x[:, 0] = patients  # would give a patient away
    for fold in asked.held:
        rest = np.setdiff1d(np.arange(60), fold)
        assert not set(patients[fold]) & set(patients[rest])
        assert set(labels[rest]) == {0, 1, 2}
        predicted[fold] = ledoit_wolf_lda(x[rest], labels[rest], x[fold]).argmax(1)
    value, left_out = balanced_accuracy(x, asked)
    assert value == pytest.approx(balanced_accuracy_score(labels, predicted))
    for patient in range(12):
        rest = patients != patient
        assert left_out[patient] == pytest.approx(balanced_accuracy_score(labels[rest], predicted[rest]))
    assert balanced_accuracy(rng.normal(size=(60, 30)), asked)[0] < 0.6
    assert balanced_accuracy(np.ones((60, 4)), asked)[0] == pytest.approx(1 / 3)


def test_classes_of_one_patient_are_no_task() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    assert task(labels, np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 2, 2])) is None
    asked = task(labels, np.array([0, 3, 1, 4, 2, 2]), np.arange(6))
    assert asked is not None
    assert asked.left_out == 1
    assert asked.used.tolist() == [True] * 4 + [False] * 2
    assert asked.classes == 2


def hsic_by_definition(k: np.ndarray, other: np.ndarray) -> float:
    """Song et al. 2012, theorem 2, as a U-statistic: the mean of h over all ordered quadruples of different images."""
    n = len(k)
    total, count = 0.0, 0
    for i, j, q, r in itertools.permutations(range(n), 4):
        total += k[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q])
        count += 1
    return total / count


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(4, 7))
def test_hsic_is_the_mean_over_quadruples(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    k, other = (x @ x.T for x in rng.normal(size=(2, n, 3)))
    blocks = np.arange(n)
    found = hsic(k, other, blocks)
    assert found[0] == pytest.approx(hsic_by_definition(k, other), abs=1e-9)
    for one in range(n):
        rest = np.delete(np.arange(n), one)
        grid = np.ix_(rest, rest)
        if n == 4:
            assert np.isnan(found[1 + one])
        else:
            assert found[1 + one] == pytest.approx(hsic_by_definition(k[grid], other[grid]), abs=1e-9)


def u_centred(k: np.ndarray) -> np.ndarray:
    """Szekely and Rizzo 2014, definition 2."""
    n = len(k)
    a = k - np.diag(np.diagonal(k))
    rows, whole = a.sum(1), a.sum()
    centred = a - rows[:, None] / (n - 2) - rows[None] / (n - 2) + whole / ((n - 1) * (n - 2))
    return centred - np.diag(np.diagonal(centred))


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(6, 14))
def test_similarity_is_that_of_what_regression_on_the_input_leaves(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, p, q = (rng.normal(size=(n, 4)) for _ in range(4))
    k, other = kernel(np.concatenate([x, p, p], 1)), kernel(np.concatenate([x, y, p, q], 1))
    inputs = [kernel(p), kernel(q)]
    blocks = np.sort(np.arange(n) % 3)
    value, left_out = Kernels(inputs, blocks).left_out(k, other)
    without = [np.ones(n, bool), *(blocks != block for block in range(3))]
    for got, rest in zip([value, *left_out], without, strict=True):
        grid = np.ix_(rest, rest)
        if rest.sum() < 4:
            assert np.isnan(got)
            continue
        flat = [u_centred(one[grid]).ravel() for one in (k, other, *inputs)]
        confounders = np.stack(flat[2:], 1)
        left = [one - confounders @ np.linalg.lstsq(confounders, one, rcond=None)[0] for one in flat[:2]]
        norms = [float(part @ part) for part in left]
        if min(norms) > 1e-6:
            assert got == pytest.approx(left[0] @ left[1] / np.sqrt(norms[0] * norms[1]), abs=1e-6)
    assert Kernels(inputs, blocks).similarity(k, other) == pytest.approx(value, nan_ok=True)


def test_similarity_of_known_networks() -> None:
    rng = np.random.default_rng(1)
    n = 80
    pixels, x, y = (rng.normal(size=(n, 12)) for _ in range(3))
    kernels = Kernels([kernel(pixels)], np.arange(n) % 8)
    both = [np.concatenate([one, 3 * pixels], 1) for one in (x, y)]
    same = kernel(both[0] * np.exp(rng.normal(size=24)))
    assert kernels.similarity(kernel(both[0]), same) == pytest.approx(1, abs=1e-9)  # no scale counts
    assert kernels.similarity(kernel(both[0]), kernel(both[0][:, rng.permutation(24)])) == pytest.approx(1, abs=1e-9)
    assert abs(kernels.similarity(kernel(both[0]), kernel(both[1]))) < 0.15
    assert Kernels([], np.arange(n) % 8).similarity(kernel(both[0]), kernel(both[1])) > 0.3  # the input alone
    assert np.isnan(kernels.similarity(kernel(np.ones((n, 3))), kernel(x)))
    assert np.isnan(kernels.similarity(kernel(pixels), kernel(x)))


@given(st.floats(0.02, 0.98), SEEDS)
def test_intervals_hold_their_value(value: float, seed: int) -> None:
    left_out = np.clip(value + np.random.default_rng(seed).normal(0, 0.01, 12), 0.01, 0.99)
    found = _interval(value, left_out, 40)
    assert found is not None
    low, high = found
    assert 0 <= low <= value <= high <= 1
    assert found == pytest.approx(tuple(logit_interval(value, left_out, 40)))
    turned = _signed_interval(2 * value - 1, 2 * left_out - 1, 40)
    assert turned == pytest.approx((2 * low - 1, 2 * high - 1))


def test_intervals_at_their_ends() -> None:
    low, high = _interval(0.78, np.full(20, 0.78), 100) or (0, 0)  # no patient decides, and still nothing is certain
    assert low < 0.71 < 0.85 < high
    assert _interval(1.0, np.ones(20), 100) == pytest.approx((0.05 ** (1 / 20), 1))
    assert _interval(0.0, np.zeros(20), 100) == pytest.approx((0, 1 - 0.05 ** (1 / 20)))
    assert _interval(0.5, np.ones(1), 100) is None
    assert _interval(0.5, np.array([0.4, np.nan]), 100) is None
    assert _signed_interval(1 - 1e-14, np.ones(20), 100) == (1, 1)
    assert _signed_interval(1.0, np.ones(1), 100) is None
    assert _signed_interval(np.nan, np.full(20, np.nan), 100) is None
