"""One independent random stream per class, patient and image, so that no image depends on how many were asked for."""

from __future__ import annotations

import operator
import zlib
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeVar, overload

import numpy as np
import numpy.typing as npt

from desali.data.synthetic.exact import Array, exp, log, sqrt
from desali.errors import DataError

Item = TypeVar("Item")
Shape = int | tuple[int, ...]

# Wichura, Algorithm AS 241 (PPND7), Applied Statistics 37 (1988): the normal quantile to about 7 digits.
_CENTRE = ((59.109374720, 159.29113202, 50.434271938, 3.3871327179), (67.187563600, 78.757757664, 17.895169469, 1.0))
_TAIL = ((0.17023821103, 1.3067284816, 2.7568153900, 1.4234372777), (0.12021132975, 0.73700164250, 1.0))
_FAR = ((0.017337203997, 0.42868294337, 3.0812263860, 6.6579051150), (0.012258202635, 0.24197894225, 1.0))


class Stream:
    """Random numbers of one thing, named by `key`, e.g. `Stream(0, "natural", "ball", 17)`.

    Every number is made of the raw bits of PCG64, which NumPy promises to keep, by exact arithmetic (see `exact`):
    NumPy's own distributions may change with its version, and the last bit of some with the processor.
    """

    def __init__(self, seed: int, *key: int | str) -> None:
        words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=words))

    @overload
    def random(self) -> float: ...
    @overload
    def random(self, shape: Shape) -> Array: ...
    def random(self, shape: Shape | None = None) -> float | Array:
        """Uniform in (0, 1), 52 bits, never 0 or 1."""
        if shape is None:
            word = int(self._bits.random_raw()) >> 12
            return (word + 0.5) * 2.0**-52
        raw: npt.NDArray[np.uint64] = self._bits.random_raw(shape)
        return np.asarray(((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52, np.float64)

    @overload
    def uniform(self, low: float, high: float) -> float: ...
    @overload
    def uniform(self, low: float, high: float, shape: Shape) -> Array: ...
    def uniform(self, low: float, high: float, shape: Shape | None = None) -> float | Array:
        """Uniform between `low` and `high`."""
        return low + (high - low) * (self.random() if shape is None else self.random(shape))

    @overload
    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> float: ...
    @overload
    def normal(self, mean: float, deviation: float, shape: Shape) -> Array: ...
    def normal(self, mean: float = 0.0, deviation: float = 1.0, shape: Shape | None = None) -> float | Array:
        """Gaussian, by inversion."""
        return mean + deviation * (_quantile(self.random()) if shape is None else _quantiles(self.random(shape)))

    def exponential(self, mean: float) -> float:
        """Exponentially distributed."""
        return -mean * log(self.random())

    def lognormal(self, mean: float, deviation: float) -> float:
        """exp of a Gaussian."""
        return exp(self.normal(mean, deviation))

    def poisson(self, mean: float) -> int:
        """Poisson distributed, by inversion; for means up to about 50."""
        left, chance, count = self.random(), exp(-mean), 0
        while left > chance and count < 1000:
            left -= chance
            count += 1
            chance = chance * mean / count
        return count

    def skewed(self, shape: Shape) -> Array:
        """Positive numbers of the gamma distribution of shape 1.5; divided by their sum they are Dirichlet's."""
        half = self.normal(0.0, 1.0, shape)
        return 0.5 * half * half - log(self.random(shape))

    def below(self, count: int) -> int:
        """A whole number from 0 to `count` - 1."""
        return int(self.random() * count)

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.random() < probability

    def choice(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def permutation(self, count: int) -> list[int]:
        """0 to `count` - 1 in random order."""
        return [int(k) for k in np.argsort(self._bits.random_raw(count), kind="stable")]


def _quantiles(p: Array) -> Array:
    """The standard normal quantiles of probabilities in (0, 1)."""
    q = p - 0.5
    result: Array = q * _ratio(0.180625 - q * q, _CENTRE)
    outside = np.flatnonzero(np.abs(q.ravel()) > 0.425)
    if len(outside):
        flat = p.ravel()[outside]
        r = sqrt(-log(np.minimum(flat, 1.0 - flat)))
        tail = np.where(r <= 5.0, _ratio(r - 1.6, _TAIL), _ratio(r - 5.0, _FAR))
        result.reshape(-1)[outside] = np.where(flat < 0.5, -tail, tail)
    return result


def _quantile(p: float) -> float:
    """The same of one probability."""
    q = p - 0.5
    if abs(q) <= 0.425:
        return float(q * _ratio(0.180625 - q * q, _CENTRE))
    r = sqrt(-log(min(p, 1.0 - p)))
    tail = float(_ratio(r - 1.6, _TAIL) if r <= 5.0 else _ratio(r - 5.0, _FAR))
    return -tail if p < 0.5 else tail


def _ratio(x: Any, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Any:
    above, below = (_polynomial(x, one) for one in coefficients)
    return above / below


def _polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    value = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value


def whole_number(name: str, value: SupportsIndex, least: int, most: int | None = None) -> int:
    """`value` as an int within [least, most].

    Raises:
        DataError: it is not a whole number, or outside the range.
    """
    expected = f"a whole number >= {least}" if most is None else f"a whole number from {least} to {most}"
    try:
        number = operator.index(value)
    except TypeError:
        raise DataError(f"{name}={value!r}: expected {expected}") from None
    if isinstance(value, bool) or number < least or (most is not None and number > most):
        raise DataError(f"{name}={value!r}: expected {expected}")
    return number
