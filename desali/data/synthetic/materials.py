"""Fourteen materials: each function invents one piece, its relief (in grid steps) and its reflectance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from desali.data.synthetic.exact import PI, Array, clip, cos, exp, hypot, power, sin, sqrt, tanh
from desali.data.synthetic.fields import Cells, fractal_noise, smooth_noise, soft_step, voronoi
from desali.data.synthetic.randomness import Stream
from desali.data.synthetic.relief import SIDE, Material, material

Maker = Callable[[Stream], Material]
_X, _Y = (a.astype(np.float64) for a in np.meshgrid(np.arange(SIDE), np.arange(SIDE)))


def _tone(rng: Stream, *hues: float) -> Array:
    """A reflectance [3, 1, 1] near one of `hues` (0-1, any if none) of random saturation and value."""
    hue = rng.choice(hues) + rng.normal(0, 0.03) if hues and rng.random() < 0.6 else rng.random()
    saturation, value = 1 - sqrt(rng.random()), rng.uniform(0.2, 0.75)
    wave = clip(0.5 + cos(2 * PI * (hue - np.array([0, 1 / 3, 2 / 3]))), 0, 1)
    return (value * (1 - saturation + saturation * wave))[:, None, None]


def _turned(rng: Stream, angle: float | None = None) -> tuple[Array, Array]:
    """Grid coordinates turned by a random angle, or by about `angle`."""
    turn = rng.uniform(0, PI) if angle is None else angle + rng.normal(0, 0.1)
    c, s = cos(turn), sin(turn)
    return c * _X - s * _Y, s * _X + c * _Y


def _wavy(rng: Stream, amount: float, cells: int) -> Array:
    noise = smooth_noise(rng, SIDE, cells)
    noise *= amount
    return noise


def _granules(rng: Stream, size: float, waviness: float = 0.15) -> Cells:
    x, y = _turned(rng)
    return voronoi(rng, x / size + _wavy(rng, waviness, 16), y / size + _wavy(rng, waviness, 16))


def _per_cell(rng: Stream, cells: Cells, low: float, high: float) -> Array:
    return rng.uniform(low, high, len(cells.x))[cells.nearest]


def _hash(rng: Stream, row: Array, column: Array, low: float, high: float) -> Array:
    """A random value for each integer pair (row, column)."""
    r, c = row.astype(np.int64), column.astype(np.int64)
    r, c = r - r.min(), c - c.min()
    values: Array = rng.uniform(low, high, (r.max() + 1, c.max() + 1))[r, c]
    return values


def _brick(rng: Stream) -> Material:
    length, course, joint = rng.uniform(26, 38), rng.uniform(11, 16), rng.uniform(0.8, 1.5)
    u, v = _X + _wavy(rng, 0.5, 8), (_Y + _wavy(rng, 0.5, 8)) / course
    row = np.floor(v)
    u = u / length + 0.5 * (row % 2)
    edge = np.minimum(
        (0.5 - np.abs(u - np.floor(u) - 0.5)) * length,
        (0.5 - np.abs(v - row - 0.5)) * course,
    )
    stone = soft_step(edge - joint, 1.6)
    rough = fractal_noise(rng, SIDE, 20, 3, 0.8)
    height = stone * (rng.uniform(1.5, 3) + _hash(rng, row, np.floor(u), -0.3, 0.3)) + 0.25 * rough
    brick = _tone(rng, 0.03, 0.06) * _hash(rng, row, np.floor(u), 0.7, 1.3) * (1 + 0.1 * rough)
    mortar = rng.uniform(0.3, 0.7)
    return material(height, mortar + stone * (brick - mortar), 0.0)


def _brushed_metal(rng: Stream) -> Material:
    lines = (
        smooth_noise(rng, SIDE, (SIDE, 3))
        + smooth_noise(rng, SIDE, (64, 2))
        + 0.5 * smooth_noise(rng, SIDE, (SIDE, 14))
    )
    if rng.random() < 0.5:
        lines = np.ascontiguousarray(lines.T)
    height = rng.uniform(0.06, 0.16) * lines + _wavy(rng, 0.6, 2)
    colour = _tone(rng, 0.1, 0.6) * 0.5 + rng.uniform(0.05, 0.2) + 0.025 * lines
    return material(height, colour, (rng.uniform(0.35, 0.7)))


def _cloth(rng: Stream) -> Material:
    pitch = rng.uniform(5.5, 10)
    u, v = (_X + _wavy(rng, 0.8, 5)) / pitch, (_Y + _wavy(rng, 0.8, 5)) / pitch
    i, j = np.floor(u), np.floor(v)
    warp = sqrt(np.abs(sin(PI * u))) * (0.6 + 0.4 * cos(PI * (v - 0.5 + i)))
    weft = sqrt(np.abs(sin(PI * v))) * (0.6 - 0.4 * cos(PI * (u - 0.5 + j)))
    over = warp > weft
    fibre = fractal_noise(rng, SIDE, 40, 2, 0.8)
    height = np.maximum(warp, weft) * (0.32 * pitch) + 0.12 * fibre
    first = _tone(rng)
    second = _tone(rng) if rng.random() < 0.5 else first
    return material(height, np.where(over, first, second) * (1 + 0.06 * fibre), 0.0)


def _cork(rng: Stream) -> Material:
    cells = _granules(rng, rng.uniform(5, 9), 0.3)
    pits = soft_step(smooth_noise(rng, SIDE, 22) - 1.5, 0.5)
    seam = soft_step(0.12 - (cells.second - cells.first), 0.12)
    grain = _per_cell(rng, cells, 0.55, 1.25)
    height = 0.3 * grain - 2 * pits - 0.4 * seam + 0.15 * fractal_noise(rng, SIDE, 30, 2)
    return material(height, _tone(rng, 0.08, 0.1) * grain * (1 - 0.6 * pits) * (1 - 0.35 * seam), 0.0)


def _corrugated(rng: Stream) -> Material:
    pitch = rng.uniform(9, 20)
    u, _ = _turned(rng)
    phase = (u + _wavy(rng, 0.4, 3)) * (2 * PI / pitch)
    flat = rng.uniform(1, 2.5)
    height = tanh(flat * sin(phase)) * (pitch * rng.uniform(0.1, 0.2))
    stain = fractal_noise(rng, SIDE, 5, 4, 0.7)
    return material(height, _tone(rng) * (1 + 0.1 * stain), rng.choice((0.0, 0.25)))


def _fur(rng: Stream) -> Material:
    height = np.zeros((SIDE, SIDE))
    for level in range(3):
        u, v = _turned(rng, 0.25 * (level - 1))
        u, v = u + _wavy(rng, 5, 3), v + _wavy(rng, 5, 3)
        length, width = rng.uniform(9, 16), rng.uniform(1.6, 2.4)
        strand = np.floor(u / width)
        jitter = _hash(rng, strand, np.zeros_like(strand), 0, length)
        along = (v + jitter) / length
        blade = np.abs(sin(PI * u / width)) * (1 - (along - np.floor(along)))
        height = np.maximum(height, blade * 2.6 * _hash(rng, strand, np.floor(along), 0.4, 1))
    colour = _tone(rng, 0.28, 0.09) * (0.35 + 0.5 * height)
    return material(height, colour, 0.0)


def _knit(rng: Stream) -> Material:
    width = rng.uniform(9, 14)
    u, v = (
        (_X + _wavy(rng, 0.8, 5)) / width,
        (_Y + _wavy(rng, 0.8, 5)) / (width * rng.uniform(0.5, 0.65)),
    )
    across = u - np.floor(u)
    slant = v + 1.1 * np.abs(2 * across - 1)
    yarn = sqrt(np.abs(sin(PI * slant) * sin(2 * PI * u)))
    fibre = fractal_noise(rng, SIDE, 40, 2, 0.8)
    stripe = _hash(rng, np.floor(slant / 6), np.zeros_like(u), 0.6, 1.3) if rng.random() < 0.4 else 1
    height = yarn * (0.26 * width) + 0.15 * fibre
    return material(height, _tone(rng) * stripe * (0.6 + 0.4 * yarn), 0.0)


def _leather(rng: Stream) -> Material:
    coarse, fine = _granules(rng, rng.uniform(6, 11), 0.3), _granules(rng, rng.uniform(3, 4), 0.3)
    crease = soft_step(coarse.second - coarse.first - 0.12, 0.35)
    pores = soft_step(fine.second - fine.first - 0.1, 0.35)
    height = rng.uniform(0.8, 1.4) * crease + 0.35 * pores + _wavy(rng, 1.2, 3)
    return material(height, _tone(rng, 0.05, 0.08) * (0.75 + 0.25 * crease), (rng.uniform(0.1, 0.35)))


def _marble(rng: Stream) -> Material:
    u, _ = _turned(rng)
    bend = fractal_noise(rng, SIDE, 3, 5, 0.6)
    vein = 1 - np.abs(sin(u * rng.uniform(0.03, 0.08) + 1.6 * bend))
    fine = exp(-np.abs(fractal_noise(rng, SIDE, 4, 4, 0.6)) * 14)
    amount = clip(power(vein, rng.uniform(4, 9)) + 0.5 * fine, 0, 1)
    stone = 0.4 * _tone(rng) + rng.choice((0.08, 0.25, 0.45))
    dark = clip(stone * rng.uniform(0.3, 0.6) + 0.3 * (_tone(rng) - 0.4), 0.02, 1)
    if rng.random() < 0.35:
        dark = stone + 0.4 * (1 - stone)  # pale veins
    clouds = 1 + 0.1 * bend
    return material(_wavy(rng, 0.1, 3), (stone + amount * (dark - stone)) * clouds, (rng.uniform(0.1, 0.3)))


def _pebbles(rng: Stream) -> Material:
    size = rng.uniform(7, 17)
    cells = _granules(rng, size, 0.12)
    room = clip((cells.second - cells.first) * 1.3, 0, 1)
    dome = sqrt(clip(room * (2 - room), 0, 1))
    height = dome * (0.3 * size) * _per_cell(rng, cells, 0.6, 1) + 0.12 * fractal_noise(rng, SIDE, 30, 2)
    tone = _tone(rng, 0.08, 0.6) * _per_cell(rng, cells, 0.5, 1.5)
    warm = _per_cell(rng, cells, -0.08, 0.08) * np.array([1.0, 0.0, -1.0])[:, None, None]
    return material(height, (tone + warm) * (0.35 + 0.65 * dome), 0.0)


def _plaster(rng: Stream) -> Material:
    relief = fractal_noise(rng, SIDE, rng.between(6, 13), 4, rng.uniform(0.55, 0.75))
    height = relief * rng.uniform(0.9, 1.8)
    return material(height, _tone(rng, 0.1, 0.12) * (1 + 0.05 * relief), 0.0)


def _sponge(rng: Stream) -> Material:
    depth = np.zeros((SIDE, SIDE))
    for size in (rng.uniform(10, 15), rng.uniform(4.5, 7)):
        cells = _granules(rng, size, 0.2)
        radius = _per_cell(rng, cells, 0.15, 0.5)
        pit = sqrt(clip(radius * radius - cells.first * cells.first, 0, 1)) * size
        depth = np.maximum(depth, pit)
    body = fractal_noise(rng, SIDE, 24, 2, 0.7)
    colour = _tone(rng, 0.12, 0.14) / (1 + 0.3 * depth) * (1 + 0.05 * body)
    return material(0.3 * body - depth, colour, 0.0)


def _tiles(rng: Stream) -> Material:
    pitch, joint = rng.uniform(15, 30), rng.uniform(0.8, 1.6)
    u, v = _X / pitch, _Y / (pitch * rng.choice((1.0, 1.0, 0.5)))
    edge = np.minimum(0.5 - np.abs(u - np.floor(u) - 0.5), 0.5 - np.abs(v - np.floor(v) - 0.5))
    face = soft_step(edge * pitch - joint, 2.5)
    tilt = _hash(rng, np.floor(v), np.floor(u), -0.03, 0.03) * _X
    height = face * 1.5 + tilt * face
    second = _tone(rng) if rng.random() < 0.4 else None
    glaze = _tone(rng) * _hash(rng, np.floor(v), np.floor(u), 0.9, 1.1)
    if second is not None:
        glaze = np.where((np.floor(u) + np.floor(v)) % 2 == 0, glaze, second)
    grout = rng.uniform(0.2, 0.7)
    return material(height, grout + face * (glaze - grout), (rng.uniform(0.2, 0.5)))


def _wood(rng: Stream) -> Material:
    u, v = _turned(rng)
    bend = _wavy(rng, 5, 2)
    rings = hypot(u + bend + rng.uniform(-60, 60), v * 0.12 + rng.uniform(8, 25))
    phase = rings / rng.uniform(5, 10) + 0.25 * smooth_noise(rng, SIDE, 5)
    late = np.square(phase - np.floor(phase))
    fibre = smooth_noise(rng, SIDE, 60)
    strand = np.floor(u + 0.2 * bend)
    fibre = 0.4 * fibre + _hash(rng, strand, np.floor((v + 7 * sin(strand * 12.9)) / 24), -1, 1)
    colour = _tone(rng, 0.07, 0.09) * (1.15 - rng.uniform(0.35, 0.6) * late) * (1 + 0.08 * fibre)
    return material(0.12 * fibre - 0.3 * late, colour, rng.choice((0.0, 0.12)))


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
