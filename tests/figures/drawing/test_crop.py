from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desali.errors import DataError
from desali.figures.drawing.crop import crop_map

places = st.integers(-12, 12)
sizes = st.integers(1, 15)


@given(places, places, sizes, sizes)
def test_every_pixel_is_the_map_s_own_or_zero_outside(top: int, left: int, height: int, width: int) -> None:
    m = np.arange(2 * 5 * 7).reshape(2, 5, 7) + 1.0
    cut = crop_map(m, (top, left, height, width))
    assert cut.shape == (2, height, width)
    for y in range(height):
        for x in range(width):
            inside = 0 <= top + y < 5 and 0 <= left + x < 7
            expected = m[:, top + y, left + x] if inside else np.zeros(2)
            np.testing.assert_array_equal(cut[:, y, x], expected)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(DataError, match="0 x 3"):
        crop_map(np.ones((4, 4)), (0, 0, 0, 3))
