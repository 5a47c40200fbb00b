"""Train and predict every recipe, seed, fraction and fold of an experiment; each result is kept, so it can go on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DataError
from desali.evaluation.predictions import Predictions, load_predictions, pool
from desali.models.checkpoint import load, machine, versions
from desali.models.registry import DEFAULT
from desali.output.files import write_json
from desali.output.interrupts import check
from desali.training.keys import KEY_FORMAT
from desali.training.recipes import Recipe
from desali.training.splits import By, Design, Split, take
from desali.training.stage import Stage

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing
    from desali.training.baseline import Baseline

FORMAT = 2
"""Raise it when the same experiment trains otherwise, so that what earlier versions predicted is not taken for it."""
RECORD = "experiment.json"
PREDICTIONS = "predictions"
MODELS = "models"
STAGES = "stages"


@dataclass(frozen=True, eq=False)
class Experiment:
    """What to train and on what.

    Attributes:
        recipes: to train on the target of `design`, one name each.
        pretraining: "natural" and "texture" -> images, for the recipes that need them.
        design: the target's splits.
        seeds: of the trainings.
        fractions: of each split's training images.
        by: what a fraction is taken of, "rois" or "patients".
        equal_steps: give a smaller part more epochs (and later milestones and unfreezing), so that every fraction draws
            as many images as all of the data; else as many epochs, and a small part is also trained for fewer steps.
        architecture, preprocessing, device: see `desali.training.train`.
        baselines: name -> a conventional classifier, shown beside the recipes; fitted on every split and fraction, with
            the first seed alone.
    """

    recipes: Sequence[Recipe]
    pretraining: Mapping[str, ImageSet]
    design: Design
    seeds: Sequence[int] = (0,)
    fractions: Sequence[float] = (1.0,)
    by: By = "rois"
    equal_steps: bool = True
    architecture: str = DEFAULT
    preprocessing: Preprocessing | None = None
    device: str = "auto"
    baselines: Mapping[str, Baseline] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [recipe.name for recipe in self.recipes]
        for what, values in (("recipe", names), ("seed", self.seeds), ("fraction", self.fractions)):
            if len(set(values)) < len(values):
                raise DataError(f"a {what} is given twice: {', '.join(map(str, values))}")
        if not (names or self.baselines) or not self.seeds or not self.fractions:
            raise DataError("nothing to do: give at least one recipe, one seed and one fraction")
        for domain, images in self.pretraining.items():
            _refuse_leak(domain, images, self.design.evaluated)

    def names(self, seed: int) -> list[str]:
        """Recipes and, for the first seed, baselines."""
        first = seed == self.seeds[0]
        return [*(recipe.name for recipe in self.recipes), *(self.baselines if first else ())]

    def describe(self) -> dict[str, Any]:
        """The whole configuration, JSON-serialisable."""
        return {
            "recipes": [asdict(recipe) for recipe in self.recipes],
            "pretraining": {name: _data(images) for name, images in self.pretraining.items()},
            "target": _data(self.design.evaluated),
            "design": self.design.name,
            "folds": len(self.design.splits),
            "classes_missing_in_training": self.design.unseen(),
            "seeds": list(self.seeds),
            "fractions": list(self.fractions),
            "by": self.by,
            "equal_steps": self.equal_steps,
            "architecture": self.architecture,
            "device": self.device,
            "preprocessing": self.preprocessing.to_dict() if self.preprocessing else None,
            "baselines": list(self.baselines),
            "versions": versions(),
            "machine": machine(),
        }


def run(
    experiment: Experiment,
    folder: Path,
    *,
    record: str = RECORD,
    keep_weights: bool = False,
    progress: Callable[[Sequence[Any]], Any] = iter,
    report: Callable[[str], None] = lambda line: None,
) -> dict[float, list[Predictions]]:
    """Predictions of every recipe and seed, pooled over the folds, for each fraction.

    Each finished part is kept in `folder`/predictions under a name that stands for everything it depends on; a second
    call goes on where the first was interrupted, and calls with other seeds or fractions share what they have in
    common. Two calls may work in one folder at a time as long as they train different seeds.

    Args:
        experiment: what to do.
        folder: for predictions, pretraining stages and, with `keep_weights`, the trained models.
        record: file in `folder` for the configuration of this call, see `Experiment.describe`.
        keep_weights: keep each target model under `folder`/models; else it goes once it has predicted.
        progress: wraps the list of parts that are left, for instance tqdm.
        report: called with a line of text for each trained stage.

    Raises:
        DataError, WeightsError, DesaliError, OutputError: see `desali.training.train`.
    """
    parts = [
        _Part(experiment, folder, name, seed, fraction, split)
        for fraction, seed, split in product(experiment.fractions, experiment.seeds, experiment.design.splits)
        for name in experiment.names(seed)
    ]
    write_json(folder / record, experiment.describe())
    missing = [part for part in parts if not part.done()]
    if len(missing) < len(parts):
        report(f"{len(parts) - len(missing)} of {len(parts)} parts are already there")
    for part in progress(missing):
        check()
        part.make(keep_weights, report)
    return {fraction: list(_pooled(experiment, parts, fraction)) for fraction in experiment.fractions}


class _Part:
    """One recipe (or baseline), seed, fraction and fold."""

    def __init__(
        self, experiment: Experiment, folder: Path, name: str, seed: int, fraction: float, split: Split
    ) -> None:
        self.experiment, self.folder, self.name = experiment, folder, name
        self.seed, self.fraction, self.split = seed, fraction, split
        self.recipe = next((recipe for recipe in experiment.recipes if recipe.name == name), None)
        plain = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
        stem = f"{plain}-seed{seed}-{100 * fraction:g}-fold{split.number}-{self._digest()}"
        self.stem, self.path = stem, folder / PREDICTIONS / f"{stem}.npz"

    def _digest(self) -> str:
        """Eight hexadecimal digits that stand for what the predictions depend on, seed and fraction apart."""
        one, design = self.experiment, self.experiment.design
        facts: dict[str, Any] = {
            "format": [KEY_FORMAT, FORMAT],
            "training": [self.split.source.fingerprint, self.split.index.tolist()],
            "held": [design.evaluated.fingerprint, self.split.held.tolist()],
            "by": one.by if self.fraction < 1 else "rois",  # all of it is the same either way
        }
        if self.recipe is not None:
            domains = {stage.domain for stage in self.recipe.stages if stage.weights is None} & set(one.pretraining)
            facts |= {
                "recipe": [_stage(stage) for stage in self.recipe.stages],
                "pretraining": {domain: one.pretraining[domain].fingerprint for domain in sorted(domains)},
                "equal_steps": one.equal_steps,
                "architecture": one.architecture,
                "preprocessing": one.preprocessing.to_dict() if one.preprocessing else None,
            }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]

    def done(self) -> bool:
        """Whether the predictions are there and readable."""
        try:
            load_predictions(self.path)
        except DataError:
            return False
        return True

    def make(self, keep_weights: bool, report: Callable[[str], None]) -> None:
        """Train and predict, and write the predictions."""
        full = self.split.training()
        training = take(full, self.fraction, self.experiment.by, self.seed)
        held = self.experiment.design.evaluated.subset(self.split.held)
        if self.recipe is None:
            found = self.experiment.baselines[self.name](training, held, self.seed)
        else:
            found = self._trained(self.recipe, training, len(full), held, keep_weights, report)
        replace(found, recipe=self.name, seed=self.seed).save(self.path)

    def _trained(
        self,
        recipe: Recipe,
        training: ImageSet,
        full: int,
        held: ImageSet,
        keep_weights: bool,
        report: Callable[[str], None],
    ) -> Predictions:
        from desali.evaluation.evaluate import predict
        from desali.training.pipeline import train

        one = self.experiment
        if one.equal_steps:
            recipe = _stretched(recipe, full / len(training))
        models = self.folder / MODELS / self.stem
        datasets = {**one.pretraining, "target": training}
        trained = train(
            [recipe],
            datasets,
            models,
            one.architecture,
            self.seed,
            preprocessing=one.preprocessing,
            device=one.device,
            report=lambda line: report(f"{self.stem}: {line}"),
            stages=self.folder / STAGES,
        )[recipe.name]
        found = predict(load(trained.weights), held, recipe.name, device=one.device)
        found = replace(found, stages=tuple(stage.key for stage in trained.stages[:-1]))
        shutil.rmtree(trained.stages[-1].weights.parent)  # the copy under `models` has the same weights
        if not keep_weights:
            shutil.rmtree(models)
        return found


def _pooled(experiment: Experiment, parts: Sequence[_Part], fraction: float) -> Iterator[Predictions]:
    """One `Predictions` a recipe and seed."""
    for name in experiment.names(experiment.seeds[0]):
        for seed in experiment.seeds if name not in experiment.baselines else experiment.seeds[:1]:
            mine = [part for part in parts if (part.name, part.seed, part.fraction) == (name, seed, fraction)]
            yield pool([(part.split.held, load_predictions(part.path)) for part in mine], experiment.design.evaluated)


def _stretched(recipe: Recipe, factor: float) -> Recipe:
    """The recipe with `factor` times the epochs in its last stage, and everything else that is counted in epochs."""
    last = recipe.stages[-1]

    def more(epochs: int) -> int:
        return max(1, round(epochs * factor)) if epochs else 0  # 0 stands for never

    longer = replace(
        last,
        epochs=more(last.epochs),
        patience=more(last.patience),
        milestones=tuple(map(more, last.milestones)),
        unfreeze_every=more(last.unfreeze_every),
    )
    return replace(recipe, stages=(*recipe.stages[:-1], longer))


def _stage(stage: Stage) -> dict[str, Any]:
    """What a stage's weights depend on: options that are not at their default, or the content of its weights file."""
    if stage.weights is None:
        values = {
            one.name: getattr(stage, one.name) for one in fields(stage) if getattr(stage, one.name) != one.default
        }
        return {"domain": stage.domain, **values}
    return {"domain": stage.domain, "weights": hashlib.sha256(Path(stage.weights).read_bytes()).hexdigest()}


def _refuse_leak(domain: str, images: ImageSet, evaluated: ImageSet) -> None:
    """Raise a DataError if pretraining would see patients of the same data set that are predicted later."""
    path = images.parameters.get("path")
    shared = set(images.patients.tolist()) & set(evaluated.patients.tolist())
    if path is not None and path == evaluated.parameters.get("path") and shared:
        raise DataError(
            f"{domain}: {len(shared)} {evaluated.unit_of_split}s of {path} (the first is {min(shared)}) are also "
            "predicted as target, so the metrics would be of patients that were trained on; pretrain on other data"
        )


def _data(images: ImageSet) -> dict[str, Any]:
    return {
        "name": images.name,
        "fingerprint": images.fingerprint,
        "images": len(images),
        "unit_of_split": images.unit_of_split,
        "patients": len(set(images.patients.tolist())),
        "classes": list(images.classes),
        "origin": images.origin,
        "parameters": images.parameters,
    }
