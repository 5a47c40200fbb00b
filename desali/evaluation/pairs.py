"""Every two models on the same ROIs: differences with intervals, tests over patients and trainings, verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import isnan, lcm

import numpy as np

from desali.data.imageset import independent
from desali.evaluation.flips import BOUNDED_PATIENTS, Flipped, flip_matrices, flip_sums
from desali.evaluation.jackknife import NONE, t_interval, t_quantile
from desali.evaluation.models import Model
from desali.evaluation.paired import Clustered, clustered_mcnemar, holm, mcnemar
from desali.evaluation.results import (
    ALL_METRICS,
    LEAST_PATIENTS,
    RECIPES,
    TESTED,
    THESE_TRAININGS,
    UNIT_METRICS,
    ClusteredTest,
    Estimate,
    Pair,
    UnclusteredTest,
    estimate,
)
from desali.evaluation.statistics import METRICS, Counts, Floats
from desali.evaluation.trainings import LEAST_TRAININGS, crossed, hull, of_samples, over_trainings, pairing, rejected


@dataclass(frozen=True)
class Measured:
    """A model's metrics, of all patients and without each of them.

    Attributes:
        model: the trainings of one recipe.
        points: metric -> [trainings, 1].
        without: metric -> [trainings, patients]; without any with one patient.
        class_points, class_without: metric of a class -> [classes, 1] and [classes, patients].
    """

    model: Model
    points: dict[str, Floats]
    without: dict[str, Floats]
    class_points: dict[str, Floats]
    class_without: dict[str, Floats]


@dataclass
class _Found:
    """What is found about a pair, metric by metric."""

    difference: dict[str, float] = field(default_factory=dict)
    deciding: dict[str, Estimate] = field(default_factory=dict)
    patients: dict[str, Estimate] = field(default_factory=dict)
    jackknife: dict[str, Estimate] = field(default_factory=dict)
    trainings: dict[str, Estimate] = field(default_factory=dict)
    crossed: dict[str, Estimate] = field(default_factory=dict)
    p_patients: dict[str, float] = field(default_factory=dict)
    p_trainings: dict[str, float] = field(default_factory=dict)
    p_crossed: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, tuple[float, float]] = field(default_factory=dict)

    def p(self) -> dict[str, float]:
        """The largest p-value of each tested metric: all tests must reject."""
        tests = (self.p_patients, self.p_trainings, self.p_crossed)
        return {name: max(test[name] for test in tests if name in test) for name in self.p_patients}


def compare_pairs(measured: Sequence[Measured], weights: Counts, curve_weights: Counts, seed: int) -> tuple[Pair, ...]:
    """Every two of `measured`, in order.

    Args:
        measured: the models.
        weights: how often each resample holds each patient [b, patients]; `curve_weights` for average precision.
        curve_weights: see `Model.metrics`.
        seed: of the sign flips and of the drawing of trainings.
    """
    couples = list(combinations(measured, 2))
    if not couples:
        return ()
    several = sum(len(one.model.trainings) >= LEAST_TRAININGS for one in measured) > 1
    sampled = {}
    for one in measured:
        if several and len(one.model.trainings) >= LEAST_TRAININGS:
            sampled[one.model.recipe] = one.model.metrics(weights, curve_weights)[0]
    about = measured[0].model.trainings[0]
    known = independent(about.unit_of_split, about.parameters)
    decided = known and len(measured[0].model.patients) >= LEAST_PATIENTS
    found = [_pair(one, other, sampled, seed) for one, other in couples]
    p = [one.p() if decided else {} for one in found]
    adjusted = {name: holm([one[name] for one in p]) for name in (TESTED if decided else ())}
    tests = [
        clustered_mcnemar(one.model.correct - other.model.correct) if decided else Clustered(0.0, 1.0)
        for one, other in couples
    ]
    clustered_adjusted = holm([test.p for test in tests])
    result = []
    for k, (one, other) in enumerate(couples):
        first, second, mine = one.model, other.model, found[k]
        p_holm = {name: float(values[k]) for name, values in adjusted.items()}
        result.append(
            Pair(
                first.recipe,
                second.recipe,
                RECIPES if mine.trainings else THESE_TRAININGS,
                bool(mine.trainings) and pairing(first, second) is not None,
                mine.deciding,
                mine.patients,
                mine.jackknife,
                mine.trainings,
                mine.crossed,
                p[k],
                mine.p_patients if decided else {},
                mine.p_trainings if decided else {},
                mine.p_crossed if decided else {},
                p_holm,
                mine.left_out,
                {name: _verdict(p_holm.get(name)) for name in TESTED},
                ClusteredTest(*tests[k], float(clustered_adjusted[k])) if decided else None,
                _unclustered(first, second) if decided else (),
            )
        )
    return tuple(result)


def _verdict(p: float | None) -> str:
    if p is None:
        return "undecided"
    return "differs" if rejected(p) else "no difference shown"


def _pair(one: Measured, other: Measured, sampled: dict[str, dict[str, Floats]], seed: int) -> _Found:
    found = _Found()
    first, second = one.model, other.model
    flipped = flips_of(first, second, seed)
    both = first.recipe in sampled and second.recipe in sampled
    pairs = pairing(first, second)
    rois = len(first.labels)
    for name in ALL_METRICS:
        value = float(one.points[name].mean() - other.points[name].mean())
        if isnan(value):
            continue
        without = one.without[name].mean(0) - other.without[name].mean(0)
        jackknife = t_interval(value, without)
        patients, p = jackknife, None
        if name in flipped:
            p, *ends = (float(part) for part in flipped[name])
            if len(first.patients) >= BOUNDED_PATIENTS:
                patients = np.array(ends)
        if name in UNIT_METRICS:
            patients, jackknife = (_widened(value, ends, rois, len(without)) for ends in (patients, jackknife))
            patients, jackknife = (np.clip(ends, -1, 1) for ends in (patients, jackknife))
        found.jackknife[name] = estimate(value, *map(float, jackknife))
        found.patients[name] = found.deciding[name] = estimate(value, *map(float, patients))
        if p is not None:
            found.p_patients[name] = p
        known = without[~np.isnan(without)]
        if len(known):
            found.left_out[name] = (float(known.min()), float(known.max()))
        if both:
            by_training = over_trainings(one.points[name], other.points[name], pairs, rois)
            samples = crossed(sampled[first.recipe][name], sampled[second.recipe][name], pairs, seed)
            by_both = of_samples(samples)
            trainings = np.array([by_training.low[0], by_training.high[0]])
            if name in UNIT_METRICS:
                trainings = np.clip(trainings, -1, 1)
            found.trainings[name] = estimate(value, *map(float, trainings))
            found.crossed[name] = estimate(value, float(by_both.low), float(by_both.high))
            if p is not None:
                found.p_trainings[name] = float(by_training.p[0])
                found.p_crossed[name] = float(by_both.p)
            if found.patients[name].ends is not None:  # one patient has no interval, however many trainings
                reach = hull((patients[0], patients[1]), (trainings[0], trainings[1]), (by_both.low, by_both.high))
                found.deciding[name] = estimate(value, *map(float, reach))
    return found


def flips_of(first: Model, second: Model, seed: int) -> dict[str, Flipped]:
    """`TESTED` -> p-value and interval of sign flips over patients, of the mean of these trainings."""
    metrics = flip_matrices(first.matrices, second.matrices, seed=seed)
    result = {name: Flipped(*(part[k] for part in metrics)) for k, name in enumerate(METRICS)}
    for name in TESTED[len(METRICS) :]:
        apart = first.scores[name].mean(0) - second.scores[name].mean(0)
        result[name] = flip_sums(apart, first.rois, seed=seed)
    return result


def _widened(value: float, ends: Floats, rois: int, patients: int) -> Floats:
    """An interval without width, where all patients differ by the same, as wide as independent ROIs make it.

    Models that answer alike differ by 0 for certain. If one is always right and the other always wrong, the nearer end
    is the rule of three on patients. It never reaches over 0, where the test says otherwise.
    """
    size = abs(value)
    if size < NONE or patients < 2 or not ends[1] - ends[0] < NONE:
        return ends
    if size > 1 - NONE:
        near, far = 0.05 ** (1 / patients), 1.0
    else:
        half = float(t_quantile(patients - 1)) * np.sqrt(size * (1 - size) / rois)
        near, far = max(size - half, size / 1000), min(size + half, 1.0)
    return np.array([near, far]) if value > 0 else np.array([-far, -near])


def _unclustered(one: Model, other: Model) -> tuple[UnclusteredTest, ...]:
    result = []
    for k in range(lcm(len(one.trainings), len(other.trainings))):
        a, b = one.trainings[k % len(one.trainings)], other.trainings[k % len(other.trainings)]
        result.append(UnclusteredTest(a.seed, b.seed, *mcnemar(a.correct, b.correct)))
    return tuple(result)
