"""The objects of the natural domain as signed distance functions, each within the unit ball, y up.

Distances may be too short (never too long), which is all that ray marching asks. Formulae after J. C. Hart,
"Sphere tracing", The Visual Computer 12 (1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from desali.data.synthetic.fields import Array

Solid = Callable[[Array, Array, Array], Array]
Draw = Callable[[np.random.Generator], Solid]


def _box(x: Array, y: Array, z: Array, a: float, b: float, c: float) -> Array:
    """Distance to a box of half sizes a, b, c (exact outside faces, short at edges)."""
    return _extrude(_bar(x, y, a, b), z, c)


def _bar(x: Array, y: Array, a: float, b: float) -> Array:
    """Distance in the plane to a rectangle of half sizes a, b."""
    distance: Array = np.maximum(np.abs(x) - np.float32(a), np.abs(y) - np.float32(b))
    return distance


def _extrude(outline: Array, z: Array, depth: float) -> Array:
    distance: Array = np.maximum(outline, np.abs(z) - np.float32(depth))
    return distance


def _ball(rng: np.random.Generator) -> Solid:
    radius = np.float32(rng.uniform(0.75, 0.95))
    return lambda x, y, z: np.sqrt(x * x + y * y + z * z) - radius


def _cuboid(rng: np.random.Generator) -> Solid:
    a, b, c = (float(v) for v in rng.uniform(0.4, 0.62, 3))
    return lambda x, y, z: _box(x, y, z, a, b, c)


def _cylinder(rng: np.random.Generator) -> Solid:
    radius, height = np.float32(rng.uniform(0.32, 0.55)), np.float32(rng.uniform(0.5, 0.8))
    return lambda x, y, z: np.maximum(np.sqrt(x * x + z * z) - radius, np.abs(y) - height)


def _cone(rng: np.random.Generator) -> Solid:
    radius, height = rng.uniform(0.45, 0.68), rng.uniform(1.1, 1.5)
    slope = math.hypot(radius, height)
    across, along = np.float32(height / slope), np.float32(radius / slope)
    half = np.float32(height / 2)
    return lambda x, y, z: np.maximum(across * np.sqrt(x * x + z * z) + along * (y - half), -half - y)


def _ring(rng: np.random.Generator) -> Solid:
    thick = np.float32(rng.uniform(0.13, 0.26))
    radius = np.float32(0.93) - thick

    def distance(x: Array, y: Array, z: Array) -> Array:
        outward = np.sqrt(x * x + y * y) - radius
        tube: Array = np.sqrt(outward * outward + z * z) - thick
        return tube

    return distance


def _star(rng: np.random.Generator) -> Solid:
    tips, inner, depth = int(rng.integers(5, 7)), rng.uniform(0.36, 0.5), rng.uniform(0.1, 0.22)
    half = math.pi / tips
    # the edge from a tip (r, 0) to the notch (inner, at angle half), and its outward normal
    r = 0.95
    ex, ey = inner * math.cos(half) - r, inner * math.sin(half)
    nx, ny = np.float32(ey / math.hypot(ex, ey)), np.float32(-ex / math.hypot(ex, ey))

    def distance(x: Array, y: Array, z: Array) -> Array:
        angle = np.arctan2(x, y)
        angle = np.abs(angle - np.float32(2 * half) * np.rint(angle / np.float32(2 * half)))
        radius = np.sqrt(x * x + y * y)
        return _extrude(nx * (radius * np.cos(angle) - np.float32(r)) + ny * radius * np.sin(angle), z, depth)

    return distance


def _cross(rng: np.random.Generator) -> Solid:
    width, arm, depth, shift = (
        rng.uniform(0.17, 0.3),
        rng.uniform(0.65, 0.9),
        rng.uniform(0.12, 0.25),
        rng.uniform(0, 0.3),
    )

    def distance(x: Array, y: Array, z: Array) -> Array:
        return _extrude(np.minimum(_bar(x, y, width, 0.9), _bar(x, y - np.float32(shift), arm * 0.85, width)), z, depth)

    return distance


def _arrow(rng: np.random.Generator) -> Solid:
    shaft, head, depth = rng.uniform(0.12, 0.2), rng.uniform(0.42, 0.6), rng.uniform(0.1, 0.2)
    nx, ny = np.float32(0.75 / math.hypot(head, 0.75)), np.float32(head / math.hypot(head, 0.75))

    def distance(x: Array, y: Array, z: Array) -> Array:
        tip = np.maximum(nx * np.abs(x) + ny * (y - np.float32(0.95)), np.float32(0.2) - y)
        return _extrude(np.minimum(tip, _bar(x, y + np.float32(0.35), shaft, 0.58)), z, depth)

    return distance


def _ladder(rng: np.random.Generator) -> Solid:
    half, rail, rungs = rng.uniform(0.28, 0.4), rng.uniform(0.06, 0.09), int(rng.integers(4, 6))
    pitch = np.float32(1.84 / rungs)

    def distance(x: Array, y: Array, z: Array) -> Array:
        rails = _box(np.abs(x) - np.float32(half), y, z, rail, 0.92, rail)
        folded = (
            y
            + np.float32(0.92)
            - pitch * (np.clip(np.floor((y + np.float32(0.92)) / pitch), 0, rungs - 1) + np.float32(0.5))
        )
        return np.minimum(rails, _box(x, folded, z, half, 0.8 * rail, 0.7 * rail))

    return distance


def _grid(rng: np.random.Generator) -> Solid:
    half_x, half_y, bar, depth = (
        rng.uniform(0.5, 0.68),
        rng.uniform(0.55, 0.7),
        rng.uniform(0.05, 0.08),
        rng.uniform(0.06, 0.12),
    )
    columns, rows = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    step_x, step_y = np.float32(2 * half_x / columns), np.float32(2 * half_y / rows)

    def distance(x: Array, y: Array, z: Array) -> Array:
        gap_x = np.abs(
            x + np.float32(half_x) - step_x * np.clip(np.rint((x + np.float32(half_x)) / step_x), 0, columns)
        )
        gap_y = np.abs(y + np.float32(half_y) - step_y * np.clip(np.rint((y + np.float32(half_y)) / step_y), 0, rows))
        bars = np.minimum(gap_x, gap_y) - np.float32(bar)
        return _extrude(np.maximum(bars, _bar(x, y, half_x + bar, half_y + bar)), z, depth)

    return distance


def _mug(rng: np.random.Generator) -> Solid:
    radius, height, handle = rng.uniform(0.42, 0.54), rng.uniform(0.45, 0.62), rng.uniform(0.24, 0.32)

    def distance(x: Array, y: Array, z: Array) -> Array:
        axis = np.sqrt(x * x + z * z)
        body = np.maximum(axis - np.float32(radius), np.abs(y) - np.float32(height))
        hollow = np.maximum(axis - np.float32(radius - 0.08), np.float32(0.1 - height) - y)
        out = np.sqrt((x - np.float32(radius)) ** 2 + y * y) - np.float32(handle)
        loop = np.maximum(np.sqrt(out * out + z * z) - np.float32(0.07), np.float32(radius - 0.04) - axis)
        mug: Array = np.minimum(np.maximum(body, -hollow), loop)
        return mug

    return distance


def _chair(rng: np.random.Generator) -> Solid:
    half, seat, leg, lean = (
        rng.uniform(0.38, 0.48),
        rng.uniform(-0.12, 0.08),
        rng.uniform(0.05, 0.08),
        rng.uniform(0, 0.2),
    )
    slats = rng.random() < 0.5

    def distance(x: Array, y: Array, z: Array) -> Array:
        middle = np.float32((seat - 0.8) / 2)
        legs = _box(
            np.abs(x) - np.float32(half - leg),
            y - middle,
            np.abs(z) - np.float32(half - leg),
            leg,
            (seat + 0.8) / 2,
            leg,
        )
        board = _box(x, y - np.float32(seat), z, half, 0.06, half)
        rest_y, rest_z = (
            y - np.float32((seat + 0.85) / 2),
            z + np.float32(half - 0.06) + np.float32(lean) * (y - np.float32(seat)),
        )
        rest = _box(x, rest_y, rest_z, half, (0.85 - seat) / 2, 0.06)
        if slats:
            rest = np.maximum(
                rest,
                np.float32(0.11)
                - np.maximum(np.abs(np.abs(x) - np.float32(half / 2)), np.float32(0.3) * np.abs(rest_y)),
            )
        return np.minimum(np.minimum(legs, board), rest)

    return distance


SOLIDS: dict[str, Draw] = {
    "arrow": _arrow,
    "ball": _ball,
    "box": _cuboid,
    "chair": _chair,
    "cone": _cone,
    "cross": _cross,
    "cylinder": _cylinder,
    "grid": _grid,
    "ladder": _ladder,
    "mug": _mug,
    "ring": _ring,
    "star": _star,
}
FLAT = frozenset({"arrow", "cross", "grid", "ladder", "ring", "star"})  # seen from the front, more or less
