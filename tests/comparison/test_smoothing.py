"""The filters and the quantile that stand in for SciPy's give SciPy's numbers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.ndimage
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from desali.comparison.smoothing import gaussian, gaussian_along, sigmoid, sobel, student_t

sizes = st.integers(1, 40)


@settings(max_examples=60)
@given(height=sizes, width=sizes, sigma=st.floats(0.0, 8.0), seed=st.integers(0, 1000))
def test_blur(height: int, width: int, sigma: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(height, width))
    values[values < 0.3] = 0  # what is silent stays silent, bit by bit
    expected = scipy.ndimage.gaussian_filter(values, sigma)
    found = gaussian(values, sigma)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
    assert np.array_equal(found == 0, expected == 0)
    sigma = max(sigma, 0.01)
    one = gaussian_along(values, sigma, 1)
    np.testing.assert_allclose(one, scipy.ndimage.gaussian_filter1d(values, sigma, axis=1), rtol=0, atol=1e-14)


@given(height=sizes, width=sizes, axis=st.integers(0, 1), seed=st.integers(0, 1000))
def test_sobel(height: int, width: int, axis: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(height, width))
    expected = scipy.ndimage.sobel(values, axis=axis, mode="nearest")
    np.testing.assert_allclose(sobel(values, axis), expected, rtol=0, atol=1e-13)


def test_sigmoid() -> None:
    values = np.concatenate([np.linspace(-40, 40, 1001), [-1e300, 1e300, np.inf, -np.inf]])
    np.testing.assert_allclose(sigmoid(values), scipy.special.expit(values), rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.975, 0.995])
@pytest.mark.parametrize("freedom", [1.0, 1.5, 2.0, 7.3, 30.0, 186.4, 2500.0])
def test_quantile_of_students_t(freedom: float, share: float) -> None:
    assert student_t(freedom, share) == pytest.approx(scipy.special.stdtrit(freedom, share), rel=1e-9, abs=1e-9)


def test_a_figure_loads_no_scipy() -> None:
    code = (
        "import sys, numpy as np\n"
        "from desali.comparison.controls import likeness, likeness_null\n"
        "from desali.figures.drawing.display import display_map\n"
        "from desali.figures.drawing.edges import edge_map\n"
        "x = np.random.default_rng(0).normal(size=(9, 9)); likeness(x, x); likeness_null((9, 9)); edge_map(x)\n"
        "display_map(x[None], colour=False)\n"
        "print([name for name in sys.modules if name.startswith(('scipy', 'matplotlib'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
