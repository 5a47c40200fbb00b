"""Predictions of trained recipes on images that no stage has seen, kept on disk beside the models."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.errors import DataError
from desali.files import atomic_path, write_json, write_text
from desali.models.checkpoint import RUNS, LoadedModel, find, load

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.training.comparison import Comparison

EVALUATION = "evaluation"


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one model says about a set of images.

    Attributes:
        recipe: the model's name.
        probabilities: float32 [n, classes], softmax of the logits.
        labels: int64 [n], the true classes.
        groups: str [n], the patients.
        classes: class names.
        data: name of the image set.
        fingerprint: SHA-256 of the image set.
        origin: where the images come from, e.g. "synthetic ...".
    """

    recipe: str
    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    data: str
    fingerprint: str
    origin: str

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The most probable class [n]; the first of equals."""
        return np.asarray(self.probabilities.argmax(1), np.int64)

    def save(self, path: Path) -> None:
        """Write an .npz file that `load_predictions` reads; atomic."""
        with atomic_path(path) as temporary:
            arrays: dict[str, Any] = {name: np.asarray(value) for name, value in vars(self).items()}
            np.savez_compressed(temporary, **arrays)


def load_predictions(path: Path) -> Predictions:
    """Read what `Predictions.save` wrote.

    Raises:
        DataError: missing, damaged, or not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            values: dict[str, Any] = {name: stored[name] for name in Predictions.__dataclass_fields__}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a file of predictions ({reason}); `desali evaluate` writes one") from error
    for name in ("recipe", "data", "fingerprint", "origin"):
        values[name] = str(values[name])
    values["classes"] = tuple(map(str, values["classes"]))
    return Predictions(**values)


def predict(model: LoadedModel, images: ImageSet, recipe: str | None = None, batch_size: int = 128) -> Predictions:
    """The model's predictions on `images`, in their order, on the CPU.

    Raises:
        DataError: no images, other classes than the model's, or an output that is not finite.
    """
    import torch

    name = str(model.card.get("recipe") or (model.path.stem if model.path else "model"))
    if not len(images):
        raise DataError(f"{images.name}: holds no images to evaluate on")
    if tuple(images.classes) != model.classes:
        raise DataError(
            f"{images.name}: classes {', '.join(images.classes)} differ from those of {model.path or name}: "
            f"{', '.join(model.classes)}; evaluate on the domain that the model was trained for"
        )
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = model.preprocessing.apply_batch(images.images[start : start + batch_size], images.unit)
            logits = model.model(batch)
            if not bool(logits.isfinite().all()):
                raise DataError(
                    f"{images.name}: the output of {model.path or name} is NaN or Inf for some of images {start} to "
                    f"{start + len(batch) - 1}, expected finite numbers; train the model again"
                )
            parts.append(torch.softmax(logits, 1))
    return Predictions(
        recipe or name,
        torch.cat(parts).numpy(),
        images.labels,
        images.groups,
        tuple(images.classes),
        images.name,
        images.fingerprint,
        images.origin,
    )


def evaluate_recipes(
    recipes: Sequence[str], images: ImageSet, runs: Path = RUNS, *, resamples: int = 2000, seed: int = 0
) -> Comparison:
    """Evaluate trained recipes on the same images and compare every two of them.

    Leaves runs/evaluation/<recipe>.npz (predictions), evaluation.json, evaluation.csv and evaluation.txt (the table).

    Args:
        recipes: names of trained recipes under `runs`.
        images: images of patients that no recipe was trained on.
        resamples: bootstrap resamples of the patients.
        seed: of the bootstrap.

    Raises:
        WeightsError: a recipe is not trained, or its files are broken.
        DataError: other classes, or a patient whose images a model was trained on.
        OutputError: results cannot be written.
    """
    from desali.training.comparison import compare
    from desali.training.table import format_csv, format_table

    predictions = []
    for name in recipes:
        model = load(find(name, runs))
        _check_patients(model, images)
        predictions.append(predict(model, images, name))
    comparison = compare(predictions, resamples=resamples, seed=seed)
    folder = Path(runs) / EVALUATION
    for one in predictions:
        one.save(folder / f"{one.recipe}.npz")
    write_json(folder / "evaluation.json", comparison.to_dict())
    write_text(folder / "evaluation.csv", format_csv(comparison))
    write_text(folder / "evaluation.txt", format_table(comparison) + "\n")
    return comparison


def _check_patients(model: LoadedModel, images: ImageSet) -> None:
    seen = set(model.card.get("data", {}).get("group_names", [])) & set(images.groups.tolist())
    if seen:
        raise DataError(
            f"{images.name}: {len(seen)} patients (the first is {min(seen)}) are also among those that {model.path} "
            "was trained on; evaluate on other patients"
        )
