"""Which images train and which are predicted: one held-out set, leave one patient out, or folds of whole patients."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desali.data.imageset import ImageSet
from desali.errors import DataError


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
    both = set(training.groups.tolist()) & set(evaluated.groups.tolist())
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
    patients = np.unique(images.groups)
    if len(patients) < 2:
        raise DataError(f"{images.name}: leaving one patient out needs at least two patients, got {len(patients)}")
    masks = [images.groups == patient for patient in patients]
    return _design("leave one patient out", images, masks)


def patient_folds(images: ImageSet, count: int, seed: int = 0) -> Design:
    """`count` folds of whole patients with classes as even as can be (scikit-learn's StratifiedGroupKFold).

    Raises:
        DataError: fewer than two folds, or fewer patients than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    patients = len(np.unique(images.groups))
    if not 2 <= count <= patients:
        raise DataError(
            f"{images.name}: the number of folds must lie between 2 and its {patients} patients, got {count}"
        )
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds; `unseen` tells
        try:
            folds = [held for _, held in splitter.split(images.labels, images.labels, images.groups)]
        except ValueError as error:
            raise DataError(f"{images.name}: cannot be cut into {count} folds ({error}); take fewer") from error
    masks = [np.isin(np.arange(len(images)), held) for held in folds if len(held)]
    return _design(f"{len(masks)} folds of whole patients", images, masks)


def _design(name: str, images: ImageSet, masks: list[npt.NDArray[np.bool_]]) -> Design:
    splits = (Split(k, images, np.flatnonzero(~mask), np.flatnonzero(mask)) for k, mask in enumerate(masks))
    return Design(name, images, tuple(splits))
