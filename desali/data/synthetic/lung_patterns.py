"""The seven patterns of diffuse lung disease, drawn as tissue maps in HU [120, 120].

Appearance after the Fleischner Society's glossary of terms for thoracic imaging (Hansell et al., Radiology 246, 2008).
They are phantoms: they stand for the look of a pattern and hold no anatomy of any person. Density, noise, vessels and
severity vary so much between patients that mean, deviation, least and greatest HU hardly tell the patterns apart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from desali.data.synthetic.anatomy import (
    AXIS,
    Pleura,
    Point,
    airway,
    blank,
    blend,
    capsule,
    chest_wall,
    fissure,
    parenchyma,
    pleura,
    tree,
    vessels,
)
from desali.data.synthetic.exact import PI, Array, clip, cos, sin, sqrt
from desali.data.synthetic.fields import Cells, fractal_noise, smooth_noise, soft_step, voronoi
from desali.data.synthetic.randomness import Stream
from desali.data.synthetic.scanner import FIELD, HALF_MM, Scan

Pattern = Callable[[Stream, Scan, float], Array]


def _region(rng: Stream, share: float, width: float, cells: int = 2) -> Array:
    """A soft-edged random region (0-1) that covers about `share` of the field."""
    noise = smooth_noise(rng, FIELD, cells)
    noise += 0.3 * smooth_noise(rng, FIELD, 3 * cells)
    ordered = np.sort(noise[::4, ::4].ravel())
    threshold = float(ordered[min(int((1 - share) * len(ordered)), len(ordered) - 1)])
    return soft_step(noise - threshold, width)


def _cells(rng: Stream, size: float, waviness: float) -> tuple[Cells, Array]:
    """Irregular cells of about `size` mm with wavy borders, distances in mm / size; and where centres lie, mm [k, 2]
    (down, across)."""
    turn = rng.uniform(0, PI)
    x = AXIS[None, :] + waviness * smooth_noise(rng, FIELD, 7)
    y = AXIS[:, None] + waviness * smooth_noise(rng, FIELD, 7)
    c, s = cos(turn), sin(turn)
    cells = voronoi(rng, (c * x - s * y) / size, (s * x + c * y) / size, jitter=1.0)
    return cells, np.stack([(c * cells.y - s * cells.x) * size, (c * cells.x + s * cells.y) * size], 1)


def _load(rng: Stream) -> float:
    """How many vessels an ROI has, as a factor: from nearly none to crowded."""
    return min(rng.lognormal(-0.1, 0.55), 2.5)


def normal(rng: Stream, scan: Scan, severity: float) -> Array:
    """Aerated lung with vessels, now and then a bronchus or a fissure."""
    tissue = parenchyma(rng, scan)
    vessels(rng, tissue, scan, 0.2 + 1.4 * _load(rng))
    if rng.chance(0.55):
        airway(rng, tissue, scan)
    if rng.chance(0.08):
        fissure(rng, tissue, scan)
    return tissue


def ground_glass(rng: Stream, scan: Scan, severity: float) -> Array:
    """Hazy increase of attenuation, in lobules or diffuse, that does not hide the vessels."""
    tissue = parenchyma(rng, scan)
    haze = _region(rng, 0.7 + 0.3 * severity, rng.uniform(0.5, 1.6), rng.between(2, 3))
    haze *= 1 + 0.2 * fractal_noise(rng, FIELD, 10, octaves=2, gain=0.8)
    tissue += haze * max(100 + 310 * severity + rng.normal(0, 40), 100.0)
    vessels(rng, tissue, scan, _load(rng))
    if rng.chance(0.55):
        airway(rng, tissue, scan)
    return tissue


def consolidation(rng: Stream, scan: Scan, severity: float) -> Array:
    """Airspace filled to the density of soft tissue: vessels vanish, air bronchograms may remain."""
    tissue = ground_glass(rng, scan, rng.uniform(0.2, 0.9))
    dense = _region(rng, 0.28 + 0.5 * severity, rng.uniform(0.3, 1.1))
    dense *= clip(1 + 0.06 * fractal_noise(rng, FIELD, 10, octaves=2), 0, 1)
    if rng.chance(0.45):
        dense *= 1 - rng.uniform(0.2, 0.6) * _region(rng, 0.12, 0.5, 6)  # acini that still hold air
    blend(tissue, dense, rng.uniform(-60, 60))
    if rng.chance(0.5):
        air = blank()
        tree(rng, air, rng.uniform(0.5, 1.2), scan.slice, twigs=0.7)
        blend(tissue, air, -940.0)
    return tissue


def _net(rng: Stream, tissue: Array, scan: Scan, area: Array, strength: float) -> None:
    """Draw thickened septa between lobules and finer lines within them into `tissue`, where `area` says."""
    for size, width, part in (
        (rng.uniform(4.5, 8), rng.uniform(0.4, 0.7), rng.uniform(0.75, 1.0)),
        (rng.uniform(1.9, 3.2), rng.uniform(0.3, 0.5), rng.uniform(0.55, 0.95)),
    ):
        cells, _ = _cells(rng, size, 0.35)
        oblique = rng.uniform(0, 0.35) * scan.slice  # a sheet that is not upright: wider and fainter
        line = soft_step(0.5 * (width + oblique) - (cells.second - cells.first) * (0.6 * size), 0.3)
        line *= clip(0.8 + 0.5 * smooth_noise(rng, FIELD, 6), 0.1, 1)  # lines fade in and out
        line *= area * (part * strength * width / (width + 0.5 * oblique))
        blend(tissue, clip(line, 0, 1), -30.0)


def reticular(rng: Stream, scan: Scan, severity: float) -> Array:
    """A network of thin lines: thickened septa between lobules, finer lines within them, little ground glass."""
    tissue = parenchyma(rng, scan)
    area = clip(_region(rng, 0.65 + 0.35 * severity, 1.5), 0.15, 1)
    tissue += area * (rng.uniform(0, 60) + 70 * severity)
    vessels(rng, tissue, scan, 0.8 * _load(rng))
    if rng.chance(0.55):
        airway(rng, tissue, scan)
    _net(rng, tissue, scan, area, 0.8 + 0.2 * severity)
    return tissue


def _cysts(rng: Stream, tissue: Array, border: Pleura, deep: float, size: float, wall: float, dense: float) -> None:
    """Draw cysts of about `size` mm that share walls of `wall` mm and lie within `deep` mm of the pleura."""
    cells, centres = _cells(rng, size, 0.35)
    depth = centres[:, 1] * cos(border.angle) + centres[:, 0] * sin(border.angle)
    depth += _offset(border)
    sizes = rng.uniform(0.3, 0.62, len(depth))
    cyst = (depth > -0.3 * size) & (depth < deep) & (rng.random(len(depth)) < 0.93)
    room = np.minimum(
        (cells.second - cells.first) * (0.6 * size) - 0.5 * wall, (sizes[cells.nearest] - cells.first) * size
    )
    member = np.where(cyst, 1.0, 0.0)[cells.nearest]
    content = rng.uniform(-970, -850, len(depth))[cells.nearest]
    # the honeycomb itself: cysts and what lies within a wall's width around them
    inside = member * soft_step(room + 0.5 * wall + 0.3, 0.6)
    fibrosis = dense + 40 * fractal_noise(rng, FIELD, 8, octaves=2)
    blend(tissue, inside, fibrosis)
    blend(tissue, member * soft_step(room, 0.35), content)


def _offset(border: Pleura) -> float:
    """Depth of the field's centre below the pleura, mm."""
    return float(border.depth[FIELD // 2, FIELD // 2])


def honeycomb(rng: Stream, scan: Scan, severity: float) -> Array:
    """Clustered cysts of 2-9 mm that share well-defined walls, in rows under the pleura; reticulation beyond them."""
    tissue = reticular(rng, scan, 0.6 * severity)
    border = pleura(rng, 2.5, 9.0)
    size = rng.uniform(3.0, 6.5)
    deep = _offset(border) + rng.uniform(2, 6) + 5 * severity
    dense = rng.uniform(-620, -80)
    _cysts(rng, tissue, border, deep, size, rng.uniform(0.5, 1.0) + 0.3 * severity, dense)
    chest_wall(rng, tissue, border)
    return tissue


def emphysema(rng: Stream, scan: Scan, severity: float) -> Array:
    """Areas of low attenuation without walls of their own, in lung that keeps its density: holes with a visible margin
    around the lobules' centres, confluent ones, or a row of thin-walled ones under the pleura."""
    lung = clip(scan.lung, -885, -765)
    tissue = parenchyma(rng, scan, lung)
    vessels(rng, tissue, scan, 0.5 * _load(rng))
    air = clip(lung - rng.uniform(100, 190), -1000, -925)
    form = rng.random()
    if form < 0.15:  # paraseptal
        border = pleura(rng, 5.0, 9.0)
        wall = rng.uniform(0.2, 0.35)
        _cysts(rng, tissue, border, rng.uniform(2.5, 4.5), rng.uniform(3.5, 7), wall, rng.uniform(-780, -600))
        chest_wall(rng, tissue, border)
    elif form < 0.45:  # confluent
        blend(tissue, _region(rng, 0.25 + 0.55 * severity, rng.uniform(0.2, 0.5)), air)
    else:
        holes = blank()
        for _ in range(5 + rng.poisson(1 + 5 * severity)):
            radius = rng.uniform(1.2, 1.9 + 1.6 * severity)
            y, x = rng.uniform(-9, 9), rng.uniform(-9, 9)
            lobes = rng.between(1, 3)
            for _ in range(lobes):
                place = Point(y + rng.normal(0, 0.6) * radius, x + rng.normal(0, 0.6) * radius)
                r = radius * rng.uniform(0.7, 1.0)
                capsule(holes, place, place, r, r, 0.6 * radius + 0.3)
            if rng.chance(0.25):  # the artery in the middle of the lobule
                dot = blank()
                capsule(dot, Point(y, x), Point(y, x), 0.4, 0.4, scan.slice)
                blend(tissue, dot, scan.blood)
        blend(tissue, soft_step(holes - 0.5, rng.uniform(0.6, 1.0)), air)
    if rng.chance(0.4):  # a thin vessel left between the holes
        strand = blank()
        tree(rng, strand, rng.uniform(0.2, 0.4), scan.slice, twigs=0.5)
        blend(tissue, strand, scan.blood)
    return tissue


def nodular(rng: Stream, scan: Scan, severity: float) -> Array:
    """Many round opacities of 2-6 mm: dense ones at random or along a fissure, or hazy ones at the lobules' centres."""
    tissue = parenchyma(rng, scan)
    vessels(rng, tissue, scan, 0.8 * _load(rng))
    if rng.chance(0.55):
        airway(rng, tissue, scan)
    form = rng.random()
    hazy = form < 0.35
    along = fissure(rng, tissue, scan) if form > 0.75 else None
    nodules, twigs = blank(), blank()
    places: list[tuple[float, float]] = []
    count = 5 + rng.poisson(2 + 5 * severity)
    for _ in range(60):
        if len(places) >= count:
            break
        reach = 6.5 if len(places) < 2 else 9.0  # at least two well inside the ROI
        y, x = rng.uniform(-reach, reach), rng.uniform(-reach, reach)
        apart = 3.6 if hazy else 1.2
        if any((y - v) * (y - v) + (x - u) * (x - u) < apart * apart for v, u in places):
            continue
        row, column = (min(max(int((v + HALF_MM) / (2 * HALF_MM) * FIELD), 0), FIELD - 1) for v in (y, x))
        if along is not None and along[row, column] > 1.6 and rng.chance(0.9):
            continue
        places.append((y, x))
        radius = min(0.95 + rng.exponential(0.25 + 0.3 * severity), 2.8)
        start = Point(y, x, rng.uniform(-0.5, 0.5) * (scan.slice if len(places) > 2 else 0.3))
        oval, angle = 0.5 * radius * rng.random(), rng.uniform(0, 2 * PI)
        end = Point(y + oval * sin(angle), x + oval * cos(angle), start.z)
        # a hazy nodule is seen through: its profile is round and not flat
        capsule(nodules, start, end, radius, 0.9 * radius, 2 * radius if hazy else scan.slice)
        if hazy and rng.chance(0.6):
            far, turn = rng.uniform(2, 4), rng.uniform(0, 2 * PI)
            capsule(twigs, start, Point(y + far * sin(turn), x + far * cos(turn), start.z), 0.4, 0.25, scan.slice)
    if hazy:
        blend(tissue, twigs, -60.0)
        blend(tissue, sqrt(nodules), rng.uniform(-560, -250))
    else:
        blend(tissue, nodules, rng.uniform(-300, 60))
    return tissue


PATTERNS: dict[str, Pattern] = {
    "CON": consolidation,
    "GGO": ground_glass,
    "RET": reticular,
    "HCM": honeycomb,
    "EMP": emphysema,
    "NOD": nodular,
    "NOR": normal,
}

# What may border on a pattern inside one ROI.
_NEIGHBOURS = {
    "CON": ("GGO", "NOR"),
    "GGO": ("NOR",),
    "RET": ("GGO", "NOR"),
    "HCM": ("RET", "GGO"),
    "EMP": ("NOR",),
    "NOD": ("NOR", "GGO"),
}


def draw(name: str, rng: Stream, scan: Scan) -> Array:
    """The tissue of one ROI of class `name`, at a random severity; a third of them border on another pattern, and some
    on the chest wall."""
    severity = clip(rng.normal(scan.severity, 0.2), 0, 1)
    tissue = PATTERNS[name](rng, scan, severity)
    if name in _NEIGHBOURS and rng.chance(0.2):
        border = _region(rng, rng.uniform(0.1, 0.35), 0.8, 1)
        blend(tissue, border, PATTERNS[rng.choice(_NEIGHBOURS[name])](rng, scan, 0.5 * severity))
    if name != "HCM" and rng.chance(0.6):
        chest_wall(rng, tissue, pleura(rng, 1.5, 8.5))
    return tissue
