from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from desali.errors import DataError, UnknownNameError
from desali.figures.drawing.display import (
    display,
    display_map,
    display_positive,
    display_signed,
    scale_text,
    summarise_activation,
    to_grey,
)

finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
finite64 = st.floats(allow_nan=False, allow_infinity=False)
shapes = hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)


@given(hnp.arrays(np.float32, shapes, elements=finite32) | hnp.arrays(np.float64, shapes, elements=finite64))
def test_display_is_bounded_monotone_and_puts_zero_at_mid_grey(x: npt.NDArray[np.floating]) -> None:
    pixels, scale = display(x)
    assert pixels.shape == x.shape
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert np.all(pixels[x == 0] == 0.5)
    assert np.all(np.diff(pixels.ravel()[np.argsort(x, axis=None)]) >= 0)
    assert scale < 0 or (scale == 0 and not x.any())


@given(hnp.arrays(np.float32, (4, 5), elements=finite32))
def test_display_with_the_scale_it_returned_gives_the_same_pixels(x: npt.NDArray[np.float32]) -> None:
    pixels, scale = display(x)
    again, same = display(x, scale)
    assert same == scale
    np.testing.assert_array_equal(pixels, again)


def test_display_follows_the_published_formula() -> None:
    x = np.random.default_rng(0).normal(size=(40, 50))
    x[0, 0] = -50  # the lower tail is the longer one
    x[0, 1:12] = -4
    a = np.quantile(x, 0.005)
    pixels, scale = display(x)
    assert scale == a
    np.testing.assert_allclose(pixels, 1 / (1 + np.exp(np.log(99) * x / a)), rtol=1e-12)
    ends, _ = display(np.array([a, 0.0, -a]), scale)
    np.testing.assert_allclose(ends, [0.01, 0.5, 0.99], rtol=1e-12)


def test_a_map_whose_tails_differ_is_not_white_all_over() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.exponential(1.0, 4000), -rng.exponential(0.02, 1000)])
    pixels, scale = display(x)
    assert scale == pytest.approx(-np.quantile(x, 0.995))
    assert (pixels > 0.98).mean() < 0.02
    turned, same = display(-x)
    assert same == pytest.approx(scale)
    np.testing.assert_allclose(turned, 1 - pixels, atol=1e-12)


def test_display_falls_back_to_the_largest_magnitude_when_the_quantiles_are_near_zero() -> None:
    x = np.full(10_000, -9e-6)
    x[0], x[1] = -3.0, 7.0
    pixels, scale = display(x)
    assert scale == -7.0
    assert pixels[1] == pytest.approx(0.99)


def test_display_scales_an_all_positive_map_by_its_peak() -> None:
    pixels, scale = display(np.array([0.5, 2.0, 1.0]))
    assert scale == -2.0
    assert pixels[1] == pytest.approx(0.99)
    assert pixels.min() > 0.5


def test_display_of_a_zero_map_is_mid_grey_with_scale_zero() -> None:
    pixels, scale = display(np.zeros((3, 4)))
    assert np.all(pixels == 0.5)
    assert (scale, str(scale)) == (0.0, "0.0")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_maps_with_nan_or_infinity_are_refused_everywhere(bad: float) -> None:
    x = np.ones((3, 2, 2))
    x[1, 0, 1] = bad
    for function in (display, to_grey, summarise_activation, display_positive):
        with pytest.raises(DataError, match="1 NaN or infinite") as error:
            function(x)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("scale", [0.0, np.nan, np.inf])
def test_display_refuses_a_scale_that_cannot_scale(scale: float) -> None:
    with pytest.raises(DataError, match="display scale"):
        display(np.ones(3), scale)


def test_empty_maps_are_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        display(np.zeros((0, 3)))


@given(hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(-100, 100, width=32)), st.integers(0, 2**31))
def test_to_grey_is_the_adjoint_of_copying_grey_to_the_channels(m: npt.NDArray[np.float32], seed: int) -> None:
    grey = np.random.default_rng(seed).normal(size=(4, 5))
    copied = np.broadcast_to(grey, (3, 4, 5))
    assert np.vdot(copied, m) == pytest.approx(np.vdot(grey, to_grey(m)), abs=1e-8)


def test_display_map_keeps_the_colours_of_a_colour_input_on_one_scale() -> None:
    m = torch.randn(3, 6, 7, generator=torch.Generator().manual_seed(0))
    image, scale = display_map(m, colour=True)
    expected, same = display(m.numpy())
    assert (image.shape, scale) == ((6, 7, 3), same)
    np.testing.assert_array_equal(image, np.moveaxis(expected, 0, -1))
    grey, _ = display_map(m, colour=False)
    np.testing.assert_array_equal(grey, display(m.double().numpy().sum(axis=0))[0])
    with pytest.raises(DataError, match=r"\[3, H, W\]"):
        display_map(m[:2], colour=True)


def test_summaries_are_the_mean_and_the_root_mean_square_over_channels() -> None:
    x = np.random.default_rng(1).normal(size=(5, 3, 4))
    np.testing.assert_allclose(summarise_activation(x), np.abs(x).mean(0))
    np.testing.assert_allclose(summarise_activation(x, "rms"), np.sqrt((x**2).mean(0)))
    assert not summarise_activation(np.zeros((2, 3, 3)), "rms").any()
    with pytest.raises(UnknownNameError, match="mean"):
        summarise_activation(x, "maen")  # type: ignore[arg-type]


@pytest.mark.parametrize(("channels", "shape"), [(4096, (64, 64)), (12, (3, 4)), (7, (1, 7)), (1, (1, 1))])
def test_a_layer_without_positions_is_wrapped_row_by_row(channels: int, shape: tuple[int, int]) -> None:
    x = np.arange(channels, dtype=np.float64)
    summary = summarise_activation(x)
    assert summary.shape == shape
    np.testing.assert_array_equal(summary.ravel(), x)


def test_display_positive_divides_by_the_maximum() -> None:
    pixels, top = display_positive(np.array([[0.0, 2.0], [4.0, 1.0]]))
    assert top == 4.0
    np.testing.assert_array_equal(pixels, [[0, 0.5], [1, 0.25]])
    np.testing.assert_array_equal(display_positive(np.array([1.0, 4.0]), 2.0)[0], [0.5, 1.0])
    assert display_positive(np.zeros(3))[1] == 0.0
    with pytest.raises(DataError, match="below 0"):
        display_positive(np.array([-0.1, 1]))


@pytest.mark.parametrize(
    ("value", "text"), [(-7.791e-05, "a = −7.79e−5"), (-0.0131, "a = −0.0131"), (0.0, "a = 0"), (2.5e12, "a = 2.5e12")]
)
def test_scales_are_printed_with_three_digits_and_a_minus_sign(value: float, text: str) -> None:
    assert scale_text("a", value) == text


def test_signed_values_are_shown_in_proportion_around_the_middle() -> None:
    values = np.linspace(-1, 3, 401).reshape(1, 401)
    pixels, a = display_signed(values)
    assert a == pytest.approx(-np.quantile(np.abs(values), 0.995))
    assert pixels.max() == 1
    assert pixels[0, 100] == 0.5
    np.testing.assert_allclose(pixels[0, :300], 0.5 + 0.5 * values[0, :300] / -a)
    flat, zero = display_signed(np.zeros((2, 2)))
    assert (flat == 0.5).all()
    assert zero == 0
    lone = np.zeros((1, 1000))
    lone[0, 7] = -2.0
    assert display_signed(lone)[0].min() == 0
    with pytest.raises(DataError):
        display_signed([np.nan])
