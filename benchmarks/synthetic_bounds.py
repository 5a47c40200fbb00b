"""What the synthetic target asks for: density alone must not tell its classes apart, texture must.

    python -m benchmarks.synthetic_bounds

For sets of the size that `desali demo` trains and evaluates on, and for larger ones, from several seeds: the balanced
accuracy of two support vector machines over folds of whole patients, one on mean, standard deviation, minimum and
maximum HU ("first-order statistics"), one on texture features. Both are tuned inside the training folds, by patient.
The domain is drawn so that the first stays below 0.60 and the second above 0.85; no network was looked at for that.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np

from desali.data import synthetic
from desali.data.imageset import ImageSet
from desali.training.baseline import Baseline, first_order_baseline, texture_baseline
from desali.training.splits import stratified_folds

FIRST_ORDER, TEXTURE = 0.60, 0.85
"""The two bounds: at most, at least."""
SIZES = {"as the demo's": (0.125, 1.0), "larger": (0.25, 1.0)}
"""Fractions of the published numbers of training and evaluation ROIs."""
SEEDS = (0, 1, 2)
FOLDS = 5


def pooled(seed: int, train: float, evaluation: float, floor: int = 60) -> ImageSet:
    """Training and evaluation ROIs of one seed as one set of 44 patients."""
    parts = synthetic.target(seed, train, evaluation, floor)
    return ImageSet(
        name="synthetic-target",
        images=np.concatenate([part.images for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        patients=np.concatenate([part.patients for part in parts]),
        classes=parts[0].classes,
        unit="hu",
        origin=parts[0].origin,
        parameters={"seed": seed, "train": train, "evaluation": evaluation, "floor": floor},
    )


def balanced_accuracy(images: ImageSet, baseline: Baseline, folds: int = FOLDS) -> float:
    """Mean recall over the classes, every patient predicted by a machine that did not see them."""
    predicted = np.full(len(images), -1)
    for held in stratified_folds(images.labels, images.patients, folds, 0):
        rest = np.setdiff1d(np.arange(len(images)), held)
        predicted[held] = baseline(images.subset(rest), images.subset(held), 0).probabilities.argmax(1)
    right = predicted == images.labels
    return float(np.mean([right[images.labels == label].mean() for label in np.unique(images.labels)]))


def measured(
    seeds: tuple[int, ...] = SEEDS, report: Callable[[str], None] = print
) -> Iterator[tuple[str, int, float, float]]:
    """Size, seed and the two balanced accuracies, reported as they come."""
    report(f"{'size':<14} {'seed':>4} {'ROIs':>5} {'first-order':>12} {'texture':>8}")
    for size, (train, evaluation) in SIZES.items():
        for seed in seeds:
            images = pooled(seed, train, evaluation)
            first, texture = (balanced_accuracy(images, one) for one in (first_order_baseline, texture_baseline))
            report(f"{size:<14} {seed:>4} {len(images):>5} {first:>12.3f} {texture:>8.3f}")
            yield size, seed, first, texture


def main() -> None:
    """Print the table and whether the bounds hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="of the data, with commas between")
    seeds = tuple(int(word) for word in parser.parse_args().seeds.split(","))
    rows = list(measured(seeds))
    for size in SIZES:
        first, texture = (float(np.mean([row[k] for row in rows if row[0] == size])) for k in (2, 3))
        holds = "both hold" if first < FIRST_ORDER and texture > TEXTURE else "NOT both hold"
        print(f"{size}: means {first:.3f} (below {FIRST_ORDER:.2f}) and {texture:.3f} (above {TEXTURE:.2f}): {holds}")


if __name__ == "__main__":
    main()
