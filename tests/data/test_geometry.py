"""No image is stretched: what one image becomes is what a data set of it becomes, and what was done is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from desali.data.preprocess import Preprocessing, fit

Array = npt.NDArray[Any]


def photograph(height: int, width: int, colour: bool = True) -> Array:
    y, x = np.mgrid[:height, :width] / max(height, width)
    planes = [np.sin(9 * x + k) * np.cos(7 * y - k) for k in range(3)]
    pixels = np.rint(127.5 + 120 * np.stack(planes, -1)).astype(np.uint8)
    return pixels if colour else pixels[..., 0]


@pytest.mark.parametrize("shape", [(30, 47), (47, 30), (12, 9), (9, 12), (16, 40), (16, 16)])
@pytest.mark.parametrize("resize", ["bicubic", "bilinear"])
@pytest.mark.parametrize("colour", [True, False])
def test_one_image_is_what_a_data_set_read_at_the_size_holds(shape: tuple[int, int], resize: str, colour: bool) -> None:
    image = photograph(*shape, colour)
    rule = Preprocessing(16, resize=resize)
    assert torch.equal(rule.apply(image, "uint8"), rule.apply(fit(image, 16, resize), "uint8"))


@pytest.mark.parametrize("unit", ["uint8", "unit"])
def test_a_photograph_keeps_its_proportions(unit: Any) -> None:
    y, x = np.mgrid[:60, :100]
    disc = np.where((y - 29.5) ** 2 + (x - 49.5) ** 2 < 20**2, 255, 0).astype(np.uint8)
    image = disc if unit == "uint8" else (disc / 255).astype(np.float32)
    inside = Preprocessing(30, channels=1).apply(image, unit)[0] > 0.5
    rows, columns = inside.any(1).sum(), inside.any(0).sum()
    assert int(rows) == int(columns) == 20
    assert int(inside.sum()) == pytest.approx(np.pi * 10**2, rel=0.05)


def test_a_rectangle_in_hu_is_padded_with_air_and_never_stretched() -> None:
    hu = np.full((20, 32), 40, np.int16)
    out = Preprocessing(32, channels=1, window=(0, 4000)).apply(hu, "hu")[0].numpy()
    air, tissue = (np.float32((value + 2000) / 4000) for value in (-1024, 40))
    np.testing.assert_allclose(out[6:26], tissue, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([out[:6], out[26:]]), air, atol=1e-6)
    wide = Preprocessing(64, channels=1, window=(0, 4000)).apply(hu.T, "hu")[0].numpy()
    assert ((wide > (air + tissue) / 2).sum(1) == 40).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int8, np.uint8, np.int64, np.float64])
def test_air_is_air_whatever_type_holds_the_hu(dtype: type) -> None:
    out = Preprocessing(4, channels=1, window=(0, 4000)).apply(np.full((2, 4), 40, dtype), "hu")[0].numpy()
    np.testing.assert_allclose(out[[0, 3]], (2000 - 1024) / 4000, atol=1e-6)
    np.testing.assert_allclose(out[1:3], 2040 / 4000, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "unit", "said"),
    [
        ((64, 64), "uint8", ""),
        ((64, 64), "hu", ""),
        ((32, 32), "hu", "The image of 32 x 32 pixels was enlarged to 64 x 64."),
        ((32, 32, 3), "uint8", "The image of 32 x 32 pixels was enlarged to 64 x 64."),
        ((512, 512), "hu", "The image of 512 x 512 pixels was shrunk to 64 x 64; a box would keep its detail."),
        ((64, 80), "uint8", "The image of 64 x 80 pixels was cut to the centre 64 x 64."),
        (
            (300, 200, 3),
            "unit",
            "The image of 300 x 200 pixels was shrunk by the shorter side to 64, then cut to the centre 64 x 64; a box "
            "would keep its detail.",
        ),
        ((40, 64), "hu", "The image of 40 x 64 pixels was padded with air (-1024 HU) to 64 x 64."),
        (
            (20, 16),
            "hu",
            "The image of 20 x 16 pixels was padded with air (-1024 HU) to 20 x 20, then enlarged to 64 x 64.",
        ),
    ],
)
def test_what_is_done_to_an_image_is_said(shape: tuple[int, ...], unit: Any, said: str) -> None:
    assert Preprocessing(64).words(shape, unit) == said


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(["uint8", "hu", "unit"]))
@settings(max_examples=60, deadline=None)
def test_any_shape_becomes_a_square_and_it_is_said(height: int, width: int, unit: Any) -> None:
    rule = Preprocessing(24, channels=1, window=(0, 4000))
    hu = (photograph(height, width, False) * 8.0 - 1000).astype(np.float32)
    image = {"hu": hu, "uint8": photograph(height, width, False), "unit": (hu + 1000) / 2048}[unit]
    assert rule.apply(image, unit).shape == (1, 24, 24)
    assert (rule.words(image.shape, unit) == "") == ((height, width) == (24, 24))
