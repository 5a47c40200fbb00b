"""Linear probes: how well the classes can be told from a layer, by patients that the probe has not seen.

Linear discriminant analysis with equal priors on the means and maxima of a layer's channels. The common covariance is
that of the images around their class means, each descriptor scaled by its deviation there, shrunk towards the identity
by Ledoit and Wolf's formula ("A well-conditioned estimator for large-dimensional covariance matrices", 2004). There are
more descriptors than images, so all is solved in the space of images (Woodbury): thousands of channels in milliseconds.
Folds keep every patient's images together.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.comparison.score import Score, number, row
from desali.evaluation.statistics import metrics_of

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FOLDS = 5
TRIES = 20
LEAST_SHRINKAGE = 1e-6
CONSTANT = 1e-6
"""A deviation below this share of the mean, or within the classes of the whole one, is rounding of float32 signals."""
BALANCED = 1
"""Balanced accuracy among `evaluation.statistics.METRICS`."""


@dataclass(frozen=True, eq=False)
class Probe(Score):
    """Balanced accuracy of a layer's linear probe on patients that it has not seen.

    Attributes:
        input: that of the same probe on mean and standard deviation of the input's channels.
        classes: how many; chance is 1 / classes.
    """

    input: float
    classes: int

    @property
    def chance(self) -> float:
        """Balanced accuracy of guessing."""
        return 1 / self.classes

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return {
            "random_networks": [number(value) for value in self.null],
            "replicates": [number(value) for value in self.replicate],
        }


def columns(probe: Probe | None) -> dict[str, Any]:
    """Flat columns of a row."""
    return {
        **row("probe", probe),
        "probe_input": None if probe is None else probe.input,
        "probe_chance": None if probe is None else probe.chance,
    }


@dataclass(frozen=True, eq=False)
class Task:
    """What every probe of a comparison is asked.

    Attributes:
        used: images of the classes that at least two patients have [n].
        labels: class of each used image [m], from 0.
        blocks: block of patients of each used image [m], from 0.
        held: the images of each fold, among the used ones.
        left_out: classes that only one patient has.
    """

    used: Bools
    labels: Integers
    blocks: Integers
    held: list[Integers]
    left_out: int

    @property
    def classes(self) -> int:
        """How many are told apart."""
        return int(self.labels.max()) + 1


def task(labels: Integers, patients: Integers, blocks: Integers) -> Task | None:
    """The folds of a comparison; None where fewer than two classes have two patients each.

    Args:
        labels, patients, blocks: of each image [n], whole numbers.

    Raises:
        ImportError: without scikit-learn.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    owners = [len(np.unique(patients[labels == label])) for label in range(int(labels.max()) + 1)]
    kept = [label for label, count in enumerate(owners) if count >= 2]
    if len(kept) < 2:
        return None
    used = np.isin(labels, kept)
    own, groups = np.searchsorted(kept, labels[used]), patients[used]
    count = min(FOLDS, len(np.unique(groups)), int(np.bincount(own).max()))
    best: tuple[int, list[Integers]] | None = None
    for seed in range(TRIES):  # a class whose patients all fall into one fold could not be learned there
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds
            folds = [np.asarray(fold, np.int64) for _, fold in splitter.split(own, own, groups)]
        folds = [fold for fold in folds if len(fold)]
        missing = sum(len(kept) - len(np.unique(np.delete(own, fold))) for fold in folds)
        if best is None or missing < best[0]:
            best = missing, folds
        if not missing:
            break
    assert best is not None
    block = np.unique(blocks[used], return_inverse=True)[1]
    return Task(used, own, np.asarray(block, np.int64), best[1], len(owners) - len(kept))


def balanced_accuracy(descriptors: Floats, asked: Task) -> tuple[float, Floats]:
    """Of held-out images, and the same without each block of patients in turn [B]; nothing is fitted again for that.

    Args:
        descriptors: of each image of the sample [n, p].
    """
    x = descriptors[asked.used]
    predicted = np.empty(len(x), np.int64)
    for fold in asked.held:
        rest = np.delete(np.arange(len(x)), fold)
        predicted[fold] = classify(x[rest], asked.labels[rest], x[fold])
    classes, blocks = asked.classes, int(asked.blocks.max()) + 1
    place = (asked.blocks * classes + asked.labels) * classes + predicted
    confusion = np.bincount(place, minlength=blocks * classes**2).reshape(blocks, classes, classes)
    whole = confusion.sum(0)
    left_out = metrics_of(whole - confusion)[:, BALANCED] if blocks > 1 else np.zeros(0)
    return float(metrics_of(whole)[BALANCED]), left_out


def classify(x: Floats, labels: Integers, asked: Floats) -> Integers:
    """The class of each asked image [k] by shrinkage discriminant analysis.

    Args:
        x: descriptors of the images to learn from [m, p].
        labels: their classes [m].
        asked: [k, p].
    """
    known = np.unique(labels)
    scores = discriminants(x, np.searchsorted(known, labels), asked)
    return np.asarray(known[scores.argmax(1)])


def discriminants(x: Floats, labels: Integers, asked: Floats) -> Floats:
    """Discriminant of each class [k, classes]: the largest one wins; labels run from 0 without a gap."""
    middle = x.mean(0)
    varies = x.std(0) > CONSTANT * np.abs(middle)
    x, asked = x[:, varies] - middle[varies], asked[:, varies] - middle[varies]
    p = x.shape[1]
    counts = np.bincount(labels)
    if not p or len(x) <= len(counts):  # nothing varies, or no two images are of one class
        return np.zeros((len(asked), len(counts)))
    member = np.zeros((len(x), len(counts)))
    member[np.arange(len(x)), labels] = 1
    means = member.T @ x / counts[:, None]
    around = x - means[labels]
    scale = np.maximum(around.std(0), CONSTANT * x.std(0))
    around, means, asked = around / scale, means / scale, asked / scale
    products = around @ around.T
    shrinkage, size = _ledoit_wolf(products, p)
    # covariance = (1 - s) R'R / m + s t I with R = around; its inverse in the space of images
    ridge = len(x) * shrinkage * size
    inner = ridge * np.eye(len(x)) + (1 - shrinkage) * products
    solved = np.linalg.solve(inner, around @ means.T)
    weights = (means.T - (1 - shrinkage) * (around.T @ solved)) / (shrinkage * size)
    return np.asarray(asked @ weights - 0.5 * (means.T * weights).sum(0))


def _ledoit_wolf(products: Floats, p: int) -> tuple[float, float]:
    """Shrinkage in (0, 1] and mean variance, of the images' products X X' [m, m] of centred X [m, p]."""
    m = len(products)
    square = np.diagonal(products)
    size = float(square.sum()) / (m * p)
    total = float((products**2).sum()) / m**2  # ||S||^2
    noise = (float((square**2).sum()) / m - total) / m
    distance = total - p * size**2
    shrinkage = min(noise, distance) / distance if distance > 0 else 1.0
    return min(1.0, max(LEAST_SHRINKAGE, shrinkage)), max(size, np.finfo(np.float64).tiny)
