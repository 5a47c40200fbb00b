"""Parts of a lung on the oversampled field: parenchyma, vessels, airways, pleura, round bodies. Millimetres and HU.

The slice has a thickness. A body covers as much of a point as its chord through the slice there takes of the slice:
so spheres and tubes get a profile, and thick slices show thin vessels fainter (partial volume).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from desali.data.synthetic.exact import PI, Array, clip, cos, power, sin, sqrt
from desali.data.synthetic.fields import fractal_noise, smooth_noise, soft_step
from desali.data.synthetic.randomness import Stream
from desali.data.synthetic.scanner import FIELD, HALF_MM, STEP_MM, Scan

AXIS = (np.arange(FIELD) + 0.5) * STEP_MM - HALF_MM  # mm
CHEST_WALL = 30.0  # HU
_FINEST = 0.16  # mm, the radius at which a vessel is no longer followed


class Point(NamedTuple):
    """A place in the field, mm: down, across, and above the middle of the slice."""

    y: float
    x: float
    z: float = 0.0


def blank() -> Array:
    """An empty coverage map [120, 120]."""
    return np.zeros((FIELD, FIELD))


def blend(tissue: Array, coverage: Array, hu: float | Array) -> None:
    """Replace `tissue` by `hu` where `coverage` (0-1) says so, in place."""
    tissue += coverage * (hu - tissue)


def plane(angle: float) -> Array:
    """Distance of every point along the direction `angle`, mm [120, 120]."""
    return AXIS * cos(angle) + (AXIS * sin(angle))[:, None]


def parenchyma(rng: Stream, scan: Scan, lung: float | None = None) -> Array:
    """Aerated lung: the patient's density with a slope (gravity), slow variation and a fine texture of its own."""
    base = (scan.lung if lung is None else lung) + rng.normal(0, 14)
    tissue = scan.texture * fractal_noise(rng, FIELD, 9, octaves=3, gain=0.9)
    tissue += rng.uniform(3, 14) * smooth_noise(rng, FIELD, 2)
    tissue += base + plane(rng.uniform(0, 2 * PI)) * rng.uniform(0, 1.8)
    return tissue


def capsule(coverage: Array, start: Point, end: Point, r0: float, r1: float, thickness: float) -> None:
    """Draw a tapering rod from `start` to `end`, radii r0 to r1, in a slice of `thickness` mm, by maximum.

    A round body is a rod of no length.
    """
    reach = max(r0, r1) + STEP_MM
    top = max(0, int((min(start.y, end.y) - reach + HALF_MM) / STEP_MM))
    bottom = min(FIELD, int((max(start.y, end.y) + reach + HALF_MM) / STEP_MM) + 1)
    left = max(0, int((min(start.x, end.x) - reach + HALF_MM) / STEP_MM))
    right = min(FIELD, int((max(start.x, end.x) + reach + HALF_MM) / STEP_MM) + 1)
    if top >= bottom or left >= right:
        return
    y, x = AXIS[top:bottom, None] - start.y, AXIS[left:right] - start.x
    dy, dx = end.y - start.y, end.x - start.x
    length = dy * dy + dx * dx
    radius: float | Array
    height: float | Array
    if length > 1e-6:
        along = clip(y * (dy / length) + x * (dx / length), 0, 1)
        y, x = y - along * dy, x - along * dx
        radius, height = r0 + along * (r1 - r0), start.z + along * (end.z - start.z)
    else:
        radius, height = r0, start.z
    chord = sqrt(np.maximum(radius * radius - y * y - x * x, 0.0))  # half of it
    inside = np.minimum(height + chord, 0.5 * thickness) - np.maximum(height - chord, -0.5 * thickness)
    window = coverage[top:bottom, left:right]
    np.maximum(window, inside * (1 / thickness), out=window)


def tree(rng: Stream, coverage: Array, radius: float, thickness: float, twigs: float = 1.0) -> None:
    """Draw a tree of tubes that grows into the field from outside, `radius` mm at its stem, into `coverage`.

    At a fork the two radii obey Murray's law, r^3 = r1^3 + r2^3; between forks tubes taper slowly and drift out of the
    slice. `twigs` says how often they fork.
    """
    heading, across = rng.uniform(0, 2 * PI), rng.normal(0, 4.5)
    y = -1.1 * HALF_MM * sin(heading) + across * cos(heading)
    x = -1.1 * HALF_MM * cos(heading) - across * sin(heading)
    growing = [(Point(y, x, rng.normal(0, 0.3) * radius), heading, rng.normal(0, 0.12), radius)]
    for _ in range(40):
        if not growing:
            break
        start, heading, climb, r = growing.pop(0)
        length = rng.uniform(0.8, 1.6) * (0.8 + r)
        end = Point(start.y + length * sin(heading), start.x + length * cos(heading), start.z + length * climb)
        thinner = r * rng.uniform(0.9, 0.99)
        capsule(coverage, start, end, r, thinner, thickness)
        outside = max(abs(end.y), abs(end.x)) > 1.4 * HALF_MM or abs(end.z) > thickness + thinner
        if thinner < _FINEST or outside:
            continue
        bend = rng.normal(0, 0.18)
        if rng.chance(0.45 * twigs):
            share = rng.uniform(0.08, 0.5)  # of the flow, which goes with the cube of the radius
            side = 1 if rng.chance(0.5) else -1
            growing.append((end, heading + side * rng.uniform(0.6, 1.25), rng.normal(0, 0.35), thinner * _root(share)))
            heading, thinner = heading - side * 0.5 * share, thinner * _root(1 - share)
        growing.append((end, heading + bend, climb + rng.normal(0, 0.06), thinner))


def _root(share: float) -> float:
    return power(share, 1 / 3)


def vessels(rng: Stream, tissue: Array, scan: Scan, density: float = 1.0) -> None:
    """Draw vessels into `tissue`: trees in the plane of the slice, and round or oval cuts of those that cross it."""
    coverage = blank()
    for _ in range(rng.poisson(1.4 * density)):
        tree(rng, coverage, min(rng.lognormal(-0.75, 0.55), 1.9), scan.slice)
    for _ in range(rng.poisson(4.0 * density)):
        radius = min(rng.lognormal(-1.15, 0.5), 1.5)
        start = Point(rng.uniform(-HALF_MM, HALF_MM), rng.uniform(-HALF_MM, HALF_MM), 0.5 * scan.slice)
        angle, length = rng.uniform(0, 2 * PI), rng.exponential(0.9) * scan.slice
        end = Point(start.y + length * sin(angle), start.x + length * cos(angle), -0.5 * scan.slice)
        capsule(coverage, start, end, radius, 0.85 * radius, scan.slice)
    blend(tissue, coverage, scan.blood)


def airway(rng: Stream, tissue: Array, scan: Scan) -> None:
    """Draw a bronchus cut across, with its wall, beside the artery that runs with it."""
    radius, y, x = rng.uniform(0.5, 1.3), rng.uniform(-7, 7), rng.uniform(-7, 7)
    angle, distance = rng.uniform(0, 2 * PI), 2.0 * radius + rng.uniform(0.2, 0.5)
    wall = radius + rng.uniform(0.25, 0.45)
    for cy, cx, r, hu in (
        (y + distance * sin(angle), x + distance * cos(angle), 0.95 * radius, scan.blood),
        (y, x, wall, -120.0),
        (y, x, radius, -960.0),
    ):
        coverage = blank()
        half = 0.5 * scan.slice
        capsule(coverage, Point(cy, cx, -half), Point(cy, cx, half), r, r, 0.01)  # upright: no partial volume
        blend(tissue, coverage, hu)


class Pleura(NamedTuple):
    """Where the chest wall begins.

    Attributes:
        depth: distance of every point from it into the lung, mm [120, 120]; negative inside the wall.
        angle: of the direction into the lung.
    """

    depth: Array
    angle: float


def pleura(rng: Stream, nearest: float, farthest: float) -> Pleura:
    """A pleura whose distance from the field's centre, mm, lies between the two; 8 mm is the ROI's edge."""
    angle = rng.uniform(0, 2 * PI)
    aside = plane(angle + 0.5 * PI)
    depth = plane(angle) + rng.uniform(nearest, farthest) + rng.uniform(-0.02, 0.03) * (aside * aside)
    depth += 0.3 * smooth_noise(rng, FIELD, 3)
    return Pleura(depth, angle)


def chest_wall(rng: Stream, tissue: Array, border: Pleura) -> None:
    """Draw the chest wall beyond the pleura into `tissue`: muscle with some fat, often a rib."""
    wall = CHEST_WALL + rng.normal(0, 15) + 18 * smooth_noise(rng, FIELD, 6)
    wall -= rng.uniform(0, 110) * soft_step(smooth_noise(rng, FIELD, 3) - rng.uniform(-0.5, 1.5), 1.0)
    if rng.chance(0.7):
        rib = soft_step(smooth_noise(rng, FIELD, 2) - rng.uniform(-1.0, 0.6), 0.5)
        blend(wall, rib * soft_step(-1.5 - border.depth, 0.6), rng.uniform(200, 1100))
    blend(tissue, soft_step(-border.depth, 0.5), wall)


def fissure(rng: Stream, tissue: Array, scan: Scan) -> Array:
    """Draw a fissure, a thin sheet between lobes, into `tissue`; returns the distance from it, mm."""
    distance = np.abs(plane(rng.uniform(0, 2 * PI)) + rng.uniform(-5, 5) + 0.7 * smooth_noise(rng, FIELD, 2))
    width = rng.uniform(0.25, 0.45)
    oblique = rng.uniform(0.1, 0.6) * scan.slice
    blend(tissue, soft_step(0.5 * (width + oblique) - distance, 0.4) * (width / (width + oblique)), -60.0)
    return distance
