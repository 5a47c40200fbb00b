"""When two networks are strangers."""

from __future__ import annotations

import numpy as np
import pytest

from desali.comparison.nulls import Null, strangers

NULL = Null(correlation=(0.0, 0.04, 0.02))


@pytest.mark.parametrize(
    ("traceable", "r", "null", "expected"),
    [
        (40, 0.02, NULL, True),
        (40, -0.05, NULL, True),  # below all random networks: no more alike than they are
        (40, 0.04, NULL, True),
        (40, 0.05, NULL, False),
        (40, -0.05, Null(), False),
        (40, -0.05, Null(correlation=(float("nan"),)), False),
        (3, 0.9, NULL, True),
    ],
)
def test_no_more_alike_than_random_networks(traceable: int, r: float, null: Null, expected: bool) -> None:
    assert strangers(np.arange(512) < traceable, np.full(512, r), null) is expected
