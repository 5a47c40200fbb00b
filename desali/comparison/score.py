"""A number that each network has by itself, in [0, 1]: before, after, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Interval = tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Score:
    """One number of one layer in [0, 1], for every network of a lineage.

    Attributes:
        before, after: of the two networks.
        before_interval, after_interval: their 95 % intervals by patient; None where they cannot be had.
        difference_interval: that of after - before, of the same patients.
        null: the same number of each random network.
        replicate: of each replicate.
    """

    before: float
    after: float
    before_interval: Interval
    after_interval: Interval
    difference_interval: Interval
    null: tuple[float, ...]
    replicate: tuple[float, ...]

    @property
    def difference(self) -> float:
        """After - before."""
        return self.after - self.before

    @property
    def no_difference(self) -> bool | None:
        """Whether no difference is shown: after is as far from a replicate, or the interval of the difference holds 0.

        None without replicates.
        """
        apart = [abs(self.after - one) for one in self.replicate if not np.isnan(one)]
        if not apart:
            return None
        low, high = self.difference_interval or (self.difference, self.difference)
        return bool(abs(self.difference) <= max(apart) or low <= 0 <= high)


def row(name: str, score: Score | None) -> dict[str, Any]:
    """Flat columns of a score; all None where there is none."""
    found: dict[str, Any] = {}
    for which in ("before", "after"):
        found[f"{name}_{which}"] = None if score is None else number(getattr(score, which))
        found.update(ends(f"{name}_{which}", None if score is None else getattr(score, f"{which}_interval")))
    found[f"{name}_difference"] = None if score is None else number(score.difference)
    found.update(ends(f"{name}_difference", None if score is None else score.difference_interval))
    found.update(extent(f"{name}_random", () if score is None else score.null))
    found.update(extent(f"{name}_replicate", () if score is None else score.replicate))
    found[f"{name}_no_difference"] = None if score is None else score.no_difference
    return found


def ends(name: str, interval: Interval) -> dict[str, float | None]:
    """Columns for the two ends of an interval."""
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def extent(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """Columns for the least and the largest of what is known."""
    known = [value for value in values if not np.isnan(value)]
    return {f"{name}_low": min(known, default=None), f"{name}_high": max(known, default=None)}


def number(value: float) -> float | None:
    """None for NaN, which JSON cannot hold."""
    return None if np.isnan(value) else float(value)
