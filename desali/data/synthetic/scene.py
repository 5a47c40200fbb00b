"""One photograph of one object: camera, ray marching, light, shadow, background, clutter and what stands in the way."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from desali.data.synthetic.exact import PI, Array, clip, cos, exp, power, sin, sqrt, tanh
from desali.data.synthetic.fields import smooth_noise
from desali.data.synthetic.randomness import Stream
from desali.data.synthetic.solids import FLAT, SOLIDS, Solid

_STEPS, _SHADOW_STEPS, _NEAR = 36, 18, 0.006
Vector = Array  # [3] or [3, n]


def photograph(name: str, rng: Stream, size: int) -> Array:
    """A picture in linear light, float64 [3, size, size] around 0-1, of a random object of class `name`."""
    fine = 2 * size
    solid, turn = SOLIDS[name](rng), _pose(name, rng)
    tint, base = _colour(rng), _colour(rng)
    light = _light(rng)
    floor = _lowest(solid, turn)
    eye, rays, x, y = _camera(rng, fine, floor)

    picture, ground = _background(rng, eye, rays, floor, base)
    _clutter(rng, picture, x, y, rng.below(6))
    samples = picture.reshape(3, -1)
    footing = eye[:, None] + rays[:, ground] * ((floor - eye[1]) / rays[1, ground])
    towards = np.broadcast_to(_apply(turn, light[:, None]), footing.shape)
    dark, _ = _march(solid, _apply(turn, footing), towards, _SHADOW_STEPS)
    samples[:, ground[dark]] *= rng.uniform(0.25, 0.55)

    rays = _apply(turn, rays)
    seen, where = _march(solid, np.broadcast_to(_apply(turn, eye[:, None]), rays.shape), rays, _STEPS)
    if len(seen):
        samples[:, seen] = _shade(rng, solid, where, _apply(turn, light[:, None]), rays[:, seen], tint)
    if rng.random() < 0.4:
        _clutter(rng, picture, x, y, 1, thin=True)
    rows = picture[:, ::2] + picture[:, 1::2]
    coarse: Array = (rows[:, :, ::2] + rows[:, :, 1::2]) * 0.25
    return coarse


def _rotation(yaw: float, pitch: float, roll: float) -> Vector:
    """Rotation matrix [3, 3]: roll about z, then pitch about x, then yaw about y."""
    (cy, sy), (cp, sp), (cr, sr) = ((cos(a), sin(a)) for a in (yaw, pitch, roll))
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
    about_z = np.array([[cr, -sr, 0.0], [sr, cr, 0.0], [0.0, 0.0, 1.0]])
    return _apply(about_y, _apply(about_x, about_z))


def _pose(name: str, rng: Stream) -> Vector:
    """From world to object coordinates, [3, 3]."""
    if name in FLAT:
        spins = name in ("arrow", "star", "ring")
        yaw, pitch = rng.uniform(-0.9, 0.9), rng.normal(0, 0.25)
        roll = rng.uniform(-PI, PI) if spins else rng.normal(0, 0.25)
    else:
        toppled = name in ("box", "cylinder", "cone") and rng.random() < 0.25
        yaw, pitch = rng.uniform(-PI, PI), rng.normal(0, 0.1)
        roll = PI / 2 if toppled else rng.normal(0, 0.1)
    return np.ascontiguousarray(_rotation(yaw, pitch, roll).T)


def _colour(rng: Stream) -> Vector:
    """A random reflectance [3]: hue, saturation and value."""
    saturation, value = 1 - sqrt(rng.random()), rng.uniform(0.04, 0.8)
    hue = (
        rng.random() if rng.random() < 0.4 else rng.choice((0.08, 0.11, 0.3, 0.58)) + rng.normal(0, 0.03)
    )  # earth, leaf, sky
    wave = clip(0.5 + cos(2 * PI * (hue - np.array([0, 1 / 3, 2 / 3]))), 0, 1)
    return value * (1 - saturation + saturation * wave)


def _light(rng: Stream) -> Vector:
    azimuth, elevation = rng.uniform(0, 2 * PI), rng.uniform(0.5, 1.3)
    c = cos(elevation)
    towards = np.array([c * cos(azimuth), sin(elevation), c * sin(azimuth) + 0.3])
    return towards / sqrt(_dot(towards, towards))


def _lowest(solid: Solid, turn: Vector) -> float:
    """Height of the object's lowest point in the world, from a 20 x 20 x 20 lattice."""
    axis = (np.arange(20) * 2.0 - 19.0) / 19.0
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)
    x, y, z = (np.ascontiguousarray(row) for row in _apply(turn, lattice))
    inside = solid(x, y, z) < 0.03
    return float(lattice[1][inside].min()) - 0.04 if inside.any() else -0.9


def _apply(matrix: Vector, points: Vector) -> Vector:
    """`matrix @ points` for [3, 3] and [3, n], added in a fixed order."""
    return np.stack([row[0] * points[0] + row[1] * points[1] + row[2] * points[2] for row in matrix])


def _dot(a: Vector, b: Vector) -> Vector:
    """Scalar products of vectors [3] or [3, n], added in a fixed order."""
    product: Vector = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return product


def _camera(rng: Stream, fine: int, floor: float) -> tuple[Vector, Vector, Array, Array]:
    """Eye [3], unit ray directions [3, fine * fine], and picture coordinates x, y (y down, -1 to 1) of every sample."""
    elevation, distance = rng.uniform(0.08, 0.75), rng.uniform(4.2, 6)
    spread = 1 / (sqrt(distance * distance - 1) * rng.uniform(0.5, 0.88))  # half a picture, at distance 1
    eye = np.array([0.0, distance * sin(elevation), distance * cos(elevation)])
    eye[1] = max(eye[1], floor + 0.3)
    shift_x, shift_y = rng.normal(0, 0.12), rng.normal(0, 0.12)
    axis = (np.arange(fine) + 0.5) * (2 / fine) - 1
    x, y = np.broadcast_to(axis, (fine, fine)), np.broadcast_to(axis[:, None], (fine, fine))
    forward = -eye / sqrt(_dot(eye, eye))
    right = np.array([1.0, 0.0, 0.0])
    up = np.array([0.0, -forward[2], forward[1]])
    u, v = (x + shift_x).ravel() * spread, (-y + shift_y).ravel() * spread
    rays = forward[:, None] + right[:, None] * u + up[:, None] * v
    rays /= sqrt(_dot(rays, rays))
    return eye, rays, x, y


def _background(
    rng: Stream, eye: Vector, rays: Vector, floor: float, base: Vector
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Picture [3, fine, fine] of sky or wall above a patterned floor; indices of the samples that see the floor."""
    fine = math.isqrt(rays.shape[1])
    low, high = _colour(rng), _colour(rng)
    height = clip(rays[1] * 2.5 + 0.5, 0, 1)
    if rng.random() < 0.3:  # a bright sky
        low, high = np.array([0.6, 0.65, 0.7]), np.array([0.2, 0.4, 0.75])
    picture = low[:, None] + (high - low)[:, None] * height
    wall = rng.uniform(1.5, 4) if rng.random() < 0.5 else 14.0
    ground = np.flatnonzero(rays[1] < -0.015)
    t = (floor - eye[1]) / rays[1, ground]
    z = eye[2] + rays[2, ground] * t
    near = z > -wall
    ground, z, t = ground[near], z[near], t[near]
    x = rays[0, ground] * t
    turn, pitch = rng.uniform(0, PI), rng.uniform(2, 6)
    u, v = (cos(turn) * x + sin(turn) * z) * pitch, (cos(turn) * z - sin(turn) * x) * pitch
    kind = rng.below(4)
    marks = np.zeros_like(u)
    if kind == 1:
        marks = tanh(4 * sin(u))
    elif kind == 2:
        marks = tanh(6 * sin(u) * sin(v))
    elif kind == 3:
        marks = tanh(8 * (np.abs(sin(v * 0.5)) - 0.15))
    fade = exp(-0.12 * t) * rng.uniform(0.1, 0.6)
    picture[:, ground] = base[:, None] * (1 + fade * marks)
    picture *= 1 + rng.uniform(0, 0.3) * tanh(smooth_noise(rng, fine, rng.between(3, 27))).ravel()
    return picture.reshape(3, fine, fine), ground


def _clutter(rng: Stream, picture: Array, x: Array, y: Array, count: int, thin: bool = False) -> None:
    """Paint `count` polygons or strokes of random colour into `picture`, in place; `thin` ones are long strokes."""
    fine = x.shape[0]
    for _ in range(count):
        cx, cy = rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 1.1)
        stroke = thin or rng.random() < 0.4
        reach = rng.uniform(0.5, 1.6) if stroke else rng.uniform(0.15, 0.6)
        sides = 4 if stroke else rng.between(3, 6)
        angles = rng.uniform(0, 2 * PI) + np.arange(sides) * (2 * PI / sides)
        if not stroke:
            angles = angles + rng.normal(0, 0.25, sides)
        reaches = reach * rng.uniform(0.5, 1, sides)
        if stroke:
            reaches[::2] = rng.uniform(0.02, 0.07)
        extent = 1.5 * reach
        rows = slice(max(0, int((cy - extent + 1) * fine / 2)), max(0, int((cy + extent + 1) * fine / 2)))
        columns = slice(max(0, int((cx - extent + 1) * fine / 2)), max(0, int((cx + extent + 1) * fine / 2)))
        px, py = x[rows, columns] - cx, y[rows, columns] - cy
        if not px.size:
            continue
        outside = np.full(px.shape, -9.0)
        for angle, limit in zip(angles.tolist(), reaches.tolist(), strict=True):
            np.maximum(outside, px * cos(angle) + py * sin(angle) - limit, out=outside)
        bright = 1 + rng.normal(0, 0.5) * px + rng.normal(0, 0.5) * py
        np.copyto(picture[:, rows, columns], _colour(rng)[:, None, None] * clip(bright, 0.3, 1.7), where=outside < 0)


def _march(solid: Solid, origin: Vector, rays: Vector, steps: int) -> tuple[npt.NDArray[np.int64], Vector]:
    """Indices of the rays (object coordinates, [3, n]) that meet the solid, and the points [3, k] where they do."""
    middle = -(origin[0] * rays[0] + origin[1] * rays[1] + origin[2] * rays[2])
    inside = middle * middle - _dot(origin, origin) + 1.05 * 1.05
    index = np.flatnonzero((inside > 0) & (middle > 0))
    half = sqrt(inside[index])
    t, last = np.maximum(middle[index] - half, 0), middle[index] + half
    (ox, oy, oz), (dx, dy, dz) = origin[:, index], rays[:, index]
    hits: list[npt.NDArray[np.int64]] = []
    times: list[Array] = []
    for step in range(steps):
        distance = solid(ox + t * dx, oy + t * dy, oz + t * dz)
        t = t + distance
        if step % 3 == 2 or step == steps - 1:
            hit = distance < _NEAR
            hits.append(index[hit])
            times.append(t[hit])
            going = ~hit & (t < last)
            index, t, last, ox, oy, oz, dx, dy, dz = (a[going] for a in (index, t, last, ox, oy, oz, dx, dy, dz))
            if not len(index):
                break
    found, when = np.concatenate(hits), np.concatenate(times)
    return found, origin[:, found] + rays[:, found] * when


def _shade(rng: Stream, solid: Solid, where: Vector, light: Vector, rays: Vector, tint: Vector) -> Vector:
    """Colour [3, k] of the surface points `where`: a pattern, diffuse and ambient light, a highlight."""
    n, step = where.shape[1], 0.004
    corners = np.array([[1.0, -1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0], [-1.0, 1.0, -1.0, 1.0]])
    around = (where[:, None] + step * corners[:, :, None]).reshape(3, 4 * n)
    slope = solid(around[0], around[1], around[2]).reshape(4, n)
    normal = np.stack(
        [
            slope[0] - slope[1] - slope[2] + slope[3],
            slope[3] + slope[2] - slope[0] - slope[1],
            slope[1] + slope[3] - slope[0] - slope[2],
        ]
    )
    normal /= sqrt(_dot(normal, normal)) + 1e-9
    other, pitch = _colour(rng), rng.uniform(5, 14)
    axis = where[rng.below(3)]
    mix: Array | float = 0.0
    kind = rng.below(5)
    if kind == 1:
        mix = (sin(pitch * axis) > 0).astype(np.float64)
    elif kind == 2:
        mix = (sin(pitch * where[0]) * sin(pitch * where[1]) * sin(pitch * where[2]) > 0).astype(np.float64)
    elif kind == 3:
        mix = 0.5 + 0.5 * axis
    colour = tint[:, None] + (other - tint)[:, None] * mix
    facing = _dot(normal, light)
    diffuse = clip(facing, 0, 1)
    mirrored = _dot(rays, light) - 2 * facing * _dot(normal, rays)
    highlight = rng.uniform(0, 0.6) * power(clip(mirrored, 0, 1), rng.uniform(8, 40))
    ambient = rng.uniform(0.2, 0.4) * (1 + 0.4 * normal[1])
    shaded: Vector = colour * (ambient + rng.uniform(0.8, 1.2) * diffuse) + highlight
    return shaded
