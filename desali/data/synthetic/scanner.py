"""From tissue to CT numbers: point spread function and kernel-coloured noise of one patient's scan."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from desali.data.synthetic.exact import Array, clip, exp, sqrt
from desali.data.synthetic.fields import Taps, resampled
from desali.data.synthetic.randomness import Stream

ROI = 32  # pixels
PIXEL_MM = 0.5
OVERSAMPLING = 3
FIELD = 40 * OVERSAMPLING  # samples; the field is 20 mm wide, 2 mm more than the ROI on each side
STEP_MM = PIXEL_MM / OVERSAMPLING
HALF_MM = FIELD * STEP_MM / 2
_NOISE_MARGIN = 6


class Scan(NamedTuple):
    """What one patient's scan adds to every ROI.

    Attributes:
        blood: HU of vessels, more where contrast medium was given.
        lung: HU of normal parenchyma at this depth of breath.
        texture: standard deviation of the parenchyma's own fine texture, HU.
        offset, gain: miscalibration, HU and a factor on HU + 1000.
        noise: standard deviation of the noise, HU.
        blur: standard deviation of the point spread function, mm.
        edge: strength of the kernel's edge enhancement, 0 (smooth kernel) to about 1 (sharp kernel).
        slice: thickness of the slice, mm.
        severity: how advanced the patient's disease tends to be, 0-1.
    """

    blood: float
    lung: float
    texture: float
    offset: float
    gain: float
    noise: float
    blur: float
    edge: float
    slice: float
    severity: float


def scan_of(seed: int, patient: int) -> Scan:
    """Draw the scan of a patient."""
    rng = Stream(seed, "target", "patient", patient)
    sharp = rng.chance(0.45)
    return Scan(
        blood=rng.uniform(30, 60) if rng.chance(0.2) else rng.uniform(90, 450),
        lung=rng.uniform(-935, -750),
        texture=rng.uniform(8, 26),
        offset=rng.normal(0, 8),
        gain=rng.normal(1, 0.015),
        noise=rng.uniform(15, 44) if sharp else rng.uniform(6, 20),
        blur=rng.uniform(0.26, 0.34) if sharp else rng.uniform(0.36, 0.52),
        edge=rng.uniform(0.4, 0.9) if sharp else rng.uniform(0, 0.15),
        slice=rng.uniform(0.6, 1.5) if sharp else rng.uniform(1.0, 2.5),
        severity=rng.uniform(0.15, 0.85),
    )


@cache
def _gaussian(inputs: int, spacing: float, outputs: int, sigma: float) -> Taps:
    """Gaussian weights from `inputs` samples, `spacing` pixels apart, to `outputs` pixels; each output's sum to 1."""
    goal = (np.arange(outputs) - (outputs - 1) / 2) / spacing + (inputs - 1) / 2  # in samples
    reach = int(4 * sigma / spacing) + 1
    first = np.floor(goal).astype(np.int64) - reach + 1
    first = np.minimum(np.maximum(first, 0), inputs - 2 * reach)
    distance = (first[:, None] + np.arange(2 * reach) - goal[:, None]) * (spacing / sigma)
    weights = exp(-0.5 * distance * distance)
    whole = np.zeros(outputs)
    for k in range(2 * reach):
        whole += weights[:, k]
    return Taps(first, weights / whole[:, None])


def acquire(tissue: Array, scan: Scan, rng: Stream) -> npt.NDArray[np.int16]:
    """CT numbers [32, 32] of a tissue field [120, 120] in HU: blurred, sampled, miscalibrated, noisy, clipped."""
    sigma = scan.blur / PIXEL_MM
    narrow = _gaussian(FIELD, 1 / OVERSAMPLING, ROI, sigma)
    wide = _gaussian(FIELD, 1 / OVERSAMPLING, ROI, 2 * sigma)
    edge = scan.edge
    image = (1 + edge) * resampled(tissue, narrow, narrow) - edge * resampled(tissue, wide, wide)
    image = (image + 1000) * scan.gain + (scan.offset - 1000)

    side = ROI + 2 * _NOISE_MARGIN
    white = rng.normal(0.0, 1.0, (side, side))
    fine, coarse = _gaussian(side, 1.0, ROI, 1.2 * sigma), _gaussian(side, 1.0, ROI, 2.4 * sigma)
    coloured = (1 + edge) * resampled(white, fine, fine) - edge * resampled(white, coarse, coarse)
    variance = (
        (1 + edge) * (1 + edge) * _covariance(fine, fine)
        - 2 * edge * (1 + edge) * _covariance(fine, coarse)
        + edge * edge * _covariance(coarse, coarse)
    )
    image += coloured * (scan.noise / sqrt(variance))
    numbers: npt.NDArray[np.int16] = np.rint(clip(image, -1024, 3071)).astype(np.int16)
    return numbers


def _covariance(a: Taps, b: Taps) -> float:
    """Covariance of two separable filterings of one white noise, at the centre of the ROI."""
    middle, total = ROI // 2, 0.0
    for k in range(a.weights.shape[1]):
        other = int(a.first[middle]) + k - int(b.first[middle])
        if 0 <= other < b.weights.shape[1]:
            total += float(a.weights[middle, k]) * float(b.weights[middle, other])
    return total * total
