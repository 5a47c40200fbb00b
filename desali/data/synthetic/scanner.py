"""From tissue to CT numbers: partial volume, point spread function and kernel-coloured noise of one patient's scan."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from desali.data.synthetic.fields import Array, separable
from desali.data.synthetic.randomness import stream

ROI = 32  # pixels
PIXEL_MM = 0.5
OVERSAMPLING = 3
FIELD = 40 * OVERSAMPLING  # samples; the field is 20 mm wide, 2 mm more than the ROI on each side
STEP_MM = PIXEL_MM / OVERSAMPLING
HALF_MM = FIELD * STEP_MM / 2
_NOISE_MARGIN = 4


class Scan(NamedTuple):
    """What one patient's scan adds to every ROI.

    Attributes:
        lung: HU of normal parenchyma at this depth of breath.
        texture: standard deviation of the parenchyma's own fine texture, HU.
        offset, gain: miscalibration, HU and a factor on HU + 1000.
        noise: standard deviation of the noise, HU.
        blur: standard deviation of the point spread function, mm.
        edge: strength of the kernel's edge enhancement, 0 (smooth kernel) to about 1 (sharp kernel).
        severity: how advanced the patient's disease tends to be, 0-1.
    """

    lung: float
    texture: float
    offset: float
    gain: float
    noise: float
    blur: float
    edge: float
    severity: float


def scan_of(seed: int, patient: int) -> Scan:
    """Draw the scan of a patient."""
    rng = stream(seed, "target", "patient", patient)
    sharp = rng.random() < 0.4
    return Scan(
        lung=float(rng.normal(-868, 20)),
        texture=float(rng.uniform(10, 22)),
        offset=float(rng.normal(0, 8)),
        gain=float(rng.normal(1, 0.015)),
        noise=float(rng.uniform(22, 55) if sharp else rng.uniform(8, 20)),
        blur=float(rng.uniform(0.26, 0.34) if sharp else rng.uniform(0.36, 0.55)),
        edge=float(rng.uniform(0.4, 0.9) if sharp else rng.uniform(0, 0.15)),
        severity=float(rng.uniform(0.25, 0.75)),
    )


@cache
def _gaussian_rows(inputs: int, spacing: float, outputs: int, sigma: float) -> Any:
    """Sparse Gaussian rows from `inputs` samples, `spacing` pixels apart, to `outputs` pixels; each sums to 1."""
    source = (np.arange(inputs) - (inputs - 1) / 2) * spacing
    goal = np.arange(outputs) - (outputs - 1) / 2
    distance = (goal[:, None] - source) / sigma
    rows = np.where(np.abs(distance) < 4, np.exp(-0.5 * distance**2), 0)
    return csr_array((rows / rows.sum(1, keepdims=True)).astype(np.float32))


def acquire(tissue: Array, scan: Scan, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """CT numbers [32, 32] of a tissue field [120, 120] in HU: blurred, sampled, miscalibrated, noisy, clipped."""
    sigma = scan.blur / PIXEL_MM
    narrow = _gaussian_rows(FIELD, 1 / OVERSAMPLING, ROI, sigma)
    wide = _gaussian_rows(FIELD, 1 / OVERSAMPLING, ROI, 2 * sigma)
    edge = np.float32(scan.edge)
    turned = np.ascontiguousarray(tissue.T)
    image = (1 + edge) * separable(narrow, narrow, turned) - edge * separable(wide, wide, turned)
    image = (image + 1000) * np.float32(scan.gain) + np.float32(scan.offset - 1000)

    white = rng.standard_normal((ROI + 2 * _NOISE_MARGIN,) * 2, np.float32)
    fine = _gaussian_rows(len(white), 1.0, ROI, 1.2 * sigma)
    coarse = _gaussian_rows(len(white), 1.0, ROI, 2.4 * sigma)
    coloured = (1 + edge) * separable(fine, fine, white) - edge * separable(coarse, coarse, white)
    deviation = np.sqrt(
        (1 + edge) ** 2 * _energy(fine, fine)
        - 2 * edge * (1 + edge) * _energy(fine, coarse)
        + edge**2 * _energy(coarse, coarse)
    )
    image += coloured * np.float32(scan.noise / deviation)
    numbers: npt.NDArray[np.int16] = np.clip(np.rint(image), -1024, 3071).astype(np.int16)
    return numbers


def _energy(a: Any, b: Any) -> float:
    """Covariance of two separable filterings of one white noise, at the centre of the ROI."""
    return float((a[[ROI // 2]] * b[[ROI // 2]]).sum()) ** 2
