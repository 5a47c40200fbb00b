"""The objects of the natural domain as signed distance functions, each within the unit ball, y up.

Distances may be too short (never too long), which is all that ray marching asks. Formulae after J. C. Hart,
"Sphere tracing", The Visual Computer 12 (1996).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from desali.data.synthetic.exact import PI, Array, clip, cos, hypot, sin, sqrt
from desali.data.synthetic.randomness import Stream

Solid = Callable[[Array, Array, Array], Array]
Draw = Callable[[Stream], Solid]


def _box(x: Array, y: Array, z: Array, a: float, b: float, c: float) -> Array:
    """Distance to a box of half sizes a, b, c (exact outside faces, short at edges)."""
    return _extrude(_bar(x, y, a, b), z, c)


def _bar(x: Array, y: Array, a: float, b: float) -> Array:
    """Distance in the plane to a rectangle of half sizes a, b."""
    distance: Array = np.maximum(np.abs(x) - a, np.abs(y) - b)
    return distance


def _extrude(outline: Array, z: Array, depth: float) -> Array:
    distance: Array = np.maximum(outline, np.abs(z) - depth)
    return distance


def _ball(rng: Stream) -> Solid:
    radius = rng.uniform(0.75, 0.95)
    return lambda x, y, z: sqrt(x * x + y * y + z * z) - radius


def _cuboid(rng: Stream) -> Solid:
    a, b, c = (rng.uniform(0.4, 0.62) for _ in range(3))
    return lambda x, y, z: _box(x, y, z, a, b, c)


def _cylinder(rng: Stream) -> Solid:
    radius, height = rng.uniform(0.32, 0.55), rng.uniform(0.5, 0.8)
    return lambda x, y, z: np.maximum(sqrt(x * x + z * z) - radius, np.abs(y) - height)


def _cone(rng: Stream) -> Solid:
    radius, height = rng.uniform(0.45, 0.68), rng.uniform(1.1, 1.5)
    slope = hypot(radius, height)
    across, along = (height / slope), (radius / slope)
    half = height / 2
    return lambda x, y, z: np.maximum(across * sqrt(x * x + z * z) + along * (y - half), -half - y)


def _ring(rng: Stream) -> Solid:
    thick = rng.uniform(0.13, 0.26)
    radius = 0.93 - thick

    def distance(x: Array, y: Array, z: Array) -> Array:
        outward = sqrt(x * x + y * y) - radius
        tube: Array = sqrt(outward * outward + z * z) - thick
        return tube

    return distance


def _star(rng: Stream) -> Solid:
    tips, inner, depth = rng.between(5, 6), rng.uniform(0.36, 0.5), rng.uniform(0.1, 0.22)
    half = PI / tips
    # the edge from a tip (r, 0) to the notch (inner, at angle half), and its outward normal
    r = 0.95
    ex, ey = inner * cos(half) - r, inner * sin(half)
    nx, ny = (ey / hypot(ex, ey)), (-ex / hypot(ex, ey))

    points = [(sin(2 * half * k), cos(2 * half * k)) for k in range(tips)]

    def distance(x: Array, y: Array, z: Array) -> Array:
        # the tip whose direction is nearest has the largest component; what is left is the distance to its axis
        along = points[0][0] * x + points[0][1] * y
        for px, py in points[1:]:
            np.maximum(along, px * x + py * y, out=along)
        aside = sqrt(np.maximum(x * x + y * y - along * along, 0.0))
        return _extrude(nx * (along - r) + ny * aside, z, depth)

    return distance


def _cross(rng: Stream) -> Solid:
    width, arm, depth, shift = (
        rng.uniform(0.17, 0.3),
        rng.uniform(0.65, 0.9),
        rng.uniform(0.12, 0.25),
        rng.uniform(0, 0.3),
    )

    def distance(x: Array, y: Array, z: Array) -> Array:
        return _extrude(np.minimum(_bar(x, y, width, 0.9), _bar(x, y - shift, arm * 0.85, width)), z, depth)

    return distance


def _arrow(rng: Stream) -> Solid:
    shaft, head, depth = rng.uniform(0.12, 0.2), rng.uniform(0.42, 0.6), rng.uniform(0.1, 0.2)
    nx, ny = (0.75 / hypot(head, 0.75)), (head / hypot(head, 0.75))

    def distance(x: Array, y: Array, z: Array) -> Array:
        tip = np.maximum(nx * np.abs(x) + ny * (y - 0.95), 0.2 - y)
        return _extrude(np.minimum(tip, _bar(x, y + 0.35, shaft, 0.58)), z, depth)

    return distance


def _ladder(rng: Stream) -> Solid:
    half, rail, rungs = rng.uniform(0.28, 0.4), rng.uniform(0.06, 0.09), rng.between(4, 5)
    pitch = 1.84 / rungs

    def distance(x: Array, y: Array, z: Array) -> Array:
        rails = _box(np.abs(x) - half, y, z, rail, 0.92, rail)
        folded = y + 0.92 - pitch * (clip(np.floor((y + 0.92) / pitch), 0, rungs - 1) + 0.5)
        return np.minimum(rails, _box(x, folded, z, half, 0.8 * rail, 0.7 * rail))

    return distance


def _grid(rng: Stream) -> Solid:
    half_x, half_y, bar, depth = (
        rng.uniform(0.5, 0.68),
        rng.uniform(0.55, 0.7),
        rng.uniform(0.05, 0.08),
        rng.uniform(0.06, 0.12),
    )
    columns, rows = rng.between(2, 3), rng.between(2, 3)
    step_x, step_y = (2 * half_x / columns), (2 * half_y / rows)

    def distance(x: Array, y: Array, z: Array) -> Array:
        gap_x = np.abs(x + half_x - step_x * clip(np.rint((x + half_x) / step_x), 0, columns))
        gap_y = np.abs(y + half_y - step_y * clip(np.rint((y + half_y) / step_y), 0, rows))
        bars = np.minimum(gap_x, gap_y) - bar
        return _extrude(np.maximum(bars, _bar(x, y, half_x + bar, half_y + bar)), z, depth)

    return distance


def _mug(rng: Stream) -> Solid:
    radius, height, handle = rng.uniform(0.42, 0.54), rng.uniform(0.45, 0.62), rng.uniform(0.24, 0.32)

    def distance(x: Array, y: Array, z: Array) -> Array:
        axis = sqrt(x * x + z * z)
        body = np.maximum(axis - radius, np.abs(y) - height)
        hollow = np.maximum(axis - (radius - 0.08), (0.1 - height) - y)
        out = sqrt(np.square(x - radius) + y * y) - handle
        loop = np.maximum(sqrt(out * out + z * z) - 0.07, (radius - 0.04) - axis)
        mug: Array = np.minimum(np.maximum(body, -hollow), loop)
        return mug

    return distance


def _chair(rng: Stream) -> Solid:
    half, seat, leg, lean = (
        rng.uniform(0.38, 0.48),
        rng.uniform(-0.12, 0.08),
        rng.uniform(0.05, 0.08),
        rng.uniform(0, 0.2),
    )
    slats = rng.random() < 0.5

    def distance(x: Array, y: Array, z: Array) -> Array:
        middle = (seat - 0.8) / 2
        legs = _box(
            np.abs(x) - (half - leg),
            y - middle,
            np.abs(z) - (half - leg),
            leg,
            (seat + 0.8) / 2,
            leg,
        )
        board = _box(x, y - seat, z, half, 0.06, half)
        rest_y, rest_z = (
            y - ((seat + 0.85) / 2),
            z + (half - 0.06) + lean * (y - seat),
        )
        rest = _box(x, rest_y, rest_z, half, (0.85 - seat) / 2, 0.06)
        if slats:
            rest = np.maximum(
                rest,
                0.11 - np.maximum(np.abs(np.abs(x) - (half / 2)), 0.3 * np.abs(rest_y)),
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
