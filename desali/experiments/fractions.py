"""A fraction of the training images: of the ROIs of each class, or of whole patients; smaller ones are nested."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desali.data.imageset import ImageSet
from desali.errors import DataError
from desali.experiments.options import By
from desali.training.seeding import derive

LEAST_OF_A_CLASS = 2


def take(images: ImageSet, fraction: float, by: By, seed: int) -> ImageSet:
    """About `fraction` of `images`, in their order; all of them for 1.

    By "rois", each class keeps that share of its ROIs, at least 2, drawn at random. By "patients", whole patients are
    drawn at random until their number is reached, and then as many more as it takes to have every class.

    Args:
        fraction: in (0, 1].
        seed: of the drawing; one seed draws nested parts.

    Raises:
        DataError: a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise DataError(f"the fraction of the training data must lie in (0, 1], got {fraction:g}")
    if fraction == 1:
        return images
    generator = np.random.default_rng(derive(seed, "fraction", by))
    kept = _rois(images, fraction, generator) if by == "rois" else _patients(images, fraction, generator)
    return images.subset(kept)


def _rois(images: ImageSet, fraction: float, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    order = generator.permutation(len(images))
    parts = []
    for label in np.unique(images.labels):
        members = order[images.labels[order] == label]
        parts.append(members[: max(LEAST_OF_A_CLASS, round(fraction * len(members)))])
    return np.sort(np.concatenate(parts))


def _patients(images: ImageSet, fraction: float, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    order = generator.permutation(np.unique(images.groups))
    count = max(1, round(fraction * len(order)))
    classes = np.unique(images.labels)
    while not set(classes) <= set(np.unique(images.labels[np.isin(images.groups, order[:count])])):
        count += 1
    return np.flatnonzero(np.isin(images.groups, order[:count]))
