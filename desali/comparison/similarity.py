"""Similarity of two networks' layers: unbiased CKA without the similarity that the images have by themselves.

The images are compared by their descriptors in each network, every descriptor of unit variance: K = Z Z' / p. Two
networks are alike if they find the same images alike: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), centred kernel
alignment (Kornblith et al. 2019), with the unbiased HSIC of Song et al. 2012, equation 5, as Nguyen et al. 2021 use it.
Images that are alike as pixels are alike in every network, random ones too; that part is taken out of K and of L by
regression on the input's own kernels (Cui et al. 2022, "Deconfounded representation similarity"). The unbiased HSIC is
a scalar product of U-centred kernels (Szekely and Rizzo 2014, "Partial distance correlation with methods for
dissimilarities"), so the regression is a projection in its space and needs HSICs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.comparison.score import Interval, ends, extent, number

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEAST = 4
"""Images below which the unbiased HSIC is not defined."""
CONSTANT = 1e-6
"""A deviation below this share of the root mean square is rounding of float32 signals."""
NOTHING = 1e-9
"""Share of a kernel that is left without the input's part, below which nothing is left."""


@dataclass(frozen=True, eq=False)
class Similarity:
    """How alike two networks find the images at one layer, from -1 to 1; 0 is expected of unrelated ones.

    Attributes:
        value: of before and after.
        interval: its 95 % interval by patient; None where it cannot be had.
        null: of each random network with the network after.
        replicate: of the network after with each replicate: the noise floor.
        repeated: of the network before with each replicate: the value again, with other seeds.
    """

    value: float
    interval: Interval
    null: tuple[float, ...]
    replicate: tuple[float, ...]
    repeated: tuple[float, ...]

    @property
    def no_difference(self) -> bool | None:
        """Whether before and after may be as alike as two replicates: the value, or the upper end of its interval, is.

        None without replicates.
        """
        known = [value for value in self.replicate if not np.isnan(value)]
        return bool(max((self.value, *(self.interval or ()))) >= min(known)) if known else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return {
            "random_networks": [number(value) for value in self.null],
            "replicates": [number(value) for value in self.replicate],
            "repeats": [number(value) for value in self.repeated],
        }


def columns(similarity: Similarity) -> dict[str, Any]:
    """Flat columns of a row."""
    found: dict[str, Any] = {"similarity": number(similarity.value), **ends("similarity", similarity.interval)}
    for name, field in (("random", "null"), ("replicate", "replicate"), ("repeated", "repeated")):
        found.update(extent(f"similarity_{name}", getattr(similarity, field)))
    found["similarity_no_difference"] = similarity.no_difference
    return found


def kernel(features: Floats, standardise: bool = True) -> Floats:
    """Linear kernel of the images [n, n]; constant features take no part.

    Args:
        features: [n, p].
        standardise: scale every feature to unit variance.
    """
    centred = features - features.mean(0)
    deviation = centred.std(0)
    varies = deviation > CONSTANT * np.sqrt((features**2).mean(0))
    centred = centred[:, varies]
    if standardise:
        centred = centred / deviation[varies]
    return np.asarray(centred @ centred.T / max(1, centred.shape[1]))


def hsic(first: Floats, second: Floats, blocks: Integers) -> Floats:
    """Unbiased HSIC of two kernels [n, n] (Song et al. 2012, equation 5), and without each block of images [1 + B].

    NaN where fewer than four images are left.

    Args:
        blocks: of each image [n], from 0, none of them empty.
    """
    n, count = len(first), int(blocks.max()) + 1
    # column 0: nobody is left out; then each block in turn
    out = np.zeros((n, 1 + count))
    out[np.arange(n), 1 + blocks] = 1
    kept = 1 - out
    one, other = (k - np.diag(np.diagonal(k)) for k in (first, second))
    rows = [k.sum(1)[:, None] - k @ out for k in (one, other)]
    sums = [(row * kept).sum(0) for row in rows]
    product = one * other
    trace = ((product.sum(1)[:, None] - product @ out) * kept).sum(0)
    joint = (rows[0] * rows[1] * kept).sum(0)
    m = kept.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = trace + sums[0] * sums[1] / ((m - 1) * (m - 2)) - 2 / (m - 2) * joint
        return np.asarray(np.where(m >= LEAST, found / (m * (m - 3)), np.nan))


class Kernels:
    """Kernels over one sample, compared without the part that the input explains.

    Args:
        inputs: kernels of the input [n, n].
        blocks: block of patients of each image [n], from 0, none of them empty.
    """

    def __init__(self, inputs: Sequence[Floats], blocks: Integers) -> None:
        self._inputs = list(inputs)
        self._blocks = blocks
        self._none = np.zeros(len(blocks), np.int64)
        self._gram = {
            whole: np.array([[self._hsic(a, b, whole) for b in self._inputs] for a in self._inputs])
            for whole in (True, False)
        }

    def _hsic(self, first: Floats, second: Floats, whole: bool) -> Floats:
        """[1] of the whole sample, or [1 + B]."""
        return hsic(first, second, self._none)[:1] if whole else hsic(first, second, self._blocks)

    def similarity(self, first: Floats, second: Floats) -> float:
        """Of two kernels [n, n]; NaN where one of them is constant, or nothing but the input."""
        return float(self._similarity(first, second, True)[0])

    def left_out(self, first: Floats, second: Floats) -> tuple[float, Floats]:
        """The similarity, and the same without each block of patients in turn [B]."""
        found = self._similarity(first, second, False)
        return float(found[0]), found[1:]

    def _similarity(self, first: Floats, second: Floats, whole: bool) -> Floats:
        pairs = [(first, second), (first, first), (second, second)]
        products = [self._hsic(*pair, whole) for pair in pairs]
        shared = [[self._hsic(k, c, whole) for c in self._inputs] for k in (first, second)]
        found = np.full(len(products[0]), np.nan)
        for place in range(len(found)):
            values = [product[place] for product in products]
            if not np.isfinite(values).all():
                continue
            gram = self._gram[whole][..., place] if self._inputs else np.zeros((0, 0))
            a, b = (np.array([item[place] for item in part]) for part in shared)
            inverse = np.linalg.pinv(gram) if len(gram) else gram
            cross, own, others = (
                value - u @ inverse @ v for value, u, v in zip(values, (a, a, b), (b, a, b), strict=True)
            )
            if own > NOTHING * values[1] and others > NOTHING * values[2]:
                found[place] = min(1.0, max(-1.0, cross / np.sqrt(own * others)))
        return found
