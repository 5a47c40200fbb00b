"""Predictions for tests: random, with patients that show few classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desali.evaluation.models import Model
from desali.evaluation.predictions import Predictions


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def random_predictions(
    recipe: str = "one", seed: int = 0, *, rois: int = 240, patients: int = 12, classes: int = 3, skill: float = 1.0
) -> Predictions:
    """`seed` is the training's; labels and patients are the same for all."""
    fixed = np.random.default_rng(99)
    patient = fixed.integers(0, patients, rois)
    labels = ((patient + fixed.integers(0, 2, rois)) % classes).astype(np.int64)
    rng = np.random.default_rng([seed, *recipe.encode()])
    logits = rng.normal(size=(rois, classes))
    logits[np.arange(rois), labels] += skill
    return Predictions(
        recipe, softmax(logits), labels, np.array([f"P{p:02d}" for p in patient]), tuple("abcdefg"[:classes]),
        "made up", "0" * 64, "synthetic", seed, (patient % 4).astype(np.int64),
    )  # fmt: skip


def changed(one: Predictions, **fields: object) -> Predictions:
    """A copy with other fields."""
    return Predictions(**{**vars(one), **fields})


def certain(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], patients: npt.NDArray[np.str_], classes: int
) -> Model:
    """A model that is certain of every class that it predicts."""
    return Model(
        [
            Predictions(
                "certain", np.eye(classes, dtype=np.float32)[predicted], truth, patients, tuple("abcdefg"[:classes]),
                "made up", "0" * 64, "synthetic",
            )
        ]
    )  # fmt: skip
