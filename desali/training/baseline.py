"""Conventional classifiers to stand beside the networks: an SVM on texture features, the same on four first-order
statistics, and thresholds on HU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.errors import DataError
from desali.evaluation.predictions import Predictions
from desali.training.splits import most_folds, stratified_folds
from desali.training.texture_features import texture_features

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet, Unit

TEXTURE_BASELINE = "texture features + SVM"
FIRST_ORDER_BASELINE = "first-order statistics"
THRESHOLD_BASELINE = "HU thresholds"

PENALTIES = (0.1, 1.0, 10.0, 100.0)
"""Values of C that are tried."""
WIDTHS = (0.1, 0.3, 1.0, 3.0)
"""Values of gamma that are tried, divided by the number of features (features are standardised)."""
INNER_FOLDS = 5
HU_CUTS = (-950, -910, -856, -700, -600, -500, -250)
"""Features of the thresholds: the fraction of pixels below each. -950, -910 and -856 are those of emphysema and trapped
air in densitometry; from -700 and -600 up tissue counts as dense (high attenuation areas: -600 to -250)."""
DEPTH = 3
"""Thresholds that one decision passes at most."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue (ITU-R BT.601)."""

Floats = npt.NDArray[np.float64]
Baseline = Callable[["ImageSet", "ImageSet", int], Predictions]
"""(training images, images to predict, seed) -> predictions under the baseline's own name."""


def texture_baseline(train: ImageSet, test: ImageSet, seed: int = 0) -> Predictions:
    """A support vector machine on `texture_features`, named "texture features + SVM".

    Features are standardised on `train`. The SVM has an RBF kernel and weighs classes by the inverse of their
    frequency, as the networks draw class-balanced batches. C and gamma are those of the best balanced accuracy in a
    cross-validation inside `train` that keeps patients together (5 folds, or as many as there are patients;
    predictions pooled; the smaller C, then gamma, of equals). Probabilities are the softmax of the one-vs-rest
    decision values times a factor (temperature scaling, Guo et al. 2017) that minimises the class-balanced log loss of
    the decision values from the same cross-validation, so the most probable class is the SVM's own. With one patient
    there is no cross-validation: C = 1, gamma = 1 / features, factor 1.

    Args:
        train: images to learn from; `test` is not looked at before the prediction.
        test: images to predict, of the same unit and classes.
        seed: of the folds; also kept as the predictions' seed.

    Raises:
        DataError: other classes or units, patients on both sides, nothing to learn from. DesaliError: scikit-learn or
            scikit-image is not installed.
    """
    _check(train, test)
    return _support_vectors(train, test, seed, TEXTURE_BASELINE, texture_features)


def first_order_baseline(train: ImageSet, test: ImageSet, seed: int = 0) -> Predictions:
    """The same machine as `texture_baseline` on four numbers, named "first-order statistics".

    They are mean, standard deviation, minimum and maximum of each image: nothing of where in the image a value stands.
    What this reaches is what density alone tells; a network that is no better has learned no pattern.

    Args, raises: see `texture_baseline`.
    """
    _check(train, test)
    return _support_vectors(train, test, seed, FIRST_ORDER_BASELINE, first_order_statistics)


def first_order_statistics(images: ImageSet) -> Floats:
    """Mean, standard deviation, minimum and maximum of each image [n, 4]: HU, or the luma of display values 0-255."""
    values = images.images.astype(np.float64)
    values = (values @ LUMA if values.ndim == 4 else values).reshape(len(images), -1)
    return np.stack([values.mean(1), values.std(1), values.min(1), values.max(1)], axis=1)


def _support_vectors(
    train: ImageSet, test: ImageSet, seed: int, name: str, describe: Callable[[ImageSet], Floats]
) -> Predictions:
    """A support vector machine on what `describe` makes of the images; see `texture_baseline`."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    features = describe(train)
    options: dict[str, Any] = {"C": 1.0, "gamma": 1 / features.shape[1]}
    factor = 1.0
    best = -1.0
    folds = _inner_folds(train, seed)

    def machine(chosen: dict[str, Any]) -> Any:
        return make_pipeline(StandardScaler(), SVC(class_weight="balanced", cache_size=500, **chosen))

    for penalty in PENALTIES if folds else ():
        for width in WIDTHS:
            chosen = {"C": penalty, "gamma": width / features.shape[1]}
            values = np.full((len(train), len(train.classes)), np.nan)
            for learn, held in folds:
                values[held] = _decision(machine(chosen), features, train, learn, features[held])
            merit = _balanced_accuracy(train.labels, values)
            if merit > best + 1e-12:
                best, options, factor = merit, chosen, _temperature(train.labels, values)
    everything = np.arange(len(train))
    values = _decision(machine(options), features, train, everything, describe(test))
    return Predictions.of(test, name, _softmax(factor * values).astype(np.float32), seed)


def threshold_baseline(train: ImageSet, test: ImageSet, seed: int = 0) -> Predictions:
    """Thresholds on the HU histogram, named "HU thresholds": where labels are cuts on it, the ceiling of every model.

    A decision tree of depth 3 (at most three thresholds on the way to a decision) on the fractions of pixels below
    `HU_CUTS`, with classes weighed by the inverse of their frequency. Probabilities are the leaf's weighed class
    frequencies, smoothed by one ROI of weight spread over the classes.

    Args:
        train: images in HU to learn from.
        test: images in HU to predict, of the same classes.
        seed: kept as the predictions' seed; the tree itself is deterministic.

    Raises:
        DataError: images that are not in HU, other classes, patients on both sides, nothing to learn from.
    """
    _check(train, test)
    if train.unit != "hu":
        raise DataError(f"{train.name}: thresholds on HU need images in Hounsfield units, these are {train.unit}")
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_depth=DEPTH, class_weight="balanced", random_state=0)
    features = hu_fractions(train)
    tree.fit(features, train.labels)
    _, counts = np.unique(train.labels, return_counts=True)
    weight = len(train) / (len(counts) * counts)  # of each class that occurs
    place = np.searchsorted(tree.classes_, train.labels)
    leaves, mass = tree.apply(features), np.zeros((tree.tree_.node_count, len(train.classes)))
    np.add.at(mass, (leaves, train.labels), weight[place])
    mass[:, tree.classes_] += 1 / len(counts)
    chosen = mass[tree.apply(hu_fractions(test))]
    probabilities = chosen / chosen.sum(1, keepdims=True)
    return Predictions.of(test, THRESHOLD_BASELINE, probabilities.astype(np.float32), seed)


def baselines_for(unit: Unit) -> dict[str, Baseline]:
    """The baselines by name that images in `unit` allow: the two SVMs always, thresholds on images in HU."""
    found: dict[str, Baseline] = {TEXTURE_BASELINE: texture_baseline, FIRST_ORDER_BASELINE: first_order_baseline}
    return {**found, THRESHOLD_BASELINE: threshold_baseline} if unit == "hu" else found


def baselines(train: ImageSet, test: ImageSet, seed: int = 0) -> list[Predictions]:
    """The predictions of every baseline that the images allow."""
    return [one(train, test, seed) for one in baselines_for(train.unit).values()]


def hu_fractions(images: ImageSet) -> Floats:
    """Fraction of each image's pixels below each of `HU_CUTS` [n, 7]."""
    pixels = images.images.reshape(len(images), -1)
    return np.stack([(pixels < cut).mean(1) for cut in HU_CUTS], axis=1)


def _check(train: ImageSet, test: ImageSet) -> None:
    if train.classes != test.classes or train.unit != test.unit:
        raise DataError(
            f"{train.name} ({train.unit}: {', '.join(train.classes)}) and {test.name} ({test.unit}: "
            f"{', '.join(test.classes)}) must be of the same unit and classes"
        )
    both = set(train.patients.tolist()) & set(test.patients.tolist())
    if both:
        raise DataError(
            f"{test.name}: {len(both)} patients (the first is {min(both)}) are also in {train.name}; split by patient"
        )
    if len(np.unique(train.labels)) < 2:
        raise DataError(f"{train.name}: holds images of {len(np.unique(train.labels))} classes, expected at least 2")
    if not len(test):
        raise DataError(f"{test.name}: holds no images to predict")


def _inner_folds(train: ImageSet, seed: int) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """(learn, held out) indices of a cross-validation by patient, without folds that leave fewer than two classes."""
    count = min(INNER_FOLDS, most_folds(train.labels, train.patients))
    if count < 2:
        return []
    folds = stratified_folds(train.labels, train.patients, count, seed)
    pairs = [(np.setdiff1d(np.arange(len(train)), held), held) for held in folds]
    return [(learn, held) for learn, held in pairs if len(held) and len(np.unique(train.labels[learn])) > 1]


def _decision(machine: Any, features: Floats, train: ImageSet, learn: npt.NDArray[np.int64], asked: Floats) -> Floats:
    """One-vs-rest decision values [m, classes]; -inf for a class that the learnt part lacks."""
    machine.fit(features[learn], train.labels[learn])
    values = machine.decision_function(asked)
    if values.ndim == 1:
        values = np.stack([-values, values], axis=1)
    result = np.full((len(asked), len(train.classes)), -np.inf)
    result[:, machine.classes_] = values
    return result


def _balanced_accuracy(labels: npt.NDArray[np.int64], values: Floats) -> float:
    """Mean recall over the classes, of the ROIs that a fold held out."""
    asked = ~np.isnan(values).any(1)
    right = values[asked].argmax(1) == labels[asked]
    return float(np.mean([right[labels[asked] == label].mean() for label in np.unique(labels[asked])]))


def _temperature(labels: npt.NDArray[np.int64], values: Floats) -> float:
    """The factor of least class-balanced log loss, between 0.01 and 100.

    ROIs of a class that their fold did not learn are left out.
    """
    from scipy.optimize import minimize_scalar

    own = values[np.arange(len(labels)), labels]
    known = np.isfinite(own)
    if not known.any():
        return 1.0
    chosen, truth = values[known], labels[known]
    _, place, counts = np.unique(truth, return_inverse=True, return_counts=True)
    weight = (1 / counts)[place]

    def loss(exponent: float) -> float:
        p = _softmax(np.exp(exponent) * chosen)[np.arange(len(truth)), truth]
        return float((weight * -np.log(np.maximum(p, 1e-12))).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.01), np.log(100)), method="bounded").x))


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))
