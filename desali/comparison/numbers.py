"""The numbers by layer: class purity, linear probe and similarity of every network, from what one pass left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison import similarity
from desali.comparison.jackknife import difference_interval
from desali.comparison.probe import Probe, Task, balanced_accuracy, task
from desali.comparison.purity import STRONGEST, Purity, purities
from desali.comparison.score import Interval
from desali.comparison.similarity import Kernels, Similarity
from desali.evaluation.jackknife import NONE, logit_interval

if TYPE_CHECKING:
    from desali.comparison.descriptors import Descriptors
    from desali.comparison.following import Followed
    from desali.comparison.probe_set import ProbeSet

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Numbers:
    """What all layers' numbers share.

    Attributes:
        followed: what the pass left.
        labels, patients, blocks: of each image of the sample [n], whole numbers without a gap; no labels where the
            classes are not known or but one.
        task: of the probes; None without one.
        input_probe: balanced accuracy of a probe on the input's mean and deviation.
        kernels: to compare networks with.
        missing: what is missing and why, in sentences.
    """

    followed: Followed
    labels: Integers | None
    patients: Integers
    blocks: Integers
    task: Task | None
    input_probe: float
    kernels: Kernels
    missing: tuple[str, ...]

    def purity(self, layer: str) -> Purity | None:
        """Class purity of the strongest images of a layer's channels."""
        if self.labels is None:
            return None
        found = [
            purities(one.of(layer)[:, self.followed.layers[layer] :], self.labels, self.patients, self.blocks)
            for one in self._all()
        ]
        if found[0] is None:
            return None
        known = [one for one in found if one is not None]
        means = [float(np.nanmean(each)) if not np.isnan(each).all() else float("nan") for each, _ in known]
        return Purity(
            **_score(means, [left for _, left in known[:2]], len(self.labels), len(self.followed.random)),
            each_before=known[0][0],
            each_after=known[1][0],
        )

    def probe(self, layer: str) -> Probe | None:
        """Balanced accuracy of a layer's linear probe."""
        if self.task is None:
            return None
        from threadpoolctl import threadpool_limits  # scikit-learn brings it

        with threadpool_limits(1, user_api="blas"):  # for some hundred rows threads cost more than they give
            found = [balanced_accuracy(one.of(layer), self.task) for one in self._all()]
        return Probe(
            **_score(
                [value for value, _ in found],
                [left for _, left in found[:2]],
                len(self.task.labels),
                len(self.followed.random),
            ),
            input=self.input_probe,
            classes=self.task.classes,
        )

    def similarity(self, layer: str) -> Similarity:
        """CKA of a layer between the networks."""
        before, after, *others = (similarity.kernel(one.of(layer)) for one in self._all())
        again, random = others[: len(self.followed.replicates)], others[len(self.followed.replicates) :]
        value, left_out = self.kernels.left_out(before, after)
        return Similarity(
            value=value,
            interval=_signed_interval(value, left_out, len(self.blocks)),
            null=tuple(self.kernels.similarity(one, after) for one in random),
            replicate=tuple(self.kernels.similarity(after, one) for one in again),
            repeated=tuple(self.kernels.similarity(before, one) for one in again),
        )

    def _all(self) -> list[Descriptors]:
        """Before, after, the replicates and the random networks."""
        again = [one.descriptors for one in self.followed.replicates]
        return [*self.followed.described, *again, *(one.descriptors for one in self.followed.random)]

    def to_dict(self) -> dict[str, Any]:
        """What the numbers rest on, JSON-serialisable."""
        return {
            "images": len(self.blocks),
            "purity": {"strongest": STRONGEST},
            "probe": None
            if self.task is None
            else {"classes": self.task.classes, "images": len(self.task.labels), "folds": len(self.task.held)},
            "similarity": "unbiased CKA, the input's kernels removed",
        }


def numbers(followed: Followed, probe: ProbeSet, classes: bool) -> Numbers:
    """Prepare the numbers of a comparison.

    Args:
        classes: whether purity and probes are wanted: if they cannot be had, it is said; if not, they are left out.
    """
    index = followed.sample
    patients = _numbered(probe.patients[index])
    blocks = _numbered(followed.block[index])
    missing: list[str] = []
    labels = None
    if classes and probe.labels is not None:
        labels = _numbered(np.array(probe.labels, np.str_)[index])
        if labels.max() == 0:
            labels = None
            missing.append("One class: class purity and linear probes need two, and are missing.")
    elif classes:
        missing.append("No classes: class purity and linear probes are missing (labels=, one of each image).")
    if labels is not None and len(index) < STRONGEST:
        missing.append(f"Class purity is missing: {len(index)} images are fewer than the {STRONGEST} strongest.")
    question = None
    if labels is not None:
        try:
            question = task(labels, patients, blocks)
        except ImportError:
            missing.append("Linear probes are missing: they need scikit-learn (pip install 'desali[train]').")
        else:
            missing += _left_out(question, probe)
    own = np.nan if question is None else balanced_accuracy(followed.inputs.moments, question)[0]
    if question is not None:
        missing.append(
            f"A probe on the input's mean and standard deviation alone reaches {own:.2f}, chance "
            f"{1 / question.classes:.2f}."
        )
    inputs = [
        similarity.kernel(followed.inputs.pixels, standardise=False),
        similarity.kernel(followed.inputs.moments),
    ]
    return Numbers(followed, labels, patients, blocks, question, own, Kernels(inputs, blocks), tuple(missing))


def _left_out(question: Task | None, probe: ProbeSet) -> list[str]:
    unit = probe.units.name
    if question is None:
        return [f"Linear probes are missing: fewer than two classes have two {unit}s each."]
    found = []
    if question.left_out:
        found.append(f"Linear probes leave out {question.left_out} classes that only one {unit} has.")
    if not probe.independent:
        found.append("Without patients a probe may be tested on patients that it has learned from: it shows too much.")
    return found


def _score(values: Sequence[float], left_out: Sequence[Floats], images: int, random: int) -> dict[str, Any]:
    """The fields of a score: of before, after, the replicates and the random networks, in this order."""
    return {
        "before": values[0],
        "after": values[1],
        "before_interval": _interval(values[0], left_out[0], images),
        "after_interval": _interval(values[1], left_out[1], images),
        "difference_interval": difference_interval(values[1] - values[0], left_out[1] - left_out[0]),
        "replicate": tuple(values[2 : len(values) - random]),
        "null": tuple(values[len(values) - random :]),
    }


def _interval(value: float, left_out: Floats, images: int) -> Interval:
    """Of a number in [0, 1]; None where it cannot be had."""
    low, high = (float(end) for end in logit_interval(value, left_out, images))
    return None if np.isnan(low) else (low, high)


def _signed_interval(value: float, left_out: Floats, images: int) -> Interval:
    """Of a number in [-1, 1]: that of (1 + value) / 2, turned back; equal networks are equal on all images."""
    if value >= 1 - NONE and (left_out >= 1 - NONE).all():
        return (1.0, 1.0) if len(left_out) > 1 else None
    found = _interval((1 + value) / 2, (1 + left_out) / 2, images)
    return None if found is None else (2 * found[0] - 1, 2 * found[1] - 1)


def _numbered(values: npt.NDArray[Any]) -> Integers:
    return np.asarray(np.unique(values, return_inverse=True)[1], np.int64)
