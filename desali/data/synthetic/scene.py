"""One photograph of one object: camera, ray marching, light, shadow, background, clutter and what stands in the way."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from desali.data.synthetic.fields import Array, smooth_noise
from desali.data.synthetic.solids import FLAT, SOLIDS, Solid

_STEPS, _SHADOW_STEPS, _NEAR = 36, 18, 0.006
Vector = npt.NDArray[np.float32]  # [3] or [3, n]


def photograph(name: str, rng: np.random.Generator, size: int) -> Array:
    """A picture in linear light, float32 [3, size, size] around 0-1, of a random object of class `name`."""
    fine = 2 * size
    solid, turn = SOLIDS[name](rng), _pose(name, rng)
    tint, base = _colour(rng), _colour(rng)
    light = _light(rng)
    floor = _lowest(solid, turn)
    eye, rays, x, y = _camera(rng, fine, floor)

    picture, ground = _background(rng, eye, rays, floor, base)
    _clutter(rng, picture, x, y, int(rng.integers(0, 6)))
    samples = picture.reshape(3, -1)
    footing = eye[:, None] + rays[:, ground] * ((np.float32(floor) - eye[1]) / rays[1, ground])
    towards = np.broadcast_to(_apply(turn, light[:, None]), footing.shape)
    dark, _ = _march(solid, _apply(turn, footing), towards, _SHADOW_STEPS)
    samples[:, ground[dark]] *= np.float32(rng.uniform(0.25, 0.55))

    rays = _apply(turn, rays)
    seen, where = _march(solid, np.broadcast_to(_apply(turn, eye[:, None]), rays.shape), rays, _STEPS)
    if len(seen):
        samples[:, seen] = _shade(rng, solid, where, _apply(turn, light[:, None]), rays[:, seen], tint)
    if rng.random() < 0.4:
        _clutter(rng, picture, x, y, 1, thin=True)
    rows = picture[:, ::2] + picture[:, 1::2]
    coarse: Array = (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(0.25)
    return coarse


def _rotation(yaw: float, pitch: float, roll: float) -> Vector:
    """Rotation matrix [3, 3]: roll about z, then pitch about x, then yaw about y."""
    (cy, sy), (cp, sp), (cr, sr) = ((math.cos(a), math.sin(a)) for a in (yaw, pitch, roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    matrix: Vector = (about_y @ about_x @ about_z).astype(np.float32)
    return matrix


def _pose(name: str, rng: np.random.Generator) -> Vector:
    """From world to object coordinates, [3, 3]."""
    if name in FLAT:
        spins = name in ("arrow", "star", "ring")
        yaw, pitch = rng.uniform(-0.9, 0.9), rng.normal(0, 0.25)
        roll = rng.uniform(-math.pi, math.pi) if spins else rng.normal(0, 0.25)
    else:
        toppled = name in ("box", "cylinder", "cone") and rng.random() < 0.25
        yaw, pitch = rng.uniform(-math.pi, math.pi), rng.normal(0, 0.1)
        roll = math.pi / 2 if toppled else rng.normal(0, 0.1)
    return np.ascontiguousarray(_rotation(yaw, pitch, roll).T)


def _colour(rng: np.random.Generator) -> Vector:
    """A random reflectance [3]: hue, saturation and value."""
    saturation, value = rng.beta(1.2, 1.6), rng.uniform(0.04, 0.8)
    hue = (
        rng.random() if rng.random() < 0.4 else rng.choice([0.08, 0.11, 0.3, 0.58]) + rng.normal(0, 0.03)
    )  # earth, leaf, sky
    wave = np.clip(0.5 + np.cos(2 * math.pi * (hue - np.array([0, 1 / 3, 2 / 3]))), 0, 1)
    return (value * (1 - saturation + saturation * wave)).astype(np.float32)


def _light(rng: np.random.Generator) -> Vector:
    azimuth, elevation = rng.uniform(0, 2 * math.pi), rng.uniform(0.5, 1.3)
    c = math.cos(elevation)
    towards = np.array([c * math.cos(azimuth), math.sin(elevation), c * math.sin(azimuth) + 0.3])
    return (towards / math.sqrt(float((towards * towards).sum()))).astype(np.float32)


def _lowest(solid: Solid, turn: Vector) -> float:
    """Height of the object's lowest point in the world, from a 20 x 20 x 20 lattice."""
    axis = np.linspace(-1, 1, 20, dtype=np.float32)
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)
    x, y, z = (np.ascontiguousarray(row) for row in _apply(turn, lattice))
    inside = solid(x, y, z) < 0.03
    return float(lattice[1][inside].min()) - 0.04 if inside.any() else -0.9


def _apply(matrix: Vector, points: Vector) -> Vector:
    """`matrix @ points` for [3, 3] and [3, n], added in a fixed order."""
    return np.stack([row[0] * points[0] + row[1] * points[1] + row[2] * points[2] for row in matrix])


def _camera(rng: np.random.Generator, fine: int, floor: float) -> tuple[Vector, Vector, Array, Array]:
    """Eye [3], unit ray directions [3, fine * fine], and picture coordinates x, y (y down, -1 to 1) of every sample."""
    elevation, distance = rng.uniform(0.08, 0.75), rng.uniform(4.2, 6)
    spread = math.tan(math.asin(1 / distance)) / rng.uniform(0.5, 0.88)  # half a picture, at distance 1
    eye = np.array([0, distance * math.sin(elevation), distance * math.cos(elevation)], np.float32)
    eye[1] = max(eye[1], floor + 0.3)
    shift_x, shift_y = rng.normal(0, 0.12, 2)
    axis = ((np.arange(fine, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / fine) - 1).astype(np.float32)
    x, y = np.broadcast_to(axis, (fine, fine)), np.broadcast_to(axis[:, None], (fine, fine))
    forward = -eye / np.float32(np.sqrt((eye * eye).sum()))
    right = np.array([1, 0, 0], np.float32)
    up = np.array([0, -forward[2], forward[1]], np.float32)
    u, v = (
        (x + np.float32(shift_x)).ravel() * np.float32(spread),
        (-y + np.float32(shift_y)).ravel() * np.float32(spread),
    )
    rays = forward[:, None] + right[:, None] * u + up[:, None] * v
    rays /= np.sqrt((rays * rays).sum(0))
    return eye, rays, x, y


def _background(
    rng: np.random.Generator, eye: Vector, rays: Vector, floor: float, base: Vector
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Picture [3, fine, fine] of sky or wall above a patterned floor; indices of the samples that see the floor."""
    fine = math.isqrt(rays.shape[1])
    low, high = _colour(rng), _colour(rng)
    height = np.clip(rays[1] * np.float32(2.5) + np.float32(0.5), 0, 1)
    if rng.random() < 0.3:  # a bright sky
        low, high = np.array([0.6, 0.65, 0.7], np.float32), np.array([0.2, 0.4, 0.75], np.float32)
    picture = low[:, None] + (high - low)[:, None] * height
    wall = rng.uniform(1.5, 4) if rng.random() < 0.5 else 14.0
    ground = np.flatnonzero(rays[1] < -0.015)
    t = (np.float32(floor) - eye[1]) / rays[1, ground]
    z = eye[2] + rays[2, ground] * t
    near = z > -wall
    ground, z, t = ground[near], z[near], t[near]
    x = rays[0, ground] * t
    turn, pitch = rng.uniform(0, math.pi), np.float32(rng.uniform(2, 6))
    u, v = (math.cos(turn) * x + math.sin(turn) * z) * pitch, (math.cos(turn) * z - math.sin(turn) * x) * pitch
    kind = rng.integers(4)
    marks = np.zeros_like(u)
    if kind == 1:
        marks = np.tanh(4 * np.sin(u))
    elif kind == 2:
        marks = np.tanh(6 * np.sin(u) * np.sin(v))
    elif kind == 3:
        marks = np.tanh(8 * (np.abs(np.sin(v * np.float32(0.5))) - np.float32(0.15)))
    fade = np.exp(np.float32(-0.12) * t) * np.float32(rng.uniform(0.1, 0.6))
    picture[:, ground] = base[:, None] * (1 + fade * marks)
    picture *= 1 + np.float32(rng.uniform(0, 0.3)) * np.tanh(smooth_noise(rng, fine, int(rng.integers(3, 28)))).ravel()
    return picture.reshape(3, fine, fine), ground


def _clutter(rng: np.random.Generator, picture: Array, x: Array, y: Array, count: int, thin: bool = False) -> None:
    """Paint `count` polygons or strokes of random colour into `picture`, in place; `thin` ones are long strokes."""
    fine = x.shape[0]
    for _ in range(count):
        cx, cy = rng.uniform(-1.1, 1.1, 2)
        stroke = thin or rng.random() < 0.4
        reach = rng.uniform(0.5, 1.6) if stroke else rng.uniform(0.15, 0.6)
        sides = 4 if stroke else int(rng.integers(3, 7))
        angles = rng.uniform(0, 2 * math.pi) + np.arange(sides) * (2 * math.pi / sides)
        if not stroke:
            angles = angles + rng.normal(0, 0.25, sides)
        reaches = reach * rng.uniform(0.5, 1, sides)
        if stroke:
            reaches[::2] = rng.uniform(0.02, 0.07)
        extent = 1.5 * reach
        rows = slice(max(0, int((cy - extent + 1) * fine / 2)), max(0, int((cy + extent + 1) * fine / 2)))
        columns = slice(max(0, int((cx - extent + 1) * fine / 2)), max(0, int((cx + extent + 1) * fine / 2)))
        px, py = x[rows, columns] - np.float32(cx), y[rows, columns] - np.float32(cy)
        if not px.size:
            continue
        outside = np.full(px.shape, -9, np.float32)
        for angle, limit in zip(angles, reaches, strict=True):
            np.maximum(
                outside,
                px * np.float32(math.cos(angle)) + py * np.float32(math.sin(angle)) - np.float32(limit),
                out=outside,
            )
        bright = 1 + np.float32(rng.normal(0, 0.5)) * px + np.float32(rng.normal(0, 0.5)) * py
        np.copyto(picture[:, rows, columns], _colour(rng)[:, None, None] * np.clip(bright, 0.3, 1.7), where=outside < 0)


def _march(solid: Solid, origin: Vector, rays: Vector, steps: int) -> tuple[npt.NDArray[np.int64], Vector]:
    """Indices of the rays (object coordinates, [3, n]) that meet the solid, and the points [3, k] where they do."""
    middle = -(origin[0] * rays[0] + origin[1] * rays[1] + origin[2] * rays[2])
    inside = middle * middle - (origin * origin).sum(0) + np.float32(1.05**2)
    index = np.flatnonzero((inside > 0) & (middle > 0))
    half = np.sqrt(inside[index])
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


def _shade(rng: np.random.Generator, solid: Solid, where: Vector, light: Vector, rays: Vector, tint: Vector) -> Vector:
    """Colour [3, k] of the surface points `where`: a pattern, diffuse and ambient light, a highlight."""
    n, step = where.shape[1], np.float32(0.004)
    corners = np.array([[1, -1, -1, 1], [-1, -1, 1, 1], [-1, 1, -1, 1]], np.float32)
    around = (where[:, None] + step * corners[:, :, None]).reshape(3, 4 * n)
    slope = solid(around[0], around[1], around[2]).reshape(4, n)
    normal = np.stack(
        [
            slope[0] - slope[1] - slope[2] + slope[3],
            slope[3] + slope[2] - slope[0] - slope[1],
            slope[1] + slope[3] - slope[0] - slope[2],
        ]
    )
    normal /= np.sqrt((normal * normal).sum(0)) + np.float32(1e-9)
    other, pitch = _colour(rng), np.float32(rng.uniform(5, 14))
    axis = where[int(rng.integers(3))]
    mix: Array | np.float32 = np.float32(0)
    kind = rng.integers(5)
    if kind == 1:
        mix = (np.sin(pitch * axis) > 0).astype(np.float32)
    elif kind == 2:
        mix = (np.sin(pitch * where[0]) * np.sin(pitch * where[1]) * np.sin(pitch * where[2]) > 0).astype(np.float32)
    elif kind == 3:
        mix = np.float32(0.5) + np.float32(0.5) * axis
    colour = tint[:, None] + (other - tint)[:, None] * mix
    diffuse = np.clip((normal * light).sum(0), 0, 1)
    mirrored = (rays * light).sum(0) - 2 * (normal * light).sum(0) * (normal * rays).sum(0)
    highlight = np.float32(rng.uniform(0, 0.6)) * np.clip(mirrored, 0, 1) ** np.float32(rng.uniform(8, 40))
    ambient = np.float32(rng.uniform(0.2, 0.4)) * (1 + np.float32(0.4) * normal[1])
    shaded: Vector = colour * (ambient + np.float32(rng.uniform(0.8, 1.2)) * diffuse) + highlight
    return shaded
