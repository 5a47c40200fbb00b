"""Random fields on small grids: smooth noise, fractal noise, cells (Voronoi)."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Array = npt.NDArray[np.float32]

_SPLINE_DEVIATION = 151 / 315  # standard deviation of a cubic B-spline surface over independent N(0, 1) coefficients


@cache
def _spline_matrix(size: int, cells: int) -> Any:
    """Sparse cubic B-spline weights [size, cells + 3] of `size` points spread over `cells` intervals.

    Sparse, not dense: scipy's product is single-threaded and adds in a fixed order, so the bits never depend on a BLAS.
    """
    position = (np.arange(size) + 0.5) / size * cells
    cell = np.minimum(position.astype(int), cells - 1)
    t = position - cell
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1) / 6
    columns = cell[:, None] + np.arange(4)
    starts = np.arange(size + 1) * 4
    return csr_array((weights.astype(np.float32).ravel(), columns.ravel(), starts), shape=(size, cells + 3))


def separable(down: Any, across: Any, transposed: Array) -> Array:
    """`down @ transposed.T @ across.T` for sparse `down` and `across`."""
    result: Array = down @ np.ascontiguousarray((across @ transposed).T)
    return result


def smooth_noise(rng: np.random.Generator, size: int, cells: int | tuple[int, int]) -> Array:
    """Smooth Gaussian noise [size, size] of about unit variance; `cells` grid cells down and across set its scale."""
    down, across = (cells, cells) if isinstance(cells, int) else cells
    knots = rng.standard_normal((across + 3, down + 3), np.float32)
    knots /= np.float32(_SPLINE_DEVIATION)
    return separable(_spline_matrix(size, down), _spline_matrix(size, across), knots)


def fractal_noise(
    rng: np.random.Generator,
    size: int,
    cells: int | tuple[int, int],
    octaves: int = 3,
    gain: float = 0.5,
) -> Array:
    """Sum of smooth noises [size, size] of unit variance, each twice as fine as the last and `gain` times as high."""
    down, across = (cells, cells) if isinstance(cells, int) else cells
    total = np.zeros((size, size), np.float32)
    for k in range(octaves):
        total += np.float32(gain**k) * smooth_noise(rng, size, (min(down << k, size), min(across << k, size)))
    total /= np.float32(np.sqrt(sum(gain ** (2 * k) for k in range(octaves))))
    return total


class Cells(NamedTuple):
    """Voronoi cells: distances to the nearest two centres, the index of the nearest, the number of cells."""

    first: Array
    second: Array
    nearest: npt.NDArray[np.int64]
    total: int


def voronoi(rng: np.random.Generator, x: Array, y: Array, jitter: float = 0.9) -> Cells:
    """Voronoi cells of jittered unit-grid centres at points (x, y) of one shape, in units of the grid."""
    left, top = int(np.floor(x.min())) - 1, int(np.floor(y.min())) - 1
    columns, rows = int(np.floor(x.max())) - left + 2, int(np.floor(y.max())) - top + 2
    offsets = (rng.random((2, rows, columns), np.float32) - np.float32(0.5)) * np.float32(jitter) + np.float32(0.5)
    centre_x = (offsets[0] + np.arange(left, left + columns, dtype=np.float32)).ravel()
    centre_y = (offsets[1] + np.arange(top, top + rows, dtype=np.float32)[:, None]).ravel()
    home = (np.floor(y).astype(np.int64) - top) * columns + np.floor(x).astype(np.int64) - left
    first = np.full(x.shape, 1e9, np.float32)
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
    return Cells(np.sqrt(first), np.sqrt(second), index, rows * columns)


def soft_step(value: Array, width: float) -> Array:
    """0 below -width / 2, 1 above width / 2, a smooth cubic between."""
    t = np.clip(value * np.float32(1 / width) + np.float32(0.5), 0, 1)
    smooth: Array = t * t * (3 - 2 * t)
    return smooth
