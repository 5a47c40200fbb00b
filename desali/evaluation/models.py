"""The trainings of one recipe as one model: metrics of each, and of each resample of the patients, meaned over them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from desali.errors import DataError
from desali.evaluation import calibration
from desali.evaluation.curves import OneClass, auroc, average_precision
from desali.evaluation.statistics import METRICS, Counts, Floats, class_metrics_of, combine, metrics_of

if TYPE_CHECKING:
    from desali.evaluation.predictions import Predictions

CLASS_METRICS = ("recall", "precision", "F1", "AUROC", "average precision")


class Model:
    """One recipe's trainings on one evaluation set.

    Attributes:
        recipe: its name.
        trainings: its predictions, in the order given, one a seed.
        patients: names, sorted [patients]; `patient` [n] is each ROI's index into them.
        matrices: confusion matrices [seeds, patients, classes, classes].
        repeated: (seed, seed of the same) of trainings left out, since their probabilities are those of another.
    """

    def __init__(self, trainings: Sequence[Predictions]) -> None:
        first = trainings[0]
        trainings, self.repeated = _distinct(trainings)
        self.recipe = first.recipe
        self.trainings = tuple(trainings)
        self.classes = first.classes
        self.labels = first.labels
        names, index = np.unique(first.patients, return_inverse=True)
        self.patients: npt.NDArray[np.str_] = names
        self.patient: npt.NDArray[np.int64] = index.astype(np.int64)
        self.matrices: Counts = np.zeros((len(trainings), len(names), len(self.classes), len(self.classes)), np.int64)
        for matrix, one in zip(self.matrices, trainings, strict=True):
            np.add.at(matrix, (self.patient, one.labels, one.predicted), 1)

    @cached_property
    def top_label(self) -> Floats:
        """Bin sums of the predicted class [seeds, patients, bins, 3]."""
        each = [calibration.top_label_sums(*self._of(one)) for one in self.trainings]
        return np.stack(each)

    @cached_property
    def class_wise(self) -> Floats:
        """Bin sums of each class [seeds, classes, patients, bins, 3]."""
        return np.stack([calibration.class_wise_sums(*self._of(one)) for one in self.trainings])

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """Sums of "Brier score" and "log loss" over each patient's ROIs [seeds, patients]."""
        functions = {"Brier score": calibration.brier, "log loss": calibration.log_loss}
        return {
            name: np.stack([self._by_patient(f(one.probabilities, one.labels)) for one in self.trainings])
            for name, f in functions.items()
        }

    @cached_property
    def rois(self) -> Counts:
        """ROIs of each patient [patients]."""
        return np.bincount(self.patient, minlength=len(self.patients)).astype(np.int64)

    @cached_property
    def correct(self) -> Floats:
        """Correct ROIs of each patient, mean over the trainings [patients]."""
        return np.asarray(self.matrices.diagonal(axis1=2, axis2=3).sum(2).mean(0), np.float64)

    def metrics(self, weights: Counts, curve_weights: Counts) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """All metrics of resamples that hold each patient `weights` [b, patients] times.

        Average precisions are of the resamples of `curve_weights` instead.

        Returns:
            `ALL_METRICS` -> [seeds, b], and `CLASS_METRICS` -> [classes, b], means over the trainings. NaN where a
            metric is not defined: of a class that does not occur, or the AUROC of the only one.
        """
        ranking = self._ranking(weights, curve_weights)
        confusions = [combine(weights, matrix) for matrix in self.matrices]  # [b, classes, classes] a seed
        matrix_metrics = np.stack([metrics_of(matrix) for matrix in confusions])  # [seeds, b, 7]
        metrics = {name: matrix_metrics[..., k] for k, name in enumerate(METRICS)}
        metrics["macro AUROC"] = _mean_of_defined(ranking["AUROC"])
        metrics["macro average precision"] = _mean_of_defined(ranking["average precision"])
        total = np.asarray(weights, np.float64) @ self.rois
        for name, sums in self.scores.items():
            metrics[name] = np.stack([np.asarray(weights, np.float64) @ one / total for one in sums])
        weighted = calibration.weighted
        top_label = [weighted(weights, one) for one in self.top_label]
        metrics["ECE"] = np.stack([calibration.calibration_error(one) for one in top_label])
        class_wise = [np.stack([weighted(weights, each) for each in one]) for one in self.class_wise]
        metrics["class-wise ECE"] = np.stack([calibration.class_wise_error(one) for one in class_wise])
        three = np.mean([class_metrics_of(matrix) for matrix in confusions], axis=0)  # [b, 3, classes]
        classes = {name: three[:, k].T for k, name in enumerate(CLASS_METRICS[:3])}
        return metrics, classes | {name: values.mean(1) for name, values in ranking.items()}

    def calibration(self, weights: Counts) -> dict[str, tuple[Floats, Floats]]:
        """ "ECE" and "class-wise ECE" -> the error of each resample, and what resampling alone makes of it [b], both
        means over the trainings; see `calibration.error_interval`.
        """
        weighted, occurs = calibration.weighted, self.matrices[0].sum((0, 2)) > 0
        top, each = [], []
        for sums in self.top_label:
            drawn = weighted(weights, sums)
            top.append((calibration.calibration_error(drawn), calibration.centred_error(drawn, sums.sum(0))))
        for classes in self.class_wise:
            drawn = np.stack([weighted(weights, sums) for sums in classes])
            noise = [calibration.centred_error(one, sums.sum(0)) for one, sums in zip(drawn, classes, strict=True)]
            each.append((calibration.class_wise_error(drawn), np.mean(np.array(noise)[occurs], axis=0)))
        return {
            name: (np.mean([one[0] for one in found], axis=0), np.mean([one[1] for one in found], axis=0))
            for name, found in (("ECE", top), ("class-wise ECE", each))
        }

    def _ranking(self, weights: Counts, curve_weights: Counts) -> dict[str, Floats]:
        """AUROC and average precision of each class [classes, seeds, b]."""
        cases = [self.one_class(c) for c in range(len(self.classes))]
        areas = [[auroc(one, weights) for one in trainings] for trainings in cases]
        precisions = [[average_precision(one, curve_weights) for one in trainings] for trainings in cases]
        return {"AUROC": np.asarray(areas), "average precision": np.asarray(precisions)}

    def one_class(self, label: int) -> list[OneClass]:
        """Each training's scores of one class against the rest."""
        count = len(self.patients)
        return [
            OneClass(one.probabilities[:, label], one.labels == label, self.patient, count) for one in self.trainings
        ]

    def _of(
        self, one: Predictions
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
        return one.probabilities, one.labels, self.patient, len(self.patients)

    def _by_patient(self, values: Floats) -> Floats:
        return np.asarray(np.bincount(self.patient, values, len(self.patients)), np.float64)


def _distinct(trainings: Sequence[Predictions]) -> tuple[list[Predictions], tuple[tuple[int, int], ...]]:
    """Without trainings whose probabilities are those of an earlier one: a copy is no second training."""
    kept: list[Predictions] = []
    repeated = []
    for one in trainings:
        same = next((other for other in kept if np.array_equal(one.probabilities, other.probabilities)), None)
        if same is None:
            kept.append(one)
        else:
            repeated.append((one.seed, same.seed))
    return kept, tuple(repeated)


def gather(predictions: Sequence[Predictions]) -> list[Model]:
    """Predictions as models, in the order in which their recipes first come.

    Raises:
        DataError: nothing given, no images, one recipe and seed twice, or different evaluation sets.
    """
    if not predictions:
        raise DataError("nothing to compare: give at least one model's predictions")
    first = predictions[0]
    if not len(first.labels):
        raise DataError(f"the predictions of {first.recipe} hold no images")
    trainings: dict[str, dict[int, Predictions]] = {}
    for one in predictions:
        same = one.fingerprint == first.fingerprint and one.classes == first.classes
        if not same or not np.array_equal(one.labels, first.labels) or not np.array_equal(one.patients, first.patients):
            raise DataError(f"{one.recipe} was evaluated on other images than {first.recipe}; evaluate both again")
        seeds = trainings.setdefault(one.recipe, {})
        if one.seed in seeds:
            raise DataError(f"a model is given twice: {one.recipe} with seed {one.seed}")
        seeds[one.seed] = one
    return [Model(list(seeds.values())) for seeds in trainings.values()]


def _mean_of_defined(values: Floats) -> Floats:
    """Mean over the first axis of what is not NaN; NaN where nothing is."""
    defined = ~np.isnan(values)
    count = defined.sum(0)
    total = np.where(defined, values, 0).sum(0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
