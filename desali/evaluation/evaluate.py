"""Trained recipes evaluated on images that no stage has seen; predictions and metrics are kept beside the models."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from desali.data.pseudonym import cannot_compare
from desali.errors import DataError
from desali.evaluation.options import RESAMPLES
from desali.evaluation.predictions import Predictions, file_name, load_predictions
from desali.models.checkpoint import RUNS, LoadedModel, find, load
from desali.output.files import write_text

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.evaluation.results import Comparison

EVALUATION = "evaluation"


def predict(
    model: LoadedModel,
    images: ImageSet,
    recipe: str | None = None,
    batch_size: int = 128,
    *,
    seed: int | None = None,
    device: str = "auto",
) -> Predictions:
    """The model's predictions on `images`, in their order; the model stays where it is.

    Args:
        model: a trained model with its card.
        images: what to predict.
        recipe: its name in tables; by default the card's.
        batch_size: images a forward pass.
        seed: of the training; by default the card's, 0 if it names none.
        device: "cpu", "cuda", "cuda:N" or "auto" (a CUDA device if there is one, else the CPU).

    Raises:
        DataError: no images, other classes than the model's, or an output that is not finite. DesaliError: no such
            device.
    """
    import torch

    from desali.ops.device import resolve

    name = str(model.card.get("recipe") or (model.path.stem if model.path else "model"))
    if not len(images):
        raise DataError(f"{images.name}: holds no images to evaluate on")
    if tuple(images.classes) != model.classes:
        raise DataError(
            f"{images.name}: classes {', '.join(images.classes)} differ from those of {model.path or name}: "
            f"{', '.join(model.classes)}; evaluate on the domain that the model was trained for"
        )
    parts = []
    place = resolve(device)
    network = model.model
    if any(tensor.device != place for tensor in network.state_dict().values()):
        network = copy.deepcopy(network).to(place)
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = model.preprocessing.apply_batch(images.images[start : start + batch_size], images.unit)
            logits = network(batch.to(place)).cpu()
            if not bool(logits.isfinite().all()):
                raise DataError(
                    f"{images.name}: the output of {model.path or name} is NaN or Inf for some of images {start} to "
                    f"{start + len(batch) - 1}, expected finite numbers; train the model again"
                )
            parts.append(torch.softmax(logits, 1))
    trained = int(model.card.get("seed") or 0) if seed is None else seed
    stages = tuple(map(str, model.card.get("stages") or ()))[:-1]
    return Predictions.of(images, recipe or name, torch.cat(parts).numpy(), trained, stages=stages)


def evaluate_recipes(
    recipes: Sequence[str],
    images: ImageSet,
    runs: Path = RUNS,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    others: Sequence[Predictions] = (),
    device: str = "auto",
) -> Comparison:
    """Evaluate trained recipes on the same images and compare every two of them.

    Leaves runs/evaluation/<recipe>.npz (predictions), evaluation.json, evaluation.csv, evaluation.tex and
    evaluation.txt (the table). Results of another `seed` than 0 have a name of their own (evaluation-seed7.json): a
    seed that suits cannot take the place of what was there before.

    Args:
        recipes: names of trained recipes under `runs`.
        images: images of patients that no recipe was trained on.
        resamples: bootstrap resamples of the patients.
        seed: of the bootstrap and of `others`.
        others: predictions of other models on the same images, e.g. of baselines; compared and kept with the rest.
        device: see `predict`.

    Raises:
        WeightsError: a recipe is not trained, or its files are broken.
        DataError: other classes, or a patient whose images a model was trained on.
        OutputError: results cannot be written.
    """
    from desali.evaluation.comparison import compare
    from desali.evaluation.export import FORMATS

    predictions: list[Predictions] = []
    said: list[str] = []
    for name in recipes:
        model = load(find(name, runs))
        said += _check_patients(model, images)
        predictions.append(predict(model, images, name, device=device))
    predictions = [*predictions, *others]
    comparison = compare(predictions, resamples=resamples, seed=seed)
    comparison = replace(comparison, notes=(*comparison.notes, *said))
    folder = Path(runs) / EVALUATION
    for one in predictions:
        one.save(_kept(folder, one.recipe, 0 if one.recipe in recipes else seed))
    stem = f"{EVALUATION}-seed{seed}" if seed else EVALUATION
    for name, suffix in (("json", "json"), ("csv", "csv"), ("latex", "tex"), ("text", "txt")):
        write_text(folder / f"{stem}.{suffix}", FORMATS[name](comparison))
    return comparison


def load_kept(recipes: Sequence[str], folder: Path, others: Sequence[str] = (), seed: int = 0) -> list[Predictions]:
    """The predictions that `evaluate_recipes` kept in `folder`: of recipes, then of others fitted with `seed`.

    Raises:
        DataError: one is missing or damaged.
    """
    files = [_kept(folder, name, 0) for name in recipes] + [_kept(folder, name, seed) for name in others]
    return [load_predictions(path) for path in files]


def _kept(folder: Path, name: str, seed: int) -> Path:
    return folder / f"{file_name(name)}{f'-seed{seed}' if seed else ''}.npz"


def _check_patients(model: LoadedModel, images: ImageSet) -> list[str]:
    """Refuse patients that a model was trained on; returns what to say where that cannot be found out."""
    data = model.card.get("data") or {}
    apart = cannot_compare(data.get("parameters") or {}, images.parameters)
    if apart:
        return [f"{model.card.get('recipe') or model.path}: {apart}, so these may be patients that it was trained on"]
    seen = set(data.get("patient_names") or ()) & set(images.patients.tolist())
    if seen:
        raise DataError(
            f"{images.name}: {len(seen)} patients (the first is {min(seen)}) are also among those that {model.path} "
            "was trained on; evaluate on other patients"
        )
    return []
