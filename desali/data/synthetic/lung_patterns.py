"""The seven patterns of diffuse lung disease, drawn as tissue maps in HU [120, 120].

Appearance after the Fleischner Society's glossary of terms for thoracic imaging (Hansell et al., Radiology 246, 2008).
They are phantoms: they stand for the look of a pattern and hold no anatomy of any person.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from desali.data.synthetic.anatomy import AXIS, BLOOD, airway, blank, blend, branching, capsule, parenchyma, vessels
from desali.data.synthetic.fields import Array, Cells, fractal_noise, smooth_noise, soft_step, voronoi
from desali.data.synthetic.scanner import FIELD, Scan

Pattern = Callable[[np.random.Generator, Scan, float], Array]


def _region(rng: np.random.Generator, share: float, width: float, cells: int = 2) -> Array:
    """A soft-edged random region (0-1) that covers about `share` of the field."""
    noise = smooth_noise(rng, FIELD, cells)
    noise += np.float32(0.3) * smooth_noise(rng, FIELD, 3 * cells)
    threshold = np.quantile(noise[::4, ::4], 1 - share)
    return soft_step(noise - np.float32(threshold), width)


def _cells(rng: np.random.Generator, size: float, waviness: float) -> Cells:
    """Irregular cells of about `size` mm, with wavy borders; distances in mm / size."""
    turn = rng.uniform(0, math.pi)
    wave = np.float32(waviness)
    x = AXIS[None, :] + wave * smooth_noise(rng, FIELD, 7)
    y = AXIS[:, None] + wave * smooth_noise(rng, FIELD, 7)
    c, s = np.float32(math.cos(turn) / size), np.float32(math.sin(turn) / size)
    return voronoi(rng, c * x - s * y, s * x + c * y, jitter=1.0)


def normal(rng: np.random.Generator, scan: Scan, severity: float) -> Array:
    """Aerated lung with vessels, now and then a bronchus."""
    tissue = parenchyma(rng, scan)
    vessels(rng, tissue, rng.uniform(0.6, 1.5))
    if rng.random() < 0.12:
        airway(rng, tissue)
    return tissue


def ground_glass(rng: np.random.Generator, scan: Scan, severity: float) -> Array:
    """Hazy increase of attenuation that does not hide the vessels."""
    tissue = parenchyma(rng, scan)
    haze = _region(rng, 0.5 + 0.5 * severity, 1.5)
    haze *= 1 + np.float32(0.13) * fractal_noise(rng, FIELD, 8, octaves=2, gain=0.8)
    tissue += haze * np.float32(120 + 260 * severity + rng.normal(0, 25))
    vessels(rng, tissue, rng.uniform(0.7, 1.4))
    if rng.random() < 0.15:
        airway(rng, tissue)
    return tissue


def consolidation(rng: np.random.Generator, scan: Scan, severity: float) -> Array:
    """Airspace filled to the density of soft tissue: vessels vanish, air bronchograms may remain."""
    tissue = ground_glass(rng, scan, rng.uniform(0.3, 0.9))
    dense = _region(rng, 0.6 + 0.38 * severity, rng.uniform(0.4, 1.2))
    dense *= np.clip(1 + np.float32(0.06) * fractal_noise(rng, FIELD, 10, octaves=2), 0, 1)
    if rng.random() < 0.45:
        dense *= 1 - np.float32(rng.uniform(0.2, 0.6)) * _region(rng, 0.12, 0.5, 6)  # acini that still hold air
    blend(tissue, dense, float(rng.uniform(-30, 60)))
    if rng.random() < 0.45:
        air = blank()
        branching(rng, air, rng.uniform(0.45, 1.0), branch=0.4, finest=0.3)
        blend(tissue, air, -930.0)
    return tissue


def reticular(rng: np.random.Generator, scan: Scan, severity: float) -> Array:
    """A network of thin lines: thickened septa between lobules, finer lines within them, little ground glass."""
    tissue = parenchyma(rng, scan)
    area = np.clip(_region(rng, 0.65 + 0.35 * severity, 1.5), 0.1, 1)
    tissue += area * np.float32(rng.uniform(0, 50) + 80 * severity)
    vessels(rng, tissue, 0.7, 0.85)
    for size, half_width, strength in (
        (rng.uniform(5, 9), rng.uniform(0.22, 0.4), rng.uniform(0.6, 0.95)),
        (rng.uniform(2.4, 4), rng.uniform(0.16, 0.28), rng.uniform(0.35, 0.75)),
    ):
        cells = _cells(rng, size, 0.35)
        line = soft_step(np.float32(half_width) - (cells.second - cells.first) * np.float32(0.6 * size), 0.3)
        line *= np.clip(
            np.float32(0.75) + np.float32(0.5) * smooth_noise(rng, FIELD, 6), 0.1, 1
        )  # lines fade in and out
        line *= area * np.float32(strength * (0.55 + 0.45 * severity))
        blend(tissue, line, -40.0)
    return tissue


def honeycomb(rng: np.random.Generator, scan: Scan, severity: float) -> Array:
    """Clustered cysts of 3-10 mm that share well-defined walls."""
    tissue = reticular(rng, scan, 0.5 * severity)
    size = rng.uniform(4.6, 8.5)
    cells = _cells(rng, size, 0.4)
    wall = rng.uniform(0.4, 0.7) + 0.5 * severity  # mm
    radius = rng.uniform(0.34, 0.66, cells.total).astype(np.float32)[cells.nearest]
    room = np.minimum(
        (cells.second - cells.first) * np.float32(0.6 * size) - np.float32(0.5 * wall),
        (radius - cells.first) * np.float32(size),
    )
    lumen = soft_step(room, 0.35)
    content = rng.uniform(-965, -880, cells.total).astype(np.float32)[cells.nearest]
    fibrosis = np.float32(rng.uniform(-170, 0)) + np.float32(45) * fractal_noise(rng, FIELD, 8, octaves=2)
    fibrosis += lumen * (content - fibrosis)
    blend(tissue, _region(rng, 0.6 + 0.4 * severity, 0.6), fibrosis)
    return tissue


def emphysema(rng: np.random.Generator, scan: Scan, severity: float) -> Array:
    """Areas of low attenuation without walls, scattered (centrilobular) or confluent; few, thin vessels."""
    tissue = parenchyma(rng, scan, scan.lung - 5 - 15 * severity)
    vessels(rng, tissue, 1.0 - 0.5 * severity, 0.85)
    holes = blank()
    if rng.random() < 0.35:
        holes = _region(rng, 0.45 + 0.5 * severity, 1.2)
    else:
        for _ in range(4 + rng.poisson(3 + 9 * severity)):
            radius = rng.uniform(1.0, 1.8 + 2.2 * severity)
            y, x = rng.uniform(-9, 9, 2)
            stretch, angle = rng.exponential(0.8) * radius, rng.uniform(0, 2 * math.pi)
            end = (y + stretch * math.sin(angle), x + stretch * math.cos(angle))
            capsule(holes, (y, x), end, radius, radius * rng.uniform(0.7, 1.1), hardness=rng.uniform(0.12, 0.35))
        holes = soft_step(holes + np.float32(0.08) * smooth_noise(rng, FIELD, 8) - np.float32(0.45), 0.9)
    blend(tissue, holes * np.float32(rng.uniform(0.8, 1)), float(rng.uniform(-1000, -965)))
    if rng.random() < 0.3:  # a septum or a thin vessel left between the holes
        strand = blank()
        branching(rng, strand, rng.uniform(0.2, 0.35), branch=0.15)
        blend(tissue, strand * np.float32(0.6), BLOOD)
    return tissue


def nodular(rng: np.random.Generator, scan: Scan, severity: float) -> Array:
    """Many small round opacities of 2-5 mm: sharp and dense (random), or hazy and joined by twigs (centrilobular)."""
    tissue = parenchyma(rng, scan)
    vessels(rng, tissue, rng.uniform(0.5, 1.2))
    hazy = rng.random() < 0.35
    nodules, twigs = blank(), blank()
    for k in range(3 + rng.poisson(1 + 6 * severity)):
        y, x = rng.uniform(-1, 1, 2) * (6 if k < 2 else 8.5)  # at least two well inside the ROI
        radius = 1.0 + rng.exponential(0.2 + 0.3 * severity)
        oval, angle = 0.4 * radius * rng.random(), rng.uniform(0, 2 * math.pi)
        end = (y + oval * math.sin(angle), x + oval * math.cos(angle))
        radius = min(radius, 2.4)
        capsule(nodules, (y, x), end, radius, 0.9 * radius, hardness=0.14 if hazy else rng.uniform(0.25, 0.8))
        if hazy and rng.random() < 0.5:
            far = rng.uniform(2, 4)
            capsule(twigs, (y, x), (y + far * math.sin(angle), x + far * math.cos(angle)), 0.35, 0.25)
    if hazy:
        blend(tissue, twigs * np.float32(0.7), -100.0)
    blend(tissue, nodules, float(rng.uniform(-520, -250) if hazy else rng.uniform(-160, 60)))
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
    "GGO": ("NOR", "RET"),
    "RET": ("GGO", "NOR"),
    "HCM": ("RET", "GGO", "EMP"),
    "EMP": ("NOR",),
    "NOD": ("NOR", "GGO"),
}


def draw(name: str, rng: np.random.Generator, scan: Scan) -> Array:
    """The tissue of one ROI of class `name`, at a random severity; a third of them border on another pattern."""
    severity = float(np.clip(rng.normal(scan.severity, 0.22), 0, 1))
    tissue = PATTERNS[name](rng, scan, severity)
    if name in _NEIGHBOURS and rng.random() < 0.35:
        other = _NEIGHBOURS[name][int(rng.integers(len(_NEIGHBOURS[name])))]
        border = _region(rng, rng.uniform(0.1, 0.4), 0.8, 1)
        blend(tissue, border, PATTERNS[other](rng, scan, 0.5 * severity))
    return tissue
