"""Small random image sets that a network can learn: each class has its own orientation of stripes."""

from __future__ import annotations

import numpy as np

from desali.data.imageset import ImageSet


def stripes(count: int, classes: int = 3, patients: int = 6, seed: int = 0, size: int = 16) -> ImageSet:
    """`count` grey images, classes and patients in turn; every patient holds every class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    angle = np.pi * labels[:, None, None] / classes
    y, x = np.mgrid[:size, :size] / size
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    wave = np.sin(2 * np.pi * 3 * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    images = 127 + 80 * wave + rng.normal(0, 20, wave.shape)
    return ImageSet(
        f"stripes-{seed}",
        images.clip(0, 255).astype(np.uint8),
        labels.astype(np.int64),
        np.array([f"P{number:02d}" for number in (np.arange(count) // classes) % patients]),
        tuple("abcdefgh"[:classes]),
        "uint8",
        "random stripes for tests",
        {"seed": seed},
    )
