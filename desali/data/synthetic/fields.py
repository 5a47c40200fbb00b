"""Random fields on small grids: smooth noise, fractal noise, cells (Voronoi)."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desali.data.synthetic.exact import Array, clip, sqrt
from desali.data.synthetic.randomness import Stream

_SPLINE_DEVIATION = 151 / 315  # standard deviation of a cubic B-spline surface over independent N(0, 1) coefficients


class Taps(NamedTuple):
    """Weights with which neighbouring samples make each output: output i is the sum over k of weights[i, k] times
    sample first[i] + k, added in the order of k."""

    first: npt.NDArray[np.int64]
    weights: Array


def resampled(values: Array, down: Taps, across: Taps) -> Array:
    """`values` [h, w] filtered along both axes, down first: [len(down.first), len(across.first)]."""
    turned = np.ascontiguousarray(_resampled(values, down).T)
    return np.ascontiguousarray(_resampled(turned, across).T)


def _resampled(values: Array, taps: Taps) -> Array:
    """`values` [h, n] filtered along the first axis."""
    total = values.take(taps.first, 0)
    total *= taps.weights[:, :1]
    for k in range(1, taps.weights.shape[1]):
        part = values.take(taps.first + k, 0)
        part *= taps.weights[:, k, None]
        total += part
    return total


@cache
def _spline(size: int, cells: int) -> Taps:
    """Cubic B-spline weights of `size` points spread over `cells` intervals, which take `cells` + 3 coefficients."""
    position = (np.arange(size) + 0.5) / size * cells
    cell = np.minimum(position.astype(np.int64), cells - 1)
    t = position - cell
    s, tt = 1.0 - t, t * t
    weights = (s * s * s, (3.0 * t - 6.0) * tt + 4.0, ((3.0 - 3.0 * t) * t + 3.0) * t + 1.0, tt * t)
    return Taps(cell, np.stack(weights, 1) / 6.0)


def smooth_noise(rng: Stream, size: int, cells: int | tuple[int, int]) -> Array:
    """Smooth Gaussian noise [size, size] of about unit variance; `cells` grid cells down and across set its scale."""
    down, across = (cells, cells) if isinstance(cells, int) else cells
    knots = rng.normal(0.0, 1 / _SPLINE_DEVIATION, (down + 3, across + 3))
    return resampled(knots, _spline(size, down), _spline(size, across))


def fractal_noise(
    rng: Stream,
    size: int,
    cells: int | tuple[int, int],
    octaves: int = 3,
    gain: float = 0.5,
) -> Array:
    """Sum of smooth noises [size, size] of unit variance, each twice as fine as the last and `gain` times as high."""
    down, across = (cells, cells) if isinstance(cells, int) else cells
    total, height, energy = np.zeros((size, size)), 1.0, 0.0
    for k in range(octaves):
        total += height * smooth_noise(rng, size, (min(down << k, size), min(across << k, size)))
        height, energy = height * gain, energy + height * height
    total /= sqrt(energy)
    return total


class Cells(NamedTuple):
    """Voronoi cells: distances to the nearest two centres, the index of the nearest, and where all centres lie."""

    first: Array
    second: Array
    nearest: npt.NDArray[np.int64]
    x: Array
    y: Array


def voronoi(rng: Stream, x: Array, y: Array, jitter: float = 0.9) -> Cells:
    """Voronoi cells of jittered unit-grid centres at points (x, y) of one shape, in units of the grid."""
    left, top = int(np.floor(x.min())) - 1, int(np.floor(y.min())) - 1
    columns, rows = int(np.floor(x.max())) - left + 2, int(np.floor(y.max())) - top + 2
    offsets = (rng.random((2, rows, columns)) - 0.5) * jitter + 0.5
    centre_x = (offsets[0] + np.arange(left, left + columns)).ravel()
    centre_y = (offsets[1] + np.arange(top, top + rows)[:, None]).ravel()
    home = (np.floor(y).astype(np.int64) - top) * columns + np.floor(x).astype(np.int64) - left
    first = np.full(x.shape, 1e9)
    second = first.copy()
    index = home.copy()
    for step in (i * columns + j for i in (-1, 0, 1) for j in (-1, 0, 1)):
        neighbour = home + step
        distance = centre_x.take(neighbour)
        distance -= x
        distance *= distance
        vertical = centre_y.take(neighbour)
        vertical -= y
        vertical *= vertical
        distance += vertical
        nearer = distance < first
        np.minimum(second, np.maximum(first, distance), out=second)
        np.minimum(first, distance, out=first)
        np.copyto(index, neighbour, where=nearer)
    return Cells(sqrt(first), sqrt(second), index, centre_x, centre_y)


def soft_step(value: Array, width: float) -> Array:
    """0 below -width / 2, 1 above width / 2, a smooth cubic between."""
    t = clip(value * (1 / width) + 0.5, 0, 1)
    smooth: Array = t * t * (3 - 2 * t)
    return smooth
