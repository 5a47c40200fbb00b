"""Tiles cut from pictures and set together: one size, grey outside, white between."""

from __future__ import annotations

import numpy as np
import pytest

from desali.figures.drawing.mosaic import cut, mosaic

PICTURE = np.arange(20.0).reshape(4, 5) / 20


def test_cut_inside_and_over_the_border() -> None:
    np.testing.assert_array_equal(cut(PICTURE, (1, 2, 2, 2), (2, 2)), PICTURE[1:3, 2:4])
    over = cut(PICTURE, (-1, 3, 3, 3), (3, 3))
    np.testing.assert_array_equal(over[1:, :2], PICTURE[:2, 3:])
    assert (over[0] == 0.5).all()
    assert (over[:, 2] == 0.5).all()
    assert (cut(PICTURE, (9, 9, 2, 2), (2, 2), outside=0.0) == 0).all()
    assert cut(np.zeros((4, 5, 3)), (3, 4, 2, 2), (2, 2)).shape == (2, 2, 3)


def test_a_smaller_window_stands_in_the_middle() -> None:
    np.testing.assert_array_equal(cut(PICTURE, (1, 2, 2, 1), (4, 3)), PICTURE[0:4, 1:4])


@pytest.mark.parametrize("size", [(7, 7), (16, 12), (200, 200)])
def test_tiles_of_a_mosaic(size: tuple[int, int]) -> None:
    tiles = [np.full(size, 0.1 * k) for k in range(5)]
    whole = mosaic(tiles, 3)
    assert whole.min() == 0
    values, counts = np.unique(whole, return_counts=True)
    known = dict(zip(values.round(6).tolist(), counts.tolist(), strict=True))
    assert len({known[round(0.1 * k, 6)] for k in range(5)}) == 1, "all tiles are of one size"
    assert known[0.0] % (size[0] * size[1]) == 0, "pixels stay square"
    assert whole[-1, -1] == 1.0, "what stays empty is white"
    assert max(whole.shape) >= 288
    assert mosaic([np.zeros((8, 8, 3))], 3).ndim == 3
