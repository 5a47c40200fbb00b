"""Class purity: are the images that move a channel most of one class?

Of each channel the nine images of the largest ReLU input are taken, one a patient as far as there are patients: first
the best image of every patient, then the others. Its purity is the share of the most frequent class among the nine. A
channel that fewer than nine images open has no nine strongest and takes no part; an image that does not open it is
never among its strongest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.comparison.nulls import median
from desali.comparison.score import Score, number, row

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

STRONGEST = 9


@dataclass(frozen=True, eq=False)
class Purity(Score):
    """Mean class purity of a layer's channels.

    Attributes:
        each_before, each_after: of every channel [C]; NaN where fewer than nine images open it.
    """

    each_before: Floats
    each_after: Floats

    @property
    def channels_before(self) -> int:
        """How many channels have a purity before."""
        return int((~np.isnan(self.each_before)).sum())

    @property
    def channels_after(self) -> int:
        """How many channels have a purity after."""
        return int((~np.isnan(self.each_after)).sum())

    @property
    def median_before(self) -> float:
        """Median over the channels before."""
        return median(self.each_before)

    @property
    def median_after(self) -> float:
        """Median over the channels after."""
        return median(self.each_after)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return {
            "before": [number(value) for value in self.each_before],
            "after": [number(value) for value in self.each_after],
            "random_networks": [number(value) for value in self.null],
            "replicates": [number(value) for value in self.replicate],
        }


def columns(purity: Purity | None) -> dict[str, Any]:
    """Flat columns of a row."""
    found = row("purity", purity)
    for which in ("before", "after"):
        found[f"purity_median_{which}"] = None if purity is None else number(getattr(purity, f"median_{which}"))
        found[f"purity_channels_{which}"] = None if purity is None else getattr(purity, f"channels_{which}")
    return found


def strongest(strength: Floats, patients: Integers, most: int) -> Integers:
    """The first `most` images of each channel [most, C] in the order in which they are taken.

    Those that do not open it come last, as in `desali.comparison.strongest.Ranking`.

    Args:
        strength: [n, C]; what is not above 0 does not open the channel.
        patients: of each image [n].
    """
    closed = strength <= 0
    order = np.argsort(np.where(closed, np.inf, -strength), 0, kind="stable")
    owners = patients[order]
    by_owner = np.argsort(owners, 0, kind="stable")
    grouped = np.take_along_axis(owners, by_owner, 0)
    starts = np.ones(grouped.shape, bool)
    starts[1:] = grouped[1:] != grouped[:-1]
    turn = np.empty(grouped.shape, np.int8)
    np.put_along_axis(turn, by_owner, ~starts, 0)
    turn[np.take_along_axis(closed, order, 0)] = 2
    taken = np.argsort(turn, 0, kind="stable")[:most]
    return np.asarray(np.take_along_axis(order, taken, 0))


def purities(strength: Floats, labels: Integers, patients: Integers, blocks: Integers) -> tuple[Floats, Floats] | None:
    """The purity of every channel [C], and the mean over the channels without each block of patients in turn [B].

    Args:
        strength: largest ReLU input of each image and channel [n, C].
        labels, patients, blocks: of each image [n], whole numbers; blocks from 0, none of them empty.

    Returns:
        None with fewer than nine images. A channel that a block leaves fewer than nine open images has no part in the
        second array's mean there; NaN where no channel is left, all NaN where a block leaves fewer than nine images.
    """
    n = len(strength)
    if n < STRONGEST:
        return None
    sizes = np.bincount(blocks)
    taken = strongest(strength, patients, min(n, STRONGEST + int(sizes.max())))
    opened = (strength > 0).sum(0) >= STRONGEST
    each = np.where(opened, _share(labels[taken[:STRONGEST]]), np.nan)
    left_out = np.full(len(sizes), np.nan)
    if opened.any() and n - sizes.max() >= STRONGEST and len(sizes) > 1:
        taken = taken[:, opened]
        owners = blocks[taken]
        opens = np.take_along_axis(strength[:, opened] > 0, taken, 0)
        for block in range(len(sizes)):
            changed = (owners[:STRONGEST] == block).any(0)
            shares = each[opened].copy()
            if changed.any():
                rest = np.argsort(owners[:, changed] == block, 0, kind="stable")[:STRONGEST]
                enough = np.take_along_axis(opens[:, changed], rest, 0).all(0)
                others = _share(labels[np.take_along_axis(taken[:, changed], rest, 0)])
                shares[changed] = np.where(enough, others, np.nan)
            if not np.isnan(shares).all():
                left_out[block] = np.nanmean(shares)
    return each, left_out


def _share(labels: Integers) -> Floats:
    """Share of the most frequent label of each column [C] of labels [k, C]."""
    return np.asarray((labels[:, None] == labels[None]).sum(0).max(0) / len(labels))
