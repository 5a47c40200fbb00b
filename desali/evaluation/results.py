"""What a comparison of models holds: metrics with their intervals, in a form that JSON can keep."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

from desali.data.imageset import independent
from desali.evaluation.calibration import Reliability
from desali.evaluation.statistics import METRICS
from desali.output import summary
from desali.output.decode import decode

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
PRIMARY = "macro F1"
"""The metric that decides, named before anything is run; all others are secondary."""
UNIT_METRICS = (*METRICS, "macro AUROC", "macro average precision")
"""Metrics in [0, 1] whose interval is on the logit scale."""
CALIBRATION_ERRORS = ("ECE", "class-wise ECE")
LEAST_PATIENTS = 10
"""With fewer patients no test can decide (five sign flips cannot go below p = 0.06)."""
TESTED = (*METRICS, "Brier score", "log loss")
"""Metrics whose difference is tested by patient-level sign flips; the others have an interval of the difference."""
RECIPES = "recipes"
THESE_TRAININGS = "these trainings"


@dataclass(frozen=True)
class Estimate:
    """A metric, or a difference of two, and its 95 % interval; `low` and `high` are None where there is none.

    One patient has no interval, nor has a metric of a class that lives in one patient alone.
    """

    value: float
    low: float | None
    high: float | None

    @property
    def ends(self) -> tuple[float, float] | None:
        """The interval, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def estimate(value: float, low: float, high: float) -> Estimate:
    """An estimate whose interval is missing where it is not finite."""
    known = isfinite(low) and isfinite(high)
    return Estimate(float(value), float(low) if known else None, float(high) if known else None)


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
        metrics: "recall", "precision", "F1", "AUROC", "average precision" -> estimate; empty if it has no ROI, and
            without "AUROC" if there is no other class. A class of one patient has values without intervals.
    """

    support: int
    patients: int
    largest: int
    metrics: dict[str, Estimate]


@dataclass(frozen=True)
class Evaluation:
    """One model on the evaluation set: the mean over its trainings.

    Attributes:
        recipe: its name.
        seeds: of its trainings.
        metrics: `ALL_METRICS` -> estimate; without those that the data do not define (AUROC of a single class).
            Intervals are over patients, for the mean of these trainings.
        bias_corrected: the `CALIBRATION_ERRORS` without the bias that the bootstrap finds, at least 0.
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
    bias_corrected: dict[str, float]
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
        scope: what a sentence about the pair may be about: "recipes" where both were trained at least twice, else
            "these trainings".
        paired_trainings: whether trainings were tested and drawn in pairs, since they share seeds or stages.
        differences: metric -> difference and the 95 % interval that goes with the verdict: it leaves out 0 exactly
            where `p` is below 0.05. For recipes it reaches over the intervals by patients, by trainings and by both.
        over_patients: the interval for these trainings: inverted sign flips from six patients on, else (and for metrics
            that are not tested) the jackknife's.
        jackknife: delete-one-patient jackknife with Student's t, beside it.
        over_trainings: Student's t over the trainings, for these patients; empty unless the scope is recipes.
        crossed: percentile interval of the crossed bootstrap over patients and trainings; empty like `over_trainings`.
        p: metric -> the p-value that decides, the largest of those below; empty with fewer than ten patients.
        p_patients, p_trainings, p_crossed: by sign flips of patients, by trainings, and by the crossed bootstrap.
        p_holm: `p`, adjusted by Holm's rule over all pairs (each metric is a family of its own).
        leave_one_out: metric -> least and greatest difference when one patient is left out.
        verdict: metric -> "differs" (adjusted p below 0.05), "no difference shown" or "undecided" (too few patients).
        clustered_mcnemar: of the accuracies of these trainings; None with fewer than ten patients.
        mcnemar_ignoring_patients: for each two trainings in order; empty with fewer than ten patients.
    """

    first: str
    second: str
    scope: str
    paired_trainings: bool
    differences: dict[str, Estimate]
    over_patients: dict[str, Estimate]
    jackknife: dict[str, Estimate]
    over_trainings: dict[str, Estimate]
    crossed: dict[str, Estimate]
    p: dict[str, float]
    p_patients: dict[str, float]
    p_trainings: dict[str, float]
    p_crossed: dict[str, float]
    p_holm: dict[str, float]
    leave_one_out: dict[str, tuple[float, float]]
    verdict: dict[str, str]
    clustered_mcnemar: ClusteredTest | None
    mcnemar_ignoring_patients: tuple[UnclusteredTest, ...]

    def sentence(self, metric: str = PRIMARY) -> str:
        """The verdict, and about what it is."""
        found = self.verdict.get(metric)
        if found is None:
            return "not tested"
        if found == "undecided" or self.scope == RECIPES:
            return found
        return "these trainings differ" if found == "differs" else f"{found} between these trainings"


@dataclass(frozen=True, repr=False)
class Comparison:
    """Several models on one evaluation set.

    Attributes:
        data: name of the image set; `fingerprint` is its SHA-256, `origin` says where its images come from.
        classes: class names in the order of the confusion matrices.
        rois: number of images, of so many `patients`.
        primary: the metric that decides; all others are secondary.
        resamples: bootstrap resamples of the patients, drawn from `seed`, for calibration errors and, crossed with the
            trainings, for pairs; average precision and the curves have the first `curve_resamples` of them.
        notes: what a reader must know of these data: classes in few patients, classes that a fold did not train on.
        evaluations: one a model, in the order given; `pairs` holds every two of them.
        unit_of_split: what `patients` are; `parameters` of the image set say whether they are independent units.
    """

    data: str
    fingerprint: str
    origin: str
    classes: tuple[str, ...]
    rois: int
    patients: int
    primary: str
    resamples: int
    curve_resamples: int
    seed: int
    notes: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]
    pairs: tuple[Pair, ...]
    unit_of_split: str = "patient"
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether it is known whose the images are; else each counts as its own, though several may be of one."""
        return independent(self.unit_of_split, self.parameters)

    @property
    def decided(self) -> bool:
        """Whether there are patients enough for a test to decide."""
        return self.known and self.patients >= LEAST_PATIENTS

    @property
    def lack(self) -> str:
        """What is missing to decide, in a few words; "" where nothing is."""
        if not self.known:
            return "patients not known"
        return "" if self.decided else f"fewer than {LEAST_PATIENTS} {self.unit_of_split}s"

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

    @classmethod
    def from_dict(cls, value: Any) -> Comparison:
        """What `to_dict` gave.

        Raises:
            DecodeError: a value that is missing or of another type.
        """
        return decode(cls, value)
