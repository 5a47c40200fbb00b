"""Parts of a lung on the oversampled field: parenchyma, vessels, airways, round bodies. Millimetres and HU."""

from __future__ import annotations

import math

import numpy as np

from desali.data.synthetic.fields import Array, fractal_noise, smooth_noise
from desali.data.synthetic.scanner import FIELD, HALF_MM, STEP_MM, Scan

AXIS = ((np.arange(FIELD) + 0.5) * STEP_MM - HALF_MM).astype(np.float32)  # mm
BLOOD = 35.0


def blank() -> Array:
    """An empty coverage map [120, 120]."""
    return np.zeros((FIELD, FIELD), np.float32)


def blend(tissue: Array, coverage: Array, hu: float | Array) -> None:
    """Replace `tissue` by `hu` where `coverage` (0-1) says so, in place."""
    tissue += coverage * (np.float32(hu) - tissue if isinstance(hu, float | int) else hu - tissue)


def parenchyma(rng: np.random.Generator, scan: Scan, lung: float | None = None) -> Array:
    """Aerated lung: the patient's density with a slope (gravity), slow variation and a fine texture of its own."""
    base = (scan.lung if lung is None else lung) + rng.normal(0, 12)
    tissue = fractal_noise(rng, FIELD, 9, octaves=3, gain=0.9)
    tissue *= np.float32(scan.texture)
    tissue += np.float32(rng.uniform(3, 12)) * smooth_noise(rng, FIELD, 2)
    angle, slope = rng.uniform(0, 2 * math.pi), rng.uniform(0, 1.5)
    tissue += np.float32(base) + (AXIS * np.float32(slope * math.cos(angle)))
    tissue += (AXIS * np.float32(slope * math.sin(angle)))[:, None]
    return tissue


def capsule(
    coverage: Array, start: tuple[float, float], end: tuple[float, float], r0: float, r1: float, hardness: float = 1.0
) -> None:
    """Draw a tapering rod from `start` to `end`, (y, x) in mm, radii r0 to r1, into `coverage` by maximum.

    A round body is a rod of no length. `hardness` below 1 softens the edge: it then fades over STEP_MM / hardness.
    """
    reach = max(r0, r1) + STEP_MM / hardness
    (y0, x0), (y1, x1) = start, end
    top = max(0, int((min(y0, y1) - reach + HALF_MM) / STEP_MM))
    bottom = min(FIELD, int((max(y0, y1) + reach + HALF_MM) / STEP_MM) + 1)
    left = max(0, int((min(x0, x1) - reach + HALF_MM) / STEP_MM))
    right = min(FIELD, int((max(x0, x1) + reach + HALF_MM) / STEP_MM) + 1)
    if top >= bottom or left >= right:
        return
    y, x = AXIS[top:bottom, None] - np.float32(y0), AXIS[left:right] - np.float32(x0)
    dy, dx = y1 - y0, x1 - x0
    length = dy * dy + dx * dx
    if length > 1e-6:
        along = np.clip(y * np.float32(dy / length) + x * np.float32(dx / length), 0, 1)
        distance = np.hypot(y - along * np.float32(dy), x - along * np.float32(dx))
        distance -= np.float32(r0) + along * np.float32(r1 - r0)
    else:
        distance = np.sqrt(y * y + x * x) - np.float32(r0)
    inside = np.clip(np.float32(0.5) - distance * np.float32(hardness / STEP_MM), 0, 1)
    window = coverage[top:bottom, left:right]
    np.maximum(window, inside, out=window)


def branching(
    rng: np.random.Generator, coverage: Array, radius: float, branch: float = 0.3, finest: float = 0.17
) -> None:
    """Draw a tree of tubes seen lengthwise, from a random point with stem `radius` (mm), into `coverage`."""
    heading, across = rng.uniform(0, 2 * math.pi), rng.normal(0, 4)
    # the stem starts outside the field, so that the tree grows into it
    y = -1.1 * HALF_MM * math.sin(heading) + across * math.cos(heading)
    x = -1.1 * HALF_MM * math.cos(heading) - across * math.sin(heading)
    twigs = [(y, x, heading, radius)]
    for _ in range(22):
        if not twigs:
            break
        y, x, heading, r = twigs.pop(0)
        length, bend, thinner, fork = rng.uniform(1.5, 3.2), rng.normal(0, 0.22), rng.uniform(0.84, 0.98), rng.random()
        y1, x1 = y + length * math.sin(heading), x + length * math.cos(heading)
        capsule(coverage, (y, x), (y1, x1), r, r * thinner)
        r *= thinner
        if r < finest or max(abs(y1), abs(x1)) > 1.5 * HALF_MM:
            continue
        if fork < branch:
            angle, share = rng.uniform(0.35, 1.0), rng.uniform(0.55, 0.85)
            side = 1 if fork < branch / 2 else -1
            twigs.append((y1, x1, heading + side * angle, r * share))
            heading -= side * 0.3 * angle
            r *= 0.9
        twigs.append((y1, x1, heading + bend, r))


def vessels(rng: np.random.Generator, tissue: Array, density: float = 1.0, calibre: float = 1.0) -> None:
    """Draw vessels into `tissue`: branching ones lengthwise and round or oval cuts of those that cross the slice."""
    for _ in range(rng.poisson(0.9 * density)):
        coverage = blank()
        branching(rng, coverage, min(calibre * rng.lognormal(-0.8, 0.4), 1.4))
        coverage *= np.float32(rng.uniform(0.6, 1))  # partial volume: part of the vessel lies outside the slice
        blend(tissue, coverage, BLOOD)
    coverage = blank()
    for _ in range(rng.poisson(6 * density)):
        radius = min(calibre * rng.lognormal(-1.2, 0.4), 1.3)
        y, x = rng.uniform(-HALF_MM, HALF_MM, 2)
        angle, length = rng.uniform(0, 2 * math.pi), rng.exponential(1.2) * radius
        capsule(coverage, (y, x), (y + length * math.sin(angle), x + length * math.cos(angle)), radius, 0.8 * radius)
    blend(tissue, coverage, BLOOD - 60)


def airway(rng: np.random.Generator, tissue: Array) -> None:
    """Draw a bronchus cut across, with its wall, beside the artery that runs with it."""
    radius = rng.uniform(0.6, 1.3)
    y, x = rng.uniform(-7, 7, 2)
    angle = rng.uniform(0, 2 * math.pi)
    distance = 1.9 * radius + rng.uniform(0.2, 0.5)
    wall, lumen, artery = blank(), blank(), blank()
    capsule(wall, (y, x), (y, x), radius + rng.uniform(0.25, 0.45), 0)
    capsule(lumen, (y, x), (y, x), radius, 0)
    other = (y + distance * math.sin(angle), x + distance * math.cos(angle))
    capsule(artery, other, other, 0.9 * radius, 0)
    blend(tissue, artery, BLOOD)
    blend(tissue, wall, -150.0)
    blend(tissue, lumen, -960.0)
