"""Evaluation of several models on the same ROIs: figures with intervals, and every two models compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.errors import DataError
from desali.training.statistics import (
    FIGURES,
    Counts,
    Floats,
    bootstrap,
    confusion_by_group,
    figures_of,
    holm,
    interval,
    resample_weights,
    sign_flip,
    wilson,
)

if TYPE_CHECKING:
    from desali.training.evaluate import Predictions

LEAST_PATIENTS = 10
"""With fewer patients no test can decide (five sign flips cannot go below p = 0.06)."""
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval from the bootstrap over patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """One model on the evaluation set.

    Attributes:
        recipe: its name.
        figures: `statistics.FIGURES` -> estimate.
        accuracy_wilson: 95 % Wilson interval of the accuracy, which ignores that ROIs of one patient are alike.
        confusion: [true class][predicted class] ROIs.
        patients: patient -> (ROIs, correct ROIs).
    """

    recipe: str
    figures: dict[str, Estimate]
    accuracy_wilson: tuple[float, float]
    confusion: list[list[int]]
    patients: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Pair:
    """`first` minus `second` on the same ROIs.

    Attributes:
        differences: figure -> difference with its 95 % interval, both models resampled together.
        p: figure -> two-sided p-value of patient-level sign flips; empty with fewer than ten patients.
        p_holm: the same, adjusted by Holm's rule over all pairs (each figure is a family of its own).
        leave_one_out: figure -> least and greatest difference when one patient is left out.
        verdict: figure -> "differs" (adjusted p below 0.05), "no difference shown" or "undecided" (too few patients).
    """

    first: str
    second: str
    differences: dict[str, Estimate]
    p: dict[str, float]
    p_holm: dict[str, float]
    leave_one_out: dict[str, tuple[float, float]]
    verdict: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """Several models on one evaluation set.

    Attributes:
        data: name of the image set; `fingerprint` is its SHA-256, `origin` says where its images come from.
        classes: class names in the order of the confusion matrices.
        rois: number of images; `patients` is the number of groups.
        resamples: bootstrap resamples of the patients, drawn from `seed`.
        evaluations: one a model, in the order given; `pairs` holds every two of them.
    """

    data: str
    fingerprint: str
    origin: str
    classes: tuple[str, ...]
    rois: int
    patients: int
    resamples: int
    seed: int
    evaluations: tuple[Evaluation, ...]
    pairs: tuple[Pair, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return asdict(self)


def point_figures(truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> dict[str, float]:
    """The `FIGURES` by scikit-learn; averages run over the classes that occur in `truth`."""
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    result = {"accuracy": float(accuracy_score(truth, predicted))}
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = precision_recall_fscore_support(
            truth, predicted, labels=np.unique(truth), average=average, zero_division=0
        )
        result |= {f"{average} recall": recall, f"{average} precision": precision, f"{average} F1": f1}
    return {name: float(result[name]) for name in FIGURES}


def compare(predictions: Sequence[Predictions], *, resamples: int = 2000, seed: int = 0) -> Comparison:
    """Evaluate each of `predictions` and compare every two.

    Patients are the independent units: intervals are percentile intervals of a bootstrap that draws patients with
    replacement, the same draws for all models; p-values come from patient-level sign flips.

    Raises:
        DataError: nothing given, one name twice, or different evaluation sets.
    """
    if not predictions:
        raise DataError("nothing to compare: give at least one model's predictions")
    first = predictions[0]
    names = [one.recipe for one in predictions]
    if len(set(names)) < len(names):
        raise DataError(f"a model is given twice: {', '.join(names)}")
    for one in predictions:
        if one.fingerprint != first.fingerprint or not np.array_equal(one.labels, first.labels):
            raise DataError(f"{one.recipe} was evaluated on other images than {first.recipe}; evaluate both again")
    groups, _ = confusion_by_group(first.labels, first.labels, first.groups, len(first.classes))
    matrices = [confusion_by_group(one.labels, one.predicted, one.groups, len(one.classes))[1] for one in predictions]
    weights = resample_weights(len(groups), resamples, seed)
    samples = [bootstrap(matrix, weights) for matrix in matrices]
    evaluations = [
        _evaluation(one, groups, matrix, sample)
        for one, matrix, sample in zip(predictions, matrices, samples, strict=True)
    ]
    couples = list(combinations(range(len(predictions)), 2))
    p = np.array([sign_flip(matrices[a], matrices[b], seed=seed) for a, b in couples]).reshape(-1, len(FIGURES))
    adjusted = np.stack([holm(column) for column in p.T], axis=1) if couples else p
    decided = len(groups) >= LEAST_PATIENTS
    pairs = [
        _pair((names[a], names[b]), (matrices[a], matrices[b]), samples[a] - samples[b], p[k], adjusted[k], decided)
        for k, (a, b) in enumerate(couples)
    ]
    return Comparison(
        first.data,
        first.fingerprint,
        first.origin,
        first.classes,
        len(first.labels),
        len(groups),
        resamples,
        seed,
        tuple(evaluations),
        tuple(pairs),
    )


def _estimates(values: Sequence[float] | Floats, samples: Floats) -> dict[str, Estimate]:
    low, high = interval(samples, LEVEL)
    return {name: Estimate(float(values[k]), float(low[k]), float(high[k])) for k, name in enumerate(FIGURES)}


def _evaluation(
    predictions: Predictions, groups: npt.NDArray[np.str_], matrices: Counts, samples: Floats
) -> Evaluation:
    points = point_figures(predictions.labels, predictions.predicted)
    hits = matrices.diagonal(axis1=1, axis2=2).sum(1)
    rois = matrices.sum((1, 2))
    return Evaluation(
        predictions.recipe,
        _estimates([points[name] for name in FIGURES], samples),
        wilson(int(hits.sum()), int(rois.sum()), LEVEL),
        matrices.sum(0).tolist(),
        {str(name): (int(n), int(h)) for name, n, h in zip(groups, rois, hits, strict=True)},
    )


def _pair(
    names: tuple[str, str], matrices: tuple[Counts, Counts], samples: Floats, p: Floats, adjusted: Floats, decided: bool
) -> Pair:
    totals = [matrix.sum(0) for matrix in matrices]
    difference = figures_of(totals[0]) - figures_of(totals[1])
    left: dict[str, tuple[float, float]] = {}
    if len(matrices[0]) > 1:
        without = figures_of(totals[0] - matrices[0]) - figures_of(totals[1] - matrices[1])
        left = {name: (float(without[:, k].min()), float(without[:, k].max())) for k, name in enumerate(FIGURES)}
    judge = {True: "differs", False: "no difference shown"}
    return Pair(
        names[0],
        names[1],
        _estimates(difference, samples),
        {name: float(p[k]) for k, name in enumerate(FIGURES)} if decided else {},
        {name: float(adjusted[k]) for k, name in enumerate(FIGURES)} if decided else {},
        left,
        {name: judge[bool(adjusted[k] < 1 - LEVEL)] if decided else "undecided" for k, name in enumerate(FIGURES)},
    )
