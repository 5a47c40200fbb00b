"""Sums over channels' signals, kept for blocks of images: all that correlations are made of, in one pass.

Nothing here grows with the number of images. The sums are float64, and those of the blocks add up to those of the whole
set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from desali.comparison.relu_inputs import opened, strided
from desali.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums of one layer of one network.

    Attributes:
        count: positions that the signal was read at [B], by block.
        total, square: sums of the signal and of its square [B, C].
        open: positions where the ReLU lets the signal through, of the whole map [B, C].
        seen: positions of the whole map [B].
    """

    count: Floats
    total: Floats
    square: Floats
    open: Floats
    seen: Floats

    @property
    def firing(self) -> Floats:
        """Share of positions where the ReLU is open [C]."""
        return np.asarray(self.open.sum(0) / self.seen.sum())


class Sums:
    """Sums of the layers of one network, added up batch by batch.

    Args:
        name: of the network, for messages.
        channels: C of each layer.
        blocks: B.
        firing: whether open positions are counted.
    """

    def __init__(
        self, name: str, channels: Mapping[str, int], blocks: int, device: torch.device, firing: bool = True
    ) -> None:
        import torch

        self._name = name
        self._firing = firing
        self._sums = {
            layer: [torch.zeros(blocks, width, dtype=torch.float64, device=device) for width in (1, c, c, c, 1)]
            for layer, c in channels.items()
        }

    def add(self, layer: str, value: Tensor, block: Tensor) -> Tensor:
        """Add what a layer's ReLUs read in one batch, and return its signal [C, N, P] in float64.

        Args:
            value: [N, C, *spatial].
            block: of each image [N].

        Raises:
            DataError: NaN or infinity.
        """
        import torch

        z = strided(value)
        self.add_signal(layer, z, block)
        if self._firing:
            images = torch.ones(len(value), 1, dtype=torch.float64, device=value.device)
            for kept, new in zip(
                self._sums[layer][3:], (opened(value).to(torch.float64), images * value[0, 0].numel()), strict=True
            ):
                kept.index_add_(0, block, new)
        return z

    def add_signal(self, layer: str, z: Tensor, block: Tensor) -> None:
        """Add a signal [C, N, P] alone, without counting open positions; otherwise as `add`."""
        import torch

        total = z.sum(2).T
        if not bool(total.isfinite().all()):
            raise DataError(
                f"{self._name} computes NaN or infinity at {layer!r}: check its weights and how the images are scaled"
            )
        images = torch.ones(z.shape[1], 1, dtype=torch.float64, device=z.device)
        added = (images * z.shape[2], total, torch.linalg.vector_norm(z, dim=2).square().T)
        for kept, new in zip(self._sums[layer], added, strict=False):
            kept.index_add_(0, block, new)

    def moments(self, layer: str) -> Moments:
        """The sums of a layer."""
        count, total, square, passed, seen = (kept.cpu().numpy() for kept in self._sums[layer])
        return Moments(count[:, 0], total, square, passed, seen[:, 0])


class Products:
    """Sums of products of every channel of one network with every channel of another, [B, C, C] a layer.

    Args:
        channels: C of each layer.
        blocks: B; 1 keeps the sum of all images alone.
    """

    def __init__(self, channels: Mapping[str, int], blocks: int, device: torch.device) -> None:
        import torch

        self._sums = {
            layer: torch.zeros(blocks, c, c, dtype=torch.float64, device=device) for layer, c in channels.items()
        }
        self._blocks = blocks

    def add(self, layer: str, first: Tensor, second: Tensor, block: Integers) -> None:
        """Add one batch.

        Args:
            first, second: signals [C, N, P].
            block: of each image [N], in rising order.
        """
        sums = self._sums[layer]
        cuts = [0, len(block)] if self._blocks == 1 else [0, *(np.flatnonzero(np.diff(block)) + 1), len(block)]
        for start, stop in pairwise(cuts):
            one, other = first[:, start:stop].flatten(1), second[:, start:stop].flatten(1)
            sums[0 if self._blocks == 1 else int(block[start])].addmm_(one, other.T)

    def of(self, layer: str) -> Floats:
        """The sums of a layer [B, C, C]."""
        found: Floats = self._sums[layer].cpu().numpy()
        return found


def correlation(first: Moments, second: Moments, products: Floats, without: int | None = None) -> Floats:
    """M [C, C]: the correlation of every channel of the first network (row) with every one of the second.

    NaN where a channel is constant.

    Args:
        products: [B, C, C], or [1, C, C] for the whole set.
        without: a block to leave out.
    """
    n, s1, q1 = (_whole(item, without) for item in (first.count, first.total, first.square))
    s2, q2 = (_whole(item, without) for item in (second.total, second.square))
    covariance = _whole(products, without) / n - np.outer(s1 / n, s2 / n)
    scales = [_deviation(total / n, square / n) for total, square in ((s1, q1), (s2, q2))]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = covariance / np.outer(*scales)
    return np.asarray(np.clip(found, -1, 1))


RESOLUTION = 1e-12
"""A variance below this share of the mean square is rounding: a float32 signal cannot resolve it."""


def _deviation(mean: Floats, square: Floats) -> Floats:
    """Standard deviations; NaN for a channel that is constant."""
    variance = square - mean**2
    return np.asarray(np.sqrt(np.where(variance > RESOLUTION * square, variance, np.nan)))


def _whole(sums: Floats, without: int | None) -> Floats:
    if without is None:
        return np.asarray(sums.sum(0))
    return np.asarray(sums[:without].sum(0) + sums[without + 1 :].sum(0))
