"""Train recipes: each stage once, shared by all recipes that need it, resumed where it was interrupted."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.errors import DataError, DesaliError, WeightsError
from desali.files import write_text
from desali.models.checkpoint import RUNS, WEIGHTS_NAME, LoadedModel, load, save
from desali.models.registry import architecture as find_architecture
from desali.training.recipes import Recipe, Stage, recipe, stage_key, weights_key
from desali.training.seeding import derive
from desali.training.split import hold_out
from desali.training.state import STATE_NAME, Row

if TYPE_CHECKING:
    from torch import Tensor

    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing

STAGES = "stages"
HISTORY_NAME = "history.csv"


@dataclass(frozen=True)
class StageResult:
    """A trained stage.

    Attributes:
        key: names everything its weights depend on; its folder is runs/stages/<key>.
        title: the domains up to it, e.g. "natural -> texture".
        weights: its weights file, with the card beside it.
        reused: whether it was already trained.
        best_epoch: number of the epoch whose weights were kept, from 1.
        epochs: epochs trained.
        seconds: training time over all sittings.
        figures: the best epoch's row of the history.
    """

    key: str
    title: str
    weights: Path
    reused: bool
    best_epoch: int
    epochs: int
    seconds: float
    figures: Row


@dataclass(frozen=True)
class TrainedRecipe:
    """A trained recipe: its stages, first to last, and the weights file under runs/<name>."""

    name: str
    weights: Path
    stages: tuple[StageResult, ...]


def train(
    recipes: Sequence[str | Recipe],
    datasets: Mapping[str, ImageSet],
    runs: Path = RUNS,
    architecture: str = "caffenet-small",
    seed: int = 0,
    *,
    preprocessing: Preprocessing | None = None,
    fresh: bool = False,
    accelerator: str = "auto",
    progress: bool = False,
    report: Callable[[str], None] | None = None,
    stages: Path | None = None,
) -> dict[str, TrainedRecipe]:
    """Train `recipes` and leave each one's weights, card and history under `runs`/<recipe>.

    A stage that is already trained with the same configuration, data, seed and parent is reused; an
    interrupted one goes on after its last finished epoch. All images of a domain are held in memory as float32.

    Args:
        recipes: names or recipes.
        datasets: domain ("natural", "texture", "target") -> images to train on; only domains that the recipes use.
        runs: where results go.
        architecture: name in `desali.models.ARCHITECTURES`.
        seed: decides initial weights, batches, augmentation, dropout and held-out groups.
        preprocessing: how images become input; the architecture's defaults if None.
        fresh: train every stage anew.
        accelerator: see `desali.training.fit.fit_stage`.
        progress: show a progress bar on stderr.
        report: called with one line of text per stage.
        stages: where stages are kept and found again; `runs`/stages if None.

    Raises:
        UnknownNameError: unknown recipe or architecture.
        DataError: a domain is missing, empty, or has fewer than two classes.
        DesaliError: a loss became NaN or Inf, or Lightning is not installed.
        OutputError: results cannot be written.
    """
    require_packages()
    from desali.data.preprocess import Preprocessing

    chosen = [entry if isinstance(entry, Recipe) else recipe(entry) for entry in recipes]
    entry = find_architecture(architecture)
    _check_datasets(chosen, datasets)
    trainer = _StageTrainer(
        datasets,
        Path(runs),
        architecture,
        seed,
        preprocessing or Preprocessing(**entry.preprocessing),
        fresh,
        accelerator,
        progress,
        report or (lambda line: None),
        stages or Path(runs) / STAGES,
    )
    return {one.name: trainer.recipe(one) for one in chosen}


class _StageTrainer:
    """The settings shared by all stages of one call of `train`, and the stages done in it."""

    def __init__(
        self,
        datasets: Mapping[str, ImageSet],
        runs: Path,
        architecture: str,
        seed: int,
        preprocessing: Preprocessing,
        fresh: bool,
        accelerator: str,
        progress: bool,
        report: Callable[[str], None],
        stages: Path,
    ) -> None:
        self.datasets, self.runs, self.seed, self.report, self.stages = datasets, runs, seed, report, stages
        self.architecture = find_architecture(architecture)
        self.preprocessing, self.fresh, self.accelerator, self.progress = preprocessing, fresh, accelerator, progress
        self.done: dict[str, StageResult] = {}
        self.tensors = lru_cache(maxsize=1)(self._tensors)

    def recipe(self, recipe: Recipe) -> TrainedRecipe:
        results: list[StageResult] = []
        for number, stage in enumerate(recipe.stages):
            title = " -> ".join(one.domain for one in recipe.stages[: number + 1])
            results.append(self.stage(stage, title, results[-1] if results else None))
        last = results[-1].weights
        loaded = load(last)
        target = self.runs / recipe.name / WEIGHTS_NAME
        card = {**loaded.card, "recipe": recipe.name, "stages": [result.key for result in results]}
        save(loaded.model, target, card)
        write_text(target.parent / HISTORY_NAME, (last.parent / HISTORY_NAME).read_text(encoding="utf-8"))
        return TrainedRecipe(recipe.name, target, tuple(results))

    def stage(self, stage: Stage, title: str, parent: StageResult | None) -> StageResult:
        if stage.weights is not None:
            return self.given(stage, Path(stage.weights), title)
        data = self.datasets[stage.domain]
        key = stage_key(
            stage,
            architecture=self.architecture.name,
            preprocessing=self.preprocessing.to_dict(),
            data=data.fingerprint,
            seed=self.seed,
            parent=parent.key if parent else None,
        )
        if key in self.done:
            return self.done[key]
        folder = self.stages / key
        if self.fresh:
            shutil.rmtree(folder, ignore_errors=True)
        result = self._finished(folder, key, title)
        if result is None:
            result = self._train(stage, title, parent, key, folder)
        word = "already trained" if result.reused else f"{result.seconds:.0f} s"
        figure = result.figures.get("held_out_balanced_accuracy")
        held = "no group held out" if figure is None else f"balanced accuracy on held-out groups {figure:.3f}"
        self.report(f"stage {title}: epoch {result.best_epoch} of {result.epochs} kept, {held} ({word})")
        self.done[key] = result
        return result

    def given(self, stage: Stage, file: Path, title: str) -> StageResult:
        """A stage whose weights come from a file: they are kept in the stage's folder in desali's own form."""
        from desali.models.sources import pretrained

        loaded = pretrained(self.architecture.name, file)
        digest = loaded.card["weights_sha256"]
        key = weights_key(stage.domain, architecture=self.architecture.name, weights=digest)
        if key not in self.done:
            folder = self.stages / key
            result = None if self.fresh else self._finished(folder, key, title)
            if result is None:
                write_text(folder / HISTORY_NAME, "epoch\n")
                card = _card_of_given(loaded, stage, key, title, file)
                weights = save(loaded.model, folder / WEIGHTS_NAME, card)
                result = _result(card, title, weights, reused=True)
            self.done[key] = result
            self.report(f"stage {title}: weights from {file.name}")
        return self.done[key]

    def _finished(self, folder: Path, key: str, title: str) -> StageResult | None:
        """The stage as an earlier run left it, or None if it is unfinished or damaged."""
        weights = folder / WEIGHTS_NAME
        try:
            card = load(weights).card
        except WeightsError:
            return None
        if not (folder / HISTORY_NAME).is_file() or card.get("stage", {}).get("key") != key:
            return None
        return _result(card, title, weights, reused=True)

    def _train(self, stage: Stage, title: str, parent: StageResult | None, key: str, folder: Path) -> StageResult:
        from desali.training.fit import fit_stage, fresh_model

        data = self.datasets[stage.domain]
        held = hold_out(data.labels, data.groups, stage.validation, derive(self.seed, stage.domain, "held-out groups"))
        images, labels = self.tensors(stage.domain)
        start = load(parent.weights).model.state_dict() if parent else None
        model = fresh_model(self.architecture, len(data.classes), self.seed, stage.domain, start)
        parts = [(images, labels)] if held is None else [(images[~held], labels[~held]), (images[held], labels[held])]
        fitted = fit_stage(
            model,
            self.architecture,
            stage,
            parts[0],
            parts[1] if len(parts) > 1 else None,
            key=key,
            folder=folder,
            seed=self.seed,
            title=title,
            accelerator=self.accelerator,
            progress=self.progress,
        )
        model.load_state_dict(fitted.weights)
        write_text(folder / HISTORY_NAME, _history(fitted.history))
        card: dict[str, Any] = {
            "architecture": self.architecture.name,
            "classes": list(data.classes),
            "preprocessing": self.preprocessing.to_dict(),
            "stage": {
                "key": key,
                "title": title,
                **asdict(stage),
                "best_epoch": fitted.best_epoch,
                "epochs_trained": len(fitted.history),
                "seconds": round(fitted.seconds, 2),
                "held_out_groups": [] if held is None else sorted(set(data.groups[held].tolist())),
            },
            "parent": parent.key if parent else None,
            "seed": self.seed,
            "data": {
                "name": data.name,
                "fingerprint": data.fingerprint,
                "images": len(data),
                "groups": len(np.unique(data.groups)),
                "group_names": np.unique(data.groups).tolist() if stage.domain == "target" else [],
                "unit": data.unit,
                "parameters": data.parameters,
            },
            "origin": data.origin,
            "lineage": [
                *(load(parent.weights).card.get("lineage", []) if parent else []),
                f"{stage.domain}: {data.origin}",
            ],
            "metrics": fitted.history[fitted.best_epoch - 1],
        }
        weights = save(model, folder / WEIGHTS_NAME, card)
        (folder / STATE_NAME).unlink(missing_ok=True)
        return _result(card, title, weights, reused=False)

    def _tensors(self, domain: str) -> tuple[Tensor, Tensor]:
        import torch

        data = self.datasets[domain]
        return self.preprocessing.apply_batch(data.images, data.unit), torch.from_numpy(data.labels)


def _card_of_given(loaded: LoadedModel, stage: Stage, key: str, title: str, file: Path) -> dict[str, Any]:
    import torch

    own = loaded.preprocessing
    with torch.inference_mode():
        outputs = loaded.model(torch.zeros(1, own.channels, own.size, own.size)).shape[1]
    origin = f"weights from the file {file.name}"
    return {
        "architecture": loaded.card["architecture"],
        "classes": list(loaded.classes) or [f"class {number}" for number in range(outputs)],
        "preprocessing": own.to_dict(),
        "stage": {
            "key": key,
            "title": title,
            "domain": stage.domain,
            "weights": str(file),
            "best_epoch": 0,
            "epochs_trained": 0,
            "seconds": 0.0,
            "held_out_groups": [],
        },
        "parent": None,
        "source_sha256": loaded.card["weights_sha256"],
        "origin": origin,
        "lineage": [f"{stage.domain}: {origin}"],
        "metrics": {},
    }


def _result(card: dict[str, Any], title: str, weights: Path, reused: bool) -> StageResult:
    stage = card["stage"]
    return StageResult(
        stage["key"],
        title,
        weights,
        reused,
        stage["best_epoch"],
        stage["epochs_trained"],
        stage["seconds"],
        card["metrics"],
    )


def _history(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _check_datasets(recipes: Sequence[Recipe], datasets: Mapping[str, ImageSet]) -> None:
    for one in recipes:
        for stage in one.stages:
            if stage.weights is not None:
                continue
            if stage.domain not in datasets:
                raise DataError(
                    f"recipe {one.name} needs images of the domain {stage.domain!r}, "
                    f"got only {', '.join(sorted(datasets)) or 'none'}"
                )
            data = datasets[stage.domain]
            if len(np.unique(data.labels)) < 2:
                raise DataError(f"{data.name}: training needs images of at least two classes, got {len(data)} images")


def require_packages() -> None:
    """Raise a DesaliError that says how to install them if a package of the extra `train` is missing."""
    from importlib.util import find_spec

    for name in ("lightning", "sklearn", "torchmetrics"):
        if find_spec(name) is None:
            raise DesaliError(f"training needs the package {name!r}: pip install 'desali[train]'")
