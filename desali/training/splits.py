"""Which images are on which side: held-out parts, folds and fractions. No patient ever stands on both sides.

Where a set has no patients, what takes their place is kept together (`ImageSet.unit_of_split`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from desali.data.imageset import ImageSet
from desali.errors import DataError
from desali.training.seeding import derive

By = Literal["rois", "patients"]
LEAST_OF_A_CLASS = 2
"""ROIs of each class that a fraction keeps."""


@dataclass(frozen=True, eq=False)
class Split:
    """One training part and the images that its models predict.

    Attributes:
        number: of the fold, from 0.
        source: the set that `index` [m] picks the training images from.
        held: index into the design's evaluated set, of the images to predict.
    """

    number: int
    source: ImageSet
    index: npt.NDArray[np.int64]
    held: npt.NDArray[np.int64]

    def training(self) -> ImageSet:
        """The training images."""
        return self.source.subset(self.index)


@dataclass(frozen=True, eq=False)
class Design:
    """An evaluated set and the splits whose held-out parts cover it once.

    Attributes:
        name: in words, e.g. "leave one patient out".
        evaluated: the images that are predicted.
        splits: in order.
    """

    name: str
    evaluated: ImageSet
    splits: tuple[Split, ...]

    def unseen(self) -> list[str]:
        """A sentence for every split whose training part lacks a class that it has to predict."""
        found = []
        for split in self.splits:
            here = set(np.unique(self.evaluated.labels[split.held])) - set(np.unique(split.source.labels[split.index]))
            found += [
                f"fold {split.number}: no training image of class {self.evaluated.classes[label]}, which it predicts"
                for label in sorted(here)
            ]
        return found


def fixed(training: ImageSet, evaluated: ImageSet) -> Design:
    """One training set and one set of other patients.

    Raises:
        DataError: other classes, or a patient on both sides.
    """
    if training.classes != evaluated.classes:
        raise DataError(
            f"{evaluated.name}: classes differ from those of {training.name}; give sets of the same classes"
        )
    both = set(training.patients.tolist()) & set(evaluated.patients.tolist())
    if both:
        raise DataError(
            f"{evaluated.name}: {len(both)} patients (the first is {min(both)}) are also in {training.name}; "
            "evaluate on other patients"
        )
    split = Split(0, training, np.arange(len(training)), np.arange(len(evaluated)))
    return Design("one held-out set", evaluated, (split,))


def leave_one_patient_out(images: ImageSet) -> Design:
    """As many folds as patients; each predicts one patient's images.

    Raises:
        DataError: fewer than two patients.
    """
    patients = np.unique(images.patients)
    if len(patients) < 2:
        raise DataError(f"{images.name}: leaving one patient out needs at least two patients, got {len(patients)}")
    masks = [images.patients == patient for patient in patients]
    return _design("leave one patient out", images, masks)


def patient_folds(images: ImageSet, count: int, seed: int = 0) -> Design:
    """`count` folds of whole patients with classes as even as can be (see `stratified_folds`).

    Raises:
        DataError: fewer than two folds, or fewer patients than folds.
    """
    patients = len(np.unique(images.patients))
    if not 2 <= count <= patients:
        raise DataError(
            f"{images.name}: the number of folds must lie between 2 and its {patients} patients, got {count}"
        )
    try:
        folds = stratified_folds(images.labels, images.patients, count, seed)
    except ValueError as error:
        raise DataError(f"{images.name}: cannot be cut into {count} folds ({error}); take fewer") from error
    masks = [np.isin(np.arange(len(images)), held) for held in folds if len(held)]
    return _design(f"{len(masks)} folds of whole patients", images, masks)


def _design(name: str, images: ImageSet, masks: list[npt.NDArray[np.bool_]]) -> Design:
    splits = (Split(k, images, np.flatnonzero(~mask), np.flatnonzero(mask)) for k, mask in enumerate(masks))
    return Design(name, images, tuple(splits))


def hold_out(
    labels: npt.NDArray[np.int64],  # [n]
    patients: npt.NDArray[np.str_],  # [n]
    share: float,
    seed: int,
) -> npt.NDArray[np.bool_] | None:
    """Mask [n] of the images to hold out for early stopping: whole patients, about `share` of the images.

    Of the folds of `stratified_folds` only those qualify that leave every class in the training part; among them the
    one with most classes held out wins, then the one whose size is nearest to `share`. None if no fold qualifies (for
    instance if each class is a single patient's) or if `share` is 0.
    """
    if share <= 0:
        return None
    classes, most = len(np.unique(labels)), most_folds(labels, patients)
    best: tuple[tuple[int, float], npt.NDArray[np.bool_]] | None = None
    for folds in sorted({min(most, folds) for folds in (max(2, round(1 / share)), 10, 20)}):
        if folds < 2:
            continue
        for held in stratified_folds(labels, patients, folds, seed):
            mask = np.zeros(len(labels), bool)
            mask[held] = True
            if not mask.any() or len(np.unique(labels[~mask])) < classes:
                continue
            merit = (len(np.unique(labels[mask])), -abs(float(mask.mean()) - share))
            if best is None or merit > best[0]:
                best = (merit, mask)
        if best is not None and best[0][0] == classes:
            break
    return None if best is None else best[1]


def stratified_folds(
    labels: npt.NDArray[np.int64], patients: npt.NDArray[np.str_], count: int, seed: int
) -> list[npt.NDArray[np.int64]]:
    """Held-out indices of `count` folds of whole patients, classes as even as can be (StratifiedGroupKFold).

    A class with fewer images than folds is no error. ValueError: more folds than `most_folds`.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds
        return [held for _, held in splitter.split(labels, labels, patients)]


def most_folds(labels: npt.NDArray[np.int64], patients: npt.NDArray[np.str_]) -> int:
    """The most folds that `stratified_folds` can make."""
    return min(len(np.unique(patients)), int(np.bincount(labels).max(initial=0)))


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
    check_fraction(fraction)
    if fraction == 1:
        return images
    generator = np.random.default_rng(derive(seed, "fraction", by))
    if by == "rois":
        return images.subset(
            np.sort(np.concatenate(_of_each_class(images, fraction, generator.permutation(len(images)))))
        )
    order = generator.permutation(np.unique(images.patients))
    count = max(1, round(fraction * len(order)))
    classes = set(np.unique(images.labels))
    while not classes <= set(np.unique(images.labels[np.isin(images.patients, order[:count])])):
        count += 1
    return images.subset(np.flatnonzero(np.isin(images.patients, order[:count])))


def first_of_each_class(images: ImageSet, fraction: float) -> ImageSet:
    """The first images of each class, `fraction` of them but at least 2; which patient each belongs to stays.

    The synthetic target names every patient of a class once before any comes again, so few images still have many
    patients, and a smaller part is part of a larger one.

    Raises:
        DataError: a fraction outside (0, 1].
    """
    check_fraction(fraction)
    if fraction == 1:
        return images
    kept = _of_each_class(images, fraction, np.arange(len(images)))
    counts = {images.classes[images.labels[index[0]]]: len(index) for index in kept}
    part = images.subset(np.sort(np.concatenate(kept)))
    return replace(part, parameters={**images.parameters, "share": fraction, "counts": counts})


def _of_each_class(images: ImageSet, fraction: float, order: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The first `fraction` of each class that occurs, in `order`."""
    members = [order[images.labels[order] == label] for label in np.unique(images.labels)]
    return [index[: max(LEAST_OF_A_CLASS, round(fraction * len(index)))] for index in members]


def check_fraction(fraction: float) -> None:
    """Refuse what is no share.

    Raises:
        DataError: a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise DataError(f"the fraction of the training data must lie in (0, 1], got {fraction:g}")
