"""Intervals of a share of traceable channels and of differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from desali.comparison.jackknife import difference_interval, half_width, share_interval


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0, 1))
def test_a_share_and_its_value_without_bias_lie_inside(left_out: list[float], share: float) -> None:
    values = np.array(left_out)
    blocks = len(values)
    low, high = share_interval(share, values) or (2, -1)
    unbiased = float(np.clip(blocks * share - (blocks - 1) * values.mean(), 0, 1))
    error = np.sqrt((blocks - 1) / blocks * np.square(values - values.mean()).sum())
    half = t.ppf(0.975, blocks - 1) * error
    assert (low, high) == pytest.approx((max(0, min(share, unbiased) - half), min(1, max(share, unbiased) + half)))


def test_a_difference_has_students_t_of_the_jackknifes_error() -> None:
    left_out = np.array([0.1, 0.12, 0.08, 0.13])
    half = t.ppf(0.975, 3) * np.sqrt(3 / 4 * np.square(left_out - left_out.mean()).sum())
    assert half_width(left_out) == pytest.approx(half)
    assert difference_interval(0.1, left_out) == pytest.approx((0.1 - half, 0.1 + half))
    assert difference_interval(0.99, 9 * left_out) == pytest.approx((0.99 - 9 * half, 1))
    assert difference_interval(0.1, np.array([0.1, 0.1, 0.1])) == pytest.approx((0.1, 0.1))


def test_one_block_has_no_interval() -> None:
    assert share_interval(0.5, np.array([0.5])) is None
    assert difference_interval(0.1, np.zeros(1)) is None
    assert difference_interval(0.1, np.array([0.1, np.nan])) is None
