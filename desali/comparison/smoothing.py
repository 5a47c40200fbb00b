"""SciPy's small filters and one quantile in NumPy: importing SciPy would take longer than the figure of an image."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
REACH = 4.0
"""A blur ends so many standard deviations from its middle."""


def gaussian(values: npt.ArrayLike, sigma: float) -> Floats:
    """Blur along every axis; the border is reflected. `scipy.ndimage.gaussian_filter`, the same sums in one order.

    Args:
        sigma: in pixels.
    """
    found = np.asarray(values, np.float64)
    for axis in range(found.ndim):
        found = gaussian_along(found, sigma, axis)
    return found


def gaussian_along(values: Floats, sigma: float, axis: int) -> Floats:
    """Blur along one axis; `scipy.ndimage.gaussian_filter1d`."""
    if sigma <= 1e-15:
        return values
    radius = int(REACH * sigma + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    weights = weights / weights.sum()
    size = values.shape[axis]
    padded = np.moveaxis(values, axis, 0)
    places = np.arange(-radius, size + radius) % (2 * size)
    padded = padded[np.minimum(places, 2 * size - 1 - places)]
    found = padded[radius : radius + size] * weights[radius]
    for k in range(radius, 0, -1):
        pair = padded[radius - k : radius - k + size] + padded[radius + k : radius + k + size]
        found += pair * weights[radius - k]
    return np.moveaxis(found, 0, axis)


def sobel(values: Floats, axis: int) -> Floats:
    """Derivative of a picture [h, w] along an axis; the border is repeated. `scipy.ndimage.sobel(mode="nearest")`."""
    padded = np.pad(values, 1, mode="edge")
    along = np.moveaxis(padded, axis, 0)
    steps = along[2:] - along[:-2]
    across = steps[:, 1:-1] * 2.0 + (steps[:, :-2] + steps[:, 2:])
    return np.moveaxis(across, 0, axis)


def sigmoid(values: Floats) -> Floats:
    """1 / (1 + exp(-x)); `scipy.special.expit`."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-values)), np.float64)


@functools.lru_cache(maxsize=64)
def student_t(freedom: float, share: float) -> float:
    """The value that Student's t stays below in a share of cases, 0.5 to 1; `scipy.special.stdtrit`.

    Args:
        freedom: degrees of freedom, more than 0, whole or not.
    """
    nodes, weights = np.polynomial.legendre.leggauss(96)
    constant = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)

    def below(angle: float) -> float:
        """Of t = sqrt(freedom) tan(angle), whose density is constant * cos(angle) ** (freedom - 1)."""
        return 0.5 + constant * angle / 2 * float(weights @ np.cos(angle / 2 * (nodes + 1)) ** (freedom - 1))

    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < share else (low, middle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)
