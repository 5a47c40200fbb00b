"""Target domain: CT-like phantoms of seven diffuse-lung-disease patterns, 32 x 32 pixels of 0.5 mm, in HU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.imageset import ImageSet
from desali.data.synthetic.classes import TARGET_CLASSES
from desali.data.synthetic.cohort import class_counts, patient_name, patients_of, roi_patients
from desali.data.synthetic.lung_patterns import draw
from desali.data.synthetic.randomness import Stream, whole_number
from desali.data.synthetic.scanner import PIXEL_MM, ROI, acquire, scan_of

ORIGIN = "synthetic (CT-like phantoms; invented patients)"
Rois = npt.NDArray[np.int16]


def target(seed: int = 0, train: float = 0.125, evaluation: float = 1.0, floor: int = 60) -> tuple[ImageSet, ImageSet]:
    """Training set and evaluation set of synthetic lung ROIs, int16 [n, 32, 32] in HU, with disjoint patients.

    Classes are imbalanced as in the published table (Suzuki et al., arXiv 1810.06282), and each of the 24 training and
    20 evaluation patients shows only some of them. Each patient has a scan of their own: calibration, noise,
    reconstruction kernel, depth of breath, severity. ROIs come class after class; those of a class in a smaller set are
    the first ones of that class in a larger set.

    Args:
        seed: any whole number >= 0; one seed gives the same arrays every time.
        train: fraction of the published training ROIs, in (0, 1].
        evaluation: fraction of the published evaluation ROIs, in (0, 1].
        floor: least number of ROIs of a class in either set (or the published number, where that is lower).

    Raises:
        DataError: an argument out of range.
    """
    arguments: dict[str, Any] = {"seed": seed, "train": train, "evaluation": evaluation, "floor": floor}
    return target_part("train", **arguments), target_part("evaluation", **arguments)


def draw_rois(seed: int, split: str, counts: Mapping[str, int]) -> Rois:
    """The ROIs of one set [n, 32, 32] in HU, class after class; most of the time that a set takes goes here.

    Args:
        counts: class -> ROIs.
    """
    images = np.empty((sum(counts.values()), ROI, ROI), np.int16)
    cohort = patients_of(seed, split)
    place = 0
    for name, count in counts.items():
        for k, patient in enumerate(roi_patients(seed, split, name, cohort[name], count)):
            rng = Stream(seed, "target", split, name, k)
            scan = scan_of(seed, patient)
            images[place] = acquire(draw(name, rng, scan), scan, rng)
            place += 1
    return images


def target_part(
    split: str,
    seed: int = 0,
    train: float = 0.125,
    evaluation: float = 1.0,
    floor: int = 60,
    *,
    rois: Callable[[int, str, Mapping[str, int]], Rois] = draw_rois,
) -> ImageSet:
    """One of the two sets that `target` gives for the same arguments, "train" or "evaluation".

    Args:
        rois: what gives the pixels, for instance from a cache.
    """
    seed, floor = whole_number("seed", seed, 0), whole_number("floor", floor, 1)
    arguments = {"seed": seed, "train": train, "evaluation": evaluation, "floor": floor}
    # both counts first, so that a bad argument is refused before anything is drawn
    plans = {"train": class_counts("train", train, floor), "evaluation": class_counts("evaluation", evaluation, floor)}
    counts = plans[split]
    labels = np.repeat(np.arange(len(TARGET_CLASSES)), list(counts.values())).astype(np.int64)
    cohort = patients_of(seed, split)
    patients = [
        patient_name(patient)
        for name, count in counts.items()
        for patient in roi_patients(seed, split, name, cohort[name], count)
    ]
    return ImageSet(
        name=f"synthetic-target-{split}",
        images=rois(seed, split, counts),
        labels=labels,
        patients=np.array(patients),
        classes=TARGET_CLASSES,
        unit="hu",
        origin=ORIGIN,
        parameters={"domain": "target", "split": split, **arguments, "counts": counts, "pixel_mm": PIXEL_MM},
    )
