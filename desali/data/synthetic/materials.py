"""Fourteen materials: each function invents one piece, its relief (in grid steps) and its reflectance."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from desali.data.synthetic.fields import Array, Cells, fractal_noise, smooth_noise, soft_step, voronoi
from desali.data.synthetic.relief import SIDE, Material, material

Maker = Callable[[np.random.Generator], Material]
_X, _Y = (a.astype(np.float32) for a in np.meshgrid(np.arange(SIDE), np.arange(SIDE)))


def _tone(rng: np.random.Generator, *hues: float) -> Array:
    """A reflectance [3, 1, 1] near one of `hues` (0-1, any if none) of random saturation and value."""
    hue = rng.choice(hues) + rng.normal(0, 0.03) if hues and rng.random() < 0.6 else rng.random()
    saturation, value = rng.beta(1.3, 2), rng.uniform(0.2, 0.75)
    wave = np.clip(0.5 + np.cos(2 * math.pi * (hue - np.array([0, 1 / 3, 2 / 3]))), 0, 1)
    return (value * (1 - saturation + saturation * wave)).astype(np.float32)[:, None, None]


def _turned(rng: np.random.Generator, angle: float | None = None) -> tuple[Array, Array]:
    """Grid coordinates turned by a random angle, or by about `angle`."""
    turn = rng.uniform(0, math.pi) if angle is None else angle + rng.normal(0, 0.1)
    c, s = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    return c * _X - s * _Y, s * _X + c * _Y


def _wavy(rng: np.random.Generator, amount: float, cells: int) -> Array:
    noise = smooth_noise(rng, SIDE, cells)
    noise *= np.float32(amount)
    return noise


def _granules(rng: np.random.Generator, size: float, waviness: float = 0.15) -> Cells:
    x, y = _turned(rng)
    return voronoi(
        rng, x / np.float32(size) + _wavy(rng, waviness, 16), y / np.float32(size) + _wavy(rng, waviness, 16)
    )


def _per_cell(rng: np.random.Generator, cells: Cells, low: float, high: float) -> Array:
    return rng.uniform(low, high, cells.total).astype(np.float32)[cells.nearest]


def _hash(rng: np.random.Generator, row: Array, column: Array, low: float, high: float) -> Array:
    """A random value for each integer pair (row, column)."""
    r, c = row.astype(np.int64), column.astype(np.int64)
    r, c = r - r.min(), c - c.min()
    values: Array = rng.uniform(low, high, (r.max() + 1, c.max() + 1)).astype(np.float32)[r, c]
    return values


def _brick(rng: np.random.Generator) -> Material:
    length, course, joint = rng.uniform(26, 38), rng.uniform(11, 16), rng.uniform(0.8, 1.5)
    u, v = _X + _wavy(rng, 0.5, 8), (_Y + _wavy(rng, 0.5, 8)) / np.float32(course)
    row = np.floor(v)
    u = u / np.float32(length) + np.float32(0.5) * (row % 2)
    edge = np.minimum(
        (0.5 - np.abs(u - np.floor(u) - np.float32(0.5))) * np.float32(length),
        (0.5 - np.abs(v - row - np.float32(0.5))) * np.float32(course),
    )
    stone = soft_step(edge - np.float32(joint), 1.6)
    rough = fractal_noise(rng, SIDE, 20, 3, 0.8)
    height = (
        stone * (np.float32(rng.uniform(1.5, 3)) + _hash(rng, row, np.floor(u), -0.3, 0.3)) + np.float32(0.25) * rough
    )
    brick = _tone(rng, 0.03, 0.06) * _hash(rng, row, np.floor(u), 0.7, 1.3) * (1 + np.float32(0.1) * rough)
    mortar = np.float32(rng.uniform(0.3, 0.7))
    return material(height, mortar + stone * (brick - mortar), 0.0)


def _brushed_metal(rng: np.random.Generator) -> Material:
    lines = (
        smooth_noise(rng, SIDE, (SIDE, 3))
        + smooth_noise(rng, SIDE, (64, 2))
        + np.float32(0.5) * smooth_noise(rng, SIDE, (SIDE, 14))
    )
    if rng.random() < 0.5:
        lines = np.ascontiguousarray(lines.T)
    height = np.float32(rng.uniform(0.06, 0.16)) * lines + _wavy(rng, 0.6, 2)
    colour = _tone(rng, 0.1, 0.6) * np.float32(0.5) + np.float32(rng.uniform(0.05, 0.2)) + np.float32(0.025) * lines
    return material(height, colour, float(rng.uniform(0.35, 0.7)))


def _cloth(rng: np.random.Generator) -> Material:
    pitch = np.float32(rng.uniform(5.5, 10))
    u, v = (_X + _wavy(rng, 0.8, 5)) / pitch, (_Y + _wavy(rng, 0.8, 5)) / pitch
    i, j = np.floor(u), np.floor(v)
    warp = np.abs(np.sin(math.pi * u)) ** 0.6 * (
        np.float32(0.6) + np.float32(0.4) * np.cos(math.pi * (v - np.float32(0.5) + i))
    )
    weft = np.abs(np.sin(math.pi * v)) ** 0.6 * (
        np.float32(0.6) - np.float32(0.4) * np.cos(math.pi * (u - np.float32(0.5) + j))
    )
    over = warp > weft
    fibre = fractal_noise(rng, SIDE, 40, 2, 0.8)
    height = np.maximum(warp, weft) * np.float32(0.32 * pitch) + np.float32(0.12) * fibre
    first = _tone(rng)
    second = _tone(rng) if rng.random() < 0.5 else first
    return material(height, np.where(over, first, second) * (1 + np.float32(0.06) * fibre), 0.0)


def _cork(rng: np.random.Generator) -> Material:
    cells = _granules(rng, rng.uniform(5, 9), 0.3)
    pits = soft_step(smooth_noise(rng, SIDE, 22) - np.float32(1.5), 0.5)
    seam = soft_step(np.float32(0.12) - (cells.second - cells.first), 0.12)
    grain = _per_cell(rng, cells, 0.55, 1.25)
    height = (
        np.float32(0.3) * grain - 2 * pits - np.float32(0.4) * seam + np.float32(0.15) * fractal_noise(rng, SIDE, 30, 2)
    )
    return material(
        height, _tone(rng, 0.08, 0.1) * grain * (1 - np.float32(0.6) * pits) * (1 - np.float32(0.35) * seam), 0.0
    )


def _corrugated(rng: np.random.Generator) -> Material:
    pitch = rng.uniform(9, 20)
    u, _ = _turned(rng)
    phase = (u + _wavy(rng, 0.4, 3)) * np.float32(2 * math.pi / pitch)
    flat = rng.uniform(1, 2.5)
    height = np.tanh(np.float32(flat) * np.sin(phase)) * np.float32(pitch * rng.uniform(0.1, 0.2))
    stain = fractal_noise(rng, SIDE, 5, 4, 0.7)
    return material(height, _tone(rng) * (1 + np.float32(0.1) * stain), float(rng.choice([0.0, 0.25])))


def _fur(rng: np.random.Generator) -> Material:
    height = np.zeros((SIDE, SIDE), np.float32)
    for level in range(3):
        u, v = _turned(rng, 0.25 * (level - 1))
        u, v = u + _wavy(rng, 5, 3), v + _wavy(rng, 5, 3)
        length, width = rng.uniform(9, 16), rng.uniform(1.6, 2.4)
        strand = np.floor(u / np.float32(width))
        jitter = _hash(rng, strand, np.zeros_like(strand), 0, length)
        along = (v + jitter) / np.float32(length)
        blade = np.abs(np.sin(math.pi * u / np.float32(width))) * (1 - (along - np.floor(along)))
        height = np.maximum(height, blade * np.float32(2.6) * _hash(rng, strand, np.floor(along), 0.4, 1))
    colour = _tone(rng, 0.28, 0.09) * (np.float32(0.35) + np.float32(0.5) * height)
    return material(height, colour, 0.0)


def _knit(rng: np.random.Generator) -> Material:
    width = rng.uniform(9, 14)
    u, v = (
        (_X + _wavy(rng, 0.8, 5)) / np.float32(width),
        (_Y + _wavy(rng, 0.8, 5)) / np.float32(width * rng.uniform(0.5, 0.65)),
    )
    across = u - np.floor(u)
    slant = v + np.float32(1.1) * np.abs(2 * across - 1)
    yarn = np.abs(np.sin(math.pi * slant)) ** 0.6 * np.abs(np.sin(2 * math.pi * u)) ** 0.4
    fibre = fractal_noise(rng, SIDE, 40, 2, 0.8)
    stripe = _hash(rng, np.floor(slant / 6), np.zeros_like(u), 0.6, 1.3) if rng.random() < 0.4 else np.float32(1)
    height = yarn * np.float32(0.26 * width) + np.float32(0.15) * fibre
    return material(height, _tone(rng) * stripe * (np.float32(0.6) + np.float32(0.4) * yarn), 0.0)


def _leather(rng: np.random.Generator) -> Material:
    coarse, fine = _granules(rng, rng.uniform(6, 11), 0.3), _granules(rng, rng.uniform(3, 4), 0.3)
    crease = soft_step(coarse.second - coarse.first - np.float32(0.12), 0.35)
    pores = soft_step(fine.second - fine.first - np.float32(0.1), 0.35)
    height = np.float32(rng.uniform(0.8, 1.4)) * crease + np.float32(0.35) * pores + _wavy(rng, 1.2, 3)
    return material(
        height, _tone(rng, 0.05, 0.08) * (np.float32(0.75) + np.float32(0.25) * crease), float(rng.uniform(0.1, 0.35))
    )


def _marble(rng: np.random.Generator) -> Material:
    u, _ = _turned(rng)
    bend = fractal_noise(rng, SIDE, 3, 5, 0.6)
    vein = 1 - np.abs(np.sin(u * np.float32(rng.uniform(0.03, 0.08)) + np.float32(1.6) * bend))
    fine = np.exp(-np.abs(fractal_noise(rng, SIDE, 4, 4, 0.6)) * 14)
    amount = np.clip(vein ** np.float32(rng.uniform(4, 9)) + np.float32(0.5) * fine, 0, 1)
    stone = np.float32(0.4) * _tone(rng) + np.float32(rng.choice([0.08, 0.25, 0.45]))
    dark = np.clip(
        stone * np.float32(rng.uniform(0.3, 0.6)) + np.float32(0.3) * (_tone(rng) - np.float32(0.4)), 0.02, 1
    )
    if rng.random() < 0.35:
        dark = stone + np.float32(0.4) * (1 - stone)  # pale veins
    clouds = 1 + np.float32(0.1) * bend
    return material(_wavy(rng, 0.1, 3), (stone + amount * (dark - stone)) * clouds, float(rng.uniform(0.1, 0.3)))


def _pebbles(rng: np.random.Generator) -> Material:
    size = rng.uniform(7, 17)
    cells = _granules(rng, size, 0.12)
    room = np.clip((cells.second - cells.first) * np.float32(1.3), 0, 1)
    dome = np.sqrt(np.clip(room * (2 - room), 0, 1))
    height = dome * np.float32(0.3 * size) * _per_cell(rng, cells, 0.6, 1) + np.float32(0.12) * fractal_noise(
        rng, SIDE, 30, 2
    )
    tone = _tone(rng, 0.08, 0.6) * _per_cell(rng, cells, 0.5, 1.5)
    warm = _per_cell(rng, cells, -0.08, 0.08) * np.array([1, 0, -1], np.float32)[:, None, None]
    return material(height, (tone + warm) * (np.float32(0.35) + np.float32(0.65) * dome), 0.0)


def _plaster(rng: np.random.Generator) -> Material:
    relief = fractal_noise(rng, SIDE, int(rng.integers(6, 14)), 4, rng.uniform(0.55, 0.75))
    height = relief * np.float32(rng.uniform(0.9, 1.8))
    return material(height, _tone(rng, 0.1, 0.12) * (1 + np.float32(0.05) * relief), 0.0)


def _sponge(rng: np.random.Generator) -> Material:
    depth = np.zeros((SIDE, SIDE), np.float32)
    for size in (rng.uniform(10, 15), rng.uniform(4.5, 7)):
        cells = _granules(rng, size, 0.2)
        radius = _per_cell(rng, cells, 0.15, 0.5)
        pit = np.sqrt(np.clip(radius**2 - cells.first**2, 0, 1)) * np.float32(size)
        depth = np.maximum(depth, pit)
    body = fractal_noise(rng, SIDE, 24, 2, 0.7)
    colour = _tone(rng, 0.12, 0.14) / (1 + np.float32(0.3) * depth) * (1 + np.float32(0.05) * body)
    return material(np.float32(0.3) * body - depth, colour, 0.0)


def _tiles(rng: np.random.Generator) -> Material:
    pitch, joint = rng.uniform(15, 30), rng.uniform(0.8, 1.6)
    u, v = _X / np.float32(pitch), _Y / np.float32(pitch * rng.choice([1.0, 1.0, 0.5]))
    edge = np.minimum(0.5 - np.abs(u - np.floor(u) - np.float32(0.5)), 0.5 - np.abs(v - np.floor(v) - np.float32(0.5)))
    face = soft_step(edge * np.float32(pitch) - np.float32(joint), 2.5)
    tilt = _hash(rng, np.floor(v), np.floor(u), -0.03, 0.03) * _X
    height = face * np.float32(1.5) + tilt * face
    second = _tone(rng) if rng.random() < 0.4 else None
    glaze = _tone(rng) * _hash(rng, np.floor(v), np.floor(u), 0.9, 1.1)
    if second is not None:
        glaze = np.where((np.floor(u) + np.floor(v)) % 2 == 0, glaze, second)
    grout = np.float32(rng.uniform(0.2, 0.7))
    return material(height, grout + face * (glaze - grout), float(rng.uniform(0.2, 0.5)))


def _wood(rng: np.random.Generator) -> Material:
    u, v = _turned(rng)
    bend = _wavy(rng, 5, 2)
    rings = np.sqrt(
        (u + bend + np.float32(rng.uniform(-60, 60))) ** 2
        + (v * np.float32(0.12) + np.float32(rng.uniform(8, 25))) ** 2
    )
    phase = rings / np.float32(rng.uniform(5, 10)) + np.float32(0.25) * smooth_noise(rng, SIDE, 5)
    late = (phase - np.floor(phase)) ** 2
    fibre = smooth_noise(rng, SIDE, 60)
    strand = np.floor(u + np.float32(0.2) * bend)
    fibre = np.float32(0.4) * fibre + _hash(rng, strand, np.floor((v + 7 * np.sin(strand * 12.9)) / 24), -1, 1)
    colour = (
        _tone(rng, 0.07, 0.09)
        * (np.float32(1.15) - np.float32(rng.uniform(0.35, 0.6)) * late)
        * (1 + np.float32(0.08) * fibre)
    )
    return material(np.float32(0.12) * fibre - np.float32(0.3) * late, colour, float(rng.choice([0.0, 0.12])))


MATERIALS: dict[str, Maker] = {
    "brick": _brick,
    "brushed_metal": _brushed_metal,
    "cloth": _cloth,
    "cork": _cork,
    "corrugated": _corrugated,
    "fur": _fur,
    "knit": _knit,
    "leather": _leather,
    "marble": _marble,
    "pebbles": _pebbles,
    "plaster": _plaster,
    "sponge": _sponge,
    "tiles": _tiles,
    "wood": _wood,
}
