"""When two networks are strangers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from desali.comparison.nulls import Null, random_network, strangers
from desali.errors import DataError

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


@pytest.mark.parametrize(("needed", "offered"), [(False, True), (True, False)])
def test_a_network_that_cannot_be_drawn_anew_names_a_way_out_that_there_is(needed: bool, offered: bool) -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 2))

    with pytest.raises(DataError, match="give its layers that method") as error:
        random_network(nn.Sequential(Fixed()), 0, needed)
    assert ("random_networks=0" in str(error.value)) is offered
