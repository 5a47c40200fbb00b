"""Intervals of smooth figures of a layer (balanced accuracy, purity, similarity): leave out one block of patients at a
time, Student's t; on the logit scale if they lie in [0, 1]. The share of traceable channels is not smooth
(`desali.evaluation.jackknife.share_interval`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.evaluation.jackknife import standard_error, t_quantile
from desali.evaluation.statistics import LEVEL


def logit_interval(value: float, left_out: npt.NDArray[np.float64], level: float = LEVEL) -> tuple[float, float] | None:
    """Interval of a smooth figure in [0, 1]: Student's t on the logit scale, the jackknife's error carried over.

    At 0 or 1 the far end is the rule of three on patients, 0.05^(1/B).

    Args:
        value: of all patients.
        left_out: the figure without each block of patients in turn [B].

    Returns:
        None with fewer than two blocks, or where a block leaves nothing to compute the figure from.
    """
    blocks = len(left_out)
    if blocks < 2 or not np.isfinite([value, *left_out]).all():
        return None
    rare = (1 - level) ** (1 / blocks)
    if value >= 1:
        return rare, 1.0
    if value <= 0:
        return 0.0, 1 - rare
    middle, half = math.log(value / (1 - value)), half_width(left_out, level) / (value * (1 - value))
    low, high = (0.5 * (1 + math.tanh(end / 2)) for end in (middle - half, middle + half))
    return min(low, value), max(high, value)


def difference_interval(
    value: float, left_out: npt.NDArray[np.float64], level: float = LEVEL
) -> tuple[float, float] | None:
    """Interval of a difference of two figures in [0, 1], otherwise as `logit_interval`."""
    if len(left_out) < 2 or not np.isfinite([value, *left_out]).all():
        return None
    half = half_width(left_out, level)
    return max(-1.0, value - half), min(1.0, value + half)


def half_width(left_out: npt.NDArray[np.float64], level: float = LEVEL) -> Any:
    """Half an interval's width: Student's t times the delete-one jackknife's error, one for each figure.

    Args:
        left_out: figures without each of at least two blocks in turn [B] or [B, ...].
    """
    return t_quantile(len(left_out) - 1, level) * standard_error(left_out)
