"""Jackknife intervals against loops and SciPy; what they are where nothing varies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp

from desali.evaluation.jackknife import log_interval, logit_interval, t_interval

Patients = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=15).filter(
    lambda cells: sum(a + b for a, b in cells) > max(a + b for a, b in cells)
)
"""Right and wrong ROIs of each patient; at least two patients have some."""


def of_shares(cells: list[tuple[int, int]]) -> tuple[float, np.ndarray, int]:
    """Share of right ROIs, that without each patient, and their number."""
    right, both = np.array(cells)[:, 0].astype(float), np.sum(cells, axis=1).astype(float)
    keep = both > 0
    right, both = right[keep], both[keep]
    return right.sum() / both.sum(), (right.sum() - right) / (both.sum() - both), int(both.sum())


@given(Patients)
def test_a_logit_interval_stays_inside_holds_its_value_and_has_a_width(cells: list[tuple[int, int]]) -> None:
    value, without, rois = of_shares(cells)
    low, high = logit_interval(value, without, rois)
    assert 0 <= low <= value <= high <= 1
    assert high - low > 1e-9
    if value == 1:
        assert low == pytest.approx(0.05 ** (1 / len(without)))
    if value == 0:
        assert high == pytest.approx(1 - 0.05 ** (1 / len(without)))
    mirrored = logit_interval(1 - value, 1 - without, rois)
    assert 1 - mirrored[::-1] == pytest.approx(np.array([low, high]), abs=1e-9)


def test_equal_patients_have_the_t_interval_of_their_means() -> None:
    """With as many ROIs each, the jackknife of a mean is Student's t of the patients' means."""
    means = np.random.default_rng(0).normal(0.1, 0.2, 8)
    found = t_interval(means.mean(), (means.sum() - means) / 7)
    assert found == pytest.approx(np.array(ttest_1samp(means, 0).confidence_interval(0.95)))


def test_a_logit_interval_is_the_loop_written_out() -> None:
    value, without, rois = of_shares([(3, 1), (10, 2), (1, 4), (7, 7)])
    on_scale = [float(np.log(x / (1 - x))) for x in (value, *without)]
    error = np.sqrt(sum(3 / 4 * (x - on_scale[0]) ** 2 for x in on_scale[1:]))
    ends = [on_scale[0] + sign * t.ppf(0.975, 3) * error for sign in (-1, 1)]
    assert logit_interval(value, without, rois) == pytest.approx([1 / (1 + np.exp(-x)) for x in ends])
    wider = logit_interval(value, without, rois, holders=2)
    assert wider[0] < logit_interval(value, without, rois)[0]


def test_without_spread_an_interval_is_that_of_independent_rois() -> None:
    low, high = logit_interval(0.75, np.full(10, 0.75), 400)
    half = t.ppf(0.975, 9) * np.sqrt(0.75 * 0.25 / 400)
    assert high - low == pytest.approx(2 * half, rel=0.01)
    low, high = log_interval(0.5, np.full(10, 0.5), 400, 2.0)
    assert 0 < low < 0.5 < high < 2


def test_without_errors_a_loss_has_the_rule_of_three() -> None:
    assert log_interval(0.0, np.zeros(5), 50, 2.0) == pytest.approx([0, 2 * (1 - 0.05**0.2)])


def test_one_patient_has_no_interval() -> None:
    none = np.zeros(0)
    for found in (t_interval(0.5, none), logit_interval(0.5, none, 9), log_interval(0.5, none, 9, 2.0)):
        assert np.isnan(found).all()
    assert np.isnan(logit_interval(0.5, np.array([0.4, 0.6]), 9, holders=1)).all()
