"""Who has what: patients, the patterns they show, and how many ROIs of each, after the table of the published data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from desali.data.synthetic.classes import TARGET_CLASSES
from desali.data.synthetic.exact import log
from desali.data.synthetic.randomness import Stream
from desali.errors import DataError


class Split(NamedTuple):
    """ROIs and patients of each class in one split, and the patients of the split (first number, how many)."""

    rois: dict[str, int]
    patients: dict[str, int]
    first: int
    size: int


# ROI and patient counts of Suzuki et al. (arXiv 1810.06282).
# How many patients there are in all is not published: 24 and 20 are ours.
SPLITS = {
    "train": Split(
        dict(zip(TARGET_CLASSES, (143, 609, 210, 282, 4406, 762, 5371), strict=True)),
        dict(zip(TARGET_CLASSES, (13, 14, 8, 10, 10, 9, 11), strict=True)),
        1,
        24,
    ),
    "evaluation": Split(
        dict(zip(TARGET_CLASSES, (26, 46, 66, 73, 296, 65, 355), strict=True)),
        dict(zip(TARGET_CLASSES, (14, 14, 9, 9, 11, 10, 11), strict=True)),
        25,
        20,
    ),
}

# How readily a patient of one disease shows each pattern, in the order of TARGET_CLASSES.
_DISEASES = (
    (0.3, 1.0, 1.0, 1.0, 0.3, 0.1, 0.6),  # fibrosing
    (0.1, 0.2, 0.3, 0.2, 1.0, 0.2, 0.8),  # obstructive
    (1.0, 1.0, 0.1, 0.05, 0.2, 0.7, 0.7),  # infective
    (0.4, 0.6, 0.4, 0.1, 0.2, 1.0, 0.8),  # granulomatous
)


def patient_name(number: int) -> str:
    """The name of a patient, e.g. "P007"."""
    return f"P{number:03d}"


def class_counts(split: str, scale: float, floor: int) -> dict[str, int]:
    """ROIs of each class: the published count times `scale`, but at least `floor` (or the published count, if lower).

    Raises:
        DataError: the scale is not in (0, 1].
    """
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= 1:
        raise DataError(f"{split}={scale!r}: expected a fraction of the published ROI counts in (0, 1]")
    return {name: max(round(scale * n), min(floor, n)) for name, n in SPLITS[split].rois.items()}


def patients_of(seed: int, split: str) -> dict[str, list[int]]:
    """The patient numbers that show each class; every patient of the split shows at least one."""
    plan = SPLITS[split]
    rng = Stream(seed, "target", split, "cohort")
    affinity = [_DISEASES[rng.below(len(_DISEASES))] for _ in range(plan.size)]  # [patients, classes]
    shows = [[False] * len(TARGET_CLASSES) for _ in range(plan.size)]
    for c in rng.permutation(len(TARGET_CLASSES)):
        score = [log(affinity[p][c]) - 0.5 * log(rng.exponential(1.0)) - 0.6 * sum(shows[p]) for p in range(plan.size)]
        for p in sorted(range(plan.size), key=lambda p: -score[p])[: plan.patients[TARGET_CLASSES[c]]]:
            shows[p][c] = True
    for idle in (p for p in range(plan.size) if not any(shows[p])):
        giver = max(range(plan.size), key=lambda p: sum(shows[p]))
        c = rng.choice([c for c, shown in enumerate(shows[giver]) if shown])
        shows[giver][c], shows[idle][c] = False, True
    return {name: [plan.first + p for p in range(plan.size) if shows[p][c]] for c, name in enumerate(TARGET_CLASSES)}


def roi_patients(seed: int, split: str, name: str, patients: list[int], count: int) -> list[int]:
    """The patient of each of `count` ROIs of class `name`: first each patient once, then in unequal shares.

    A smaller count gives a prefix of the list of a larger one.
    """
    rng = Stream(seed, "target", split, name, "shares")
    order = [patients[k] for k in rng.permutation(len(patients))]
    edges = np.cumsum(rng.skewed(len(order)))
    # one draw after another, so that fewer ROIs are the first of more
    rest = [int((rng.uniform(0, float(edges[-1])) > edges).sum()) for _ in range(count - len(order))]
    return (order + [order[k] for k in rest])[:count]
