"""Pictures of single edges and of patterns, of the same mean and contrast, to ask what a network's channels prefer."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

MEAN, CONTRAST = 0.5, 0.22
"""Mean grey value and root-mean-square deviation from it, in [0, 1]."""
ORIENTATIONS = 12
CYCLES = (4.0, 8.0, 16.0)
"""Of gratings and of noise, per picture width."""

Pictures = npt.NDArray[np.uint8]


def edges(size: int) -> Pictures:
    """One straight step edge a picture, uint8 [n, size, size]: six orientations, both polarities, three positions."""
    y, x = _grid(size)
    pictures = []
    for angle in np.arange(ORIENTATIONS) * 2 * math.pi / ORIENTATIONS:  # half a turn further is the other polarity
        for offset in (-0.15, 0.0, 0.15):
            distance = np.cos(angle) * x + np.sin(angle) * y - offset
            pictures.append(np.tanh(distance * size))  # a ramp of about a pixel, so that no orientation is jagged
    return _grey(pictures)


def patterns(size: int, seed: int = 0) -> Pictures:
    """Patterns that fill the picture, uint8 [n, size, size]: gratings, band-pass noise, and lattices of dots.

    Args:
        seed: of the noise.
    """
    y, x = _grid(size)
    rng = np.random.default_rng(seed)
    pictures = []
    for cycles in CYCLES:
        for angle in np.arange(4) * math.pi / 4:
            along = np.cos(angle) * x + np.sin(angle) * y
            pictures.append(np.sin(2 * math.pi * cycles * along + 0.7))
        pictures += [_noise(rng, size, cycles) for _ in range(4)]
        for turn in (0.0, math.pi / 4, math.pi / 8, math.pi / 5):
            u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
            wave = np.cos(2 * math.pi * cycles * u) * np.cos(2 * math.pi * cycles * v)
            pictures.append(np.maximum(wave, 0) ** 2)
    return _grey(pictures)


def _grid(size: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    at = (np.arange(size) + 0.5) / size - 0.5
    y, x = np.meshgrid(at, at, indexing="ij")
    return y, x


def _noise(rng: np.random.Generator, size: int, cycles: float) -> npt.NDArray[np.float64]:
    """Isotropic noise around a frequency: log-Gaussian in the radius, half an octave wide."""
    fy, fx = np.meshgrid(np.fft.fftfreq(size, 1 / size), np.fft.fftfreq(size, 1 / size), indexing="ij")
    radius = np.hypot(fy, fx)
    radius[0, 0] = 1.0
    gain = np.exp(-0.5 * (np.log2(radius / cycles) / 0.5) ** 2)
    gain[0, 0] = 0.0
    return np.asarray(np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) * gain).real)


def _grey(pictures: list[npt.NDArray[np.float64]]) -> Pictures:
    """Scaled to `MEAN` and `CONTRAST`, clipped to [0, 1], as bytes."""
    stack = np.stack(pictures)
    for _ in range(20):  # clipping takes contrast away, which the next round gives back
        stack = stack - stack.mean((1, 2), keepdims=True)
        stack = (MEAN + CONTRAST * stack / stack.std((1, 2), keepdims=True)).clip(0, 1)
    return np.asarray(np.rint(255 * stack), np.uint8)
