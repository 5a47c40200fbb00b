"""What a comparison of models holds: metrics with their intervals, in a form that JSON can keep."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from desali.evaluation.calibration import Reliability
from desali.evaluation.statistics import METRICS
from desali.output import summary

PROBABILITY_METRICS = (
    "macro AUROC",
    "macro average precision",
    "Brier score",
    "log loss",
    "ECE",
    "class-wise ECE",
)
"""Metrics of the probabilities; of the last four, less is better."""
ALL_METRICS = METRICS + PROBABILITY_METRICS
LEAST_PATIENTS = 10
"""With fewer patients no test can decide (five sign flips cannot go below p = 0.06)."""
TESTED = (*METRICS, "Brier score", "log loss")
"""Metrics whose difference is tested by patient-level sign flips; the others have an interval of the difference."""


@dataclass(frozen=True)
class Estimate:
    """A metric and its 95 % interval from the bootstrap over patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """A metric over the trainings (seeds) of a recipe; `sd` is the sample standard deviation, 0 for one training."""

    least: float
    greatest: float
    sd: float


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest.

    Attributes:
        support: its ROIs.
        patients: in how many patients it occurs.
        largest: the most of its ROIs that are of one patient.
        resampled: share of the resamples in which it occurs; the intervals below are over these.
        metrics: "recall", "precision", "F1", "AUROC", "average precision" -> estimate; empty if it has no ROI, and
            without "AUROC" if there is no other class.
    """

    support: int
    patients: int
    largest: int
    resampled: float
    metrics: dict[str, Estimate]


@dataclass(frozen=True)
class Evaluation:
    """One model on the evaluation set: the mean over its trainings.

    Attributes:
        recipe: its name.
        seeds: of its trainings.
        metrics: `ALL_METRICS` -> estimate; without those that the data do not define (AUROC of a single class).
        spread: the same metrics over the trainings.
        accuracy_wilson: 95 % Wilson interval of the accuracy, which ignores that ROIs of one patient are alike.
        confusion: [true class][predicted class] ROIs, the mean over the trainings.
        patients: patient -> (ROIs, correct ROIs as the mean over the trainings).
        classes: class name -> its metrics.
        reliability: accuracy against confidence.
        folds: how many folds the predictions are pooled over; 1 for one held-out set.
    """

    recipe: str
    seeds: tuple[int, ...]
    metrics: dict[str, Estimate]
    spread: dict[str, Spread]
    accuracy_wilson: tuple[float, float]
    confusion: list[list[float]]
    patients: dict[str, tuple[int, float]]
    classes: dict[str, ClassMetrics]
    reliability: Reliability
    folds: int


@dataclass(frozen=True)
class ClusteredTest:
    """Clustered McNemar test (Obuchowski 1998): chi-squared, its p-value, and that adjusted by Holm over the pairs."""

    statistic: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class UnclusteredTest:
    """Plain exact McNemar of one training of each model; it ignores that ROIs of one patient are alike.

    `only_first` and `only_second` are the ROIs that one model alone classifies correctly.
    """

    first_seed: int
    second_seed: int
    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class Pair:
    """`first` minus `second` on the same ROIs; metrics are means over the trainings.

    Attributes:
        differences: metric -> difference with its 95 % interval, both models resampled together.
        p: metric -> two-sided p-value of patient-level sign flips; empty with fewer than ten patients.
        p_holm: the same, adjusted by Holm's rule over all pairs (each metric is a family of its own).
        leave_one_out: metric -> least and greatest difference when one patient is left out.
        verdict: metric -> "differs" (adjusted p below 0.05), "no difference shown" or "undecided" (too few patients).
        clustered_mcnemar: of the accuracies; None with fewer than ten patients.
        mcnemar_ignoring_patients: for each two trainings in order; empty with fewer than ten patients.
    """

    first: str
    second: str
    differences: dict[str, Estimate]
    p: dict[str, float]
    p_holm: dict[str, float]
    leave_one_out: dict[str, tuple[float, float]]
    verdict: dict[str, str]
    clustered_mcnemar: ClusteredTest | None
    mcnemar_ignoring_patients: tuple[UnclusteredTest, ...]


@dataclass(frozen=True, repr=False)
class Comparison:
    """Several models on one evaluation set.

    Attributes:
        data: name of the image set; `fingerprint` is its SHA-256, `origin` says where its images come from.
        classes: class names in the order of the confusion matrices.
        rois: number of images, of so many `patients`.
        resamples: bootstrap resamples of the patients, drawn from `seed`; average precision and the curves have the
            first `curve_resamples` of them.
        notes: what a reader must know of these data: classes in few patients, classes that a fold did not train on.
        evaluations: one a model, in the order given; `pairs` holds every two of them.
    """

    data: str
    fingerprint: str
    origin: str
    classes: tuple[str, ...]
    rois: int
    patients: int
    resamples: int
    curve_resamples: int
    seed: int
    notes: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]
    pairs: tuple[Pair, ...]

    def _facts(self) -> summary.Facts:
        return [
            ("models", summary.names([evaluation.recipe for evaluation in self.evaluations])),
            ("images", str(self.rois)),
            ("patients", str(self.patients)),
            ("classes", str(len(self.classes))),
            ("pairs", str(len(self.pairs))),
            ("resamples", str(self.resamples)),
        ]

    def __repr__(self) -> str:
        (_, models), *rest = self._facts()
        return summary.line("Comparison", f"{models} on {self.data}", rest)

    def _repr_html_(self) -> str:
        more = [("names", summary.names(self.classes)), ("origin", self.origin)]
        return summary.table("Comparison", f"on {self.data}", [*self._facts(), *more])

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return asdict(self)
