"""Train recipes: each stage once, shared by all recipes that need it, resumed where it was interrupted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.errors import DesaliError, OutputError, WeightsError
from desali.models.checkpoint import RUNS, WEIGHTS_NAME, LoadedModel, load, save
from desali.models.registry import architecture as find_architecture
from desali.output.files import write_text
from desali.training.cards import StageResult, TrainedRecipe, card_of_given, card_of_trained, result_of
from desali.training.checks import check_datasets, check_size, require_packages
from desali.training.config import INPUT_MEMORY
from desali.training.history import HISTORY_NAME, TIMING_NAME, rows_as_csv
from desali.training.keys import stage_key, weights_key
from desali.training.recipes import Recipe, recipe
from desali.training.seeding import derive
from desali.training.splits import hold_out
from desali.training.stage import Stage
from desali.training.state import STATE_NAME

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor, nn

    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing
    from desali.training.fit import Fitted
    from desali.training.inputs import Inputs

STAGES = "stages"
CONFIG_NAME = "config.toml"
HELD_OUT = "held-out groups"
"""Names the random stream that chooses the held-out patients; another name would choose others."""
NODE_PATIENCE = 600
"""Seconds that a node waits for the first one's weights to appear in the folder that they share."""


def train(
    recipes: Sequence[str | Recipe],
    datasets: Mapping[str, ImageSet],
    runs: Path = RUNS,
    architecture: str = "caffenet-small",
    seed: int = 0,
    *,
    preprocessing: Preprocessing | None = None,
    fresh: bool = False,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    resume: bool = False,
    tensorboard: bool = False,
    input_memory: int = INPUT_MEMORY,
    configuration: Callable[[Recipe], str] | None = None,
    progress: bool = False,
    report: Callable[[str], None] | None = None,
    stages: Path | None = None,
) -> dict[str, TrainedRecipe]:
    """Train `recipes` and leave each one's weights, card and history under `runs`/<recipe>.

    A stage that is already trained with the same configuration, data, seed and parent is reused; an
    interrupted one goes on after its last finished epoch. Images are made into network input by background threads, or
    once before training where they fit into `input_memory`; the weights are bitwise the same.

    Args:
        recipes: names or recipes.
        datasets: domain ("natural", "texture", "target") -> images to train on; only domains that the recipes use.
        runs: where results go.
        architecture: name in `desali.models.ARCHITECTURES`.
        seed: decides initial weights, batches, augmentation, dropout and held-out patients.
        preprocessing: how images become input; the architecture's defaults if None.
        fresh: train every stage anew.
        device, devices, nodes: see `desali.training.fit.fit_stage`. With several nodes `runs` must be a folder
            that all of them see; the first one writes.
        resume: insist that at least one of the stages has begun before.
        tensorboard: write metrics for TensorBoard to `runs`/stages/<key>/tensorboard too.
        input_memory: MiB of network input that may be kept in memory.
        configuration: gives the text of `runs`/<recipe>/config.toml, which is written before a recipe is trained.
        progress: show a progress bar on stderr.
        report: called with one line of text per stage.
        stages: where stages are kept and found again; `runs`/stages if None.

    Raises:
        UnknownNameError: unknown recipe or architecture.
        DataError: a domain is missing, empty, or has fewer than two classes, or a stage asks for noise in HU on display
            values.
        DesaliError: a loss became NaN or Inf, Lightning is not installed, the network cannot take images of that size,
            or there is nothing to resume.
        OutputError: results cannot be written; the last good state of the stage stays.
    """
    require_packages(tensorboard)
    from desali.data.preprocess import Preprocessing
    from desali.training.devices import check_devices

    chosen = [entry if isinstance(entry, Recipe) else recipe(entry) for entry in recipes]
    entry = find_architecture(architecture)
    preprocessing = preprocessing or Preprocessing(**entry.preprocessing)
    check_datasets(chosen, datasets, preprocessing)
    check_size(entry, preprocessing)
    check_devices(devices, nodes, device)
    if fresh and (resume or nodes > 1):
        raise DesaliError(
            f"--fresh and {'--resume' if resume else 'several nodes'} exclude each other; delete {runs} instead"
        )
    trainer = _StageTrainer(
        datasets,
        Path(runs),
        architecture,
        seed,
        preprocessing,
        fresh,
        {"device": device, "devices": devices, "nodes": nodes, "tensorboard": tensorboard},
        input_memory,
        configuration,
        progress,
        report or (lambda line: None),
        stages or Path(runs) / STAGES,
    )
    if resume:
        trainer.check_begun(chosen)
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
        fitting: dict[str, Any],
        input_memory: int,
        configuration: Callable[[Recipe], str] | None,
        progress: bool,
        report: Callable[[str], None],
        stages: Path,
    ) -> None:
        from desali.training.devices import is_first

        self.datasets, self.runs, self.seed, self.report, self.stages = datasets, runs, seed, report, stages
        self.architecture = find_architecture(architecture)
        self.preprocessing, self.fresh, self.progress = preprocessing, fresh, progress
        self.fitting, self.input_memory, self.configuration = fitting, input_memory, configuration
        self.done: dict[str, StageResult] = {}
        self.tensors = lru_cache(maxsize=1)(self._tensors)
        self.first = is_first()  # of several nodes; the others write nothing

    def check_begun(self, recipes: Sequence[Recipe]) -> None:
        for one in recipes:
            key: str | None = None
            for stage in one.stages:
                if stage.weights is not None:
                    key = self.key_of_given(stage)
                    continue
                key = self.key(stage, key)
                if any((self.stages / key / name).is_file() for name in (STATE_NAME, WEIGHTS_NAME)):
                    return
        raise DesaliError(
            f"{self.runs}: nothing to resume, no stage with these options and data has begun there; "
            "give the options of the interrupted run, or leave out --resume to start"
        )

    def key(self, stage: Stage, parent: str | None) -> str:
        return stage_key(
            stage,
            architecture=self.architecture.name,
            preprocessing=self.preprocessing.to_dict(),
            data=self.datasets[stage.domain].fingerprint,
            seed=self.seed,
            parent=parent,
        )

    def key_of_given(self, stage: Stage, loaded: LoadedModel | None = None) -> str:
        from desali.models.sources import pretrained

        loaded = loaded or pretrained(self.architecture.name, Path(str(stage.weights)))
        digest = loaded.card["weights_sha256"]
        return weights_key(stage.domain, architecture=self.architecture.name, weights=digest)

    def recipe(self, recipe: Recipe) -> TrainedRecipe:
        results: list[StageResult] = []
        if self.configuration is not None and self.first:
            write_text(self.runs / recipe.name / CONFIG_NAME, self.configuration(recipe))
        for number, stage in enumerate(recipe.stages):
            title = " -> ".join(one.domain for one in recipe.stages[: number + 1])
            results.append(self.stage(stage, title, results[-1] if results else None))
        last = results[-1].weights
        loaded = load(last)
        target = self.runs / recipe.name / WEIGHTS_NAME
        card = {**loaded.card, "recipe": recipe.name, "stages": [result.key for result in results]}
        if not self.first:
            return TrainedRecipe(recipe.name, target, tuple(results))
        save(loaded.model, target, card)
        write_text(target.parent / HISTORY_NAME, (last.parent / HISTORY_NAME).read_text(encoding="utf-8"))
        return TrainedRecipe(recipe.name, target, tuple(results))

    def stage(self, stage: Stage, title: str, parent: StageResult | None) -> StageResult:
        if stage.weights is not None:
            return self.given(stage, Path(stage.weights), title)
        key = self.key(stage, parent.key if parent else None)
        if key in self.done:
            return self.done[key]
        folder = self.stages / key
        if self.fresh:
            shutil.rmtree(folder, ignore_errors=True)
        result = self._finished(folder, key, title)
        if result is None:
            result = self._train(stage, title, parent, key, folder)
        word = "already trained" if result.reused else f"{result.seconds:.0f} s"
        if result.compute_share is not None and not result.reused:
            word += f", {result.compute_share:.1%} of it compute, the rest waiting for input"
        metric = result.metrics.get("held_out_balanced_accuracy")
        unit = self.datasets[stage.domain].unit_of_split
        held = f"no {unit} held out" if metric is None else f"balanced accuracy on held-out {unit}s {metric:.3f}"
        self.report(f"stage {title}: epoch {result.best_epoch} of {result.epochs} kept, {held} ({word})")
        self.done[key] = result
        return result

    def given(self, stage: Stage, file: Path, title: str) -> StageResult:
        """A stage whose weights come from a file: they are kept in the stage's folder in desali's own form."""
        from desali.models.sources import pretrained

        loaded = pretrained(self.architecture.name, file)
        key = self.key_of_given(stage, loaded)
        if key not in self.done:
            folder = self.stages / key
            result = None if self.fresh else self._finished(folder, key, title)
            if result is None:
                write_text(folder / HISTORY_NAME, "epoch\n")
                card = card_of_given(loaded, stage, key, title, file)
                weights = save(loaded.model, folder / WEIGHTS_NAME, card)
                result = result_of(card, title, weights, reused=True)
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
        return result_of(card, title, weights, reused=True)

    def _train(self, stage: Stage, title: str, parent: StageResult | None, key: str, folder: Path) -> StageResult:
        from desali.training.augmentation import augmentation_of
        from desali.training.fit import fit_stage, fresh_model

        data = self.datasets[stage.domain]
        held = hold_out(data.labels, data.patients, stage.validation, derive(self.seed, stage.domain, HELD_OUT))
        start = load(parent.weights).model.state_dict() if parent else None
        model = fresh_model(self.architecture, len(data.classes), self.seed, stage.domain, start)
        parts = [self._inputs(stage.domain, None if held is None else ~held)]
        parts += [] if held is None else [self._inputs(stage.domain, held)]
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
            augmentation=augmentation_of(stage, self.preprocessing, data.unit, data.name),
            progress=self.progress,
            **self.fitting,
        )
        if not self.first:
            return self._wait(folder, key, title)
        try:
            return self._keep(stage, title, parent, key, folder, model, fitted, held)
        except OutputError as error:
            raise OutputError(
                f"{error}; the state after epoch {len(fitted.history)} is kept in {folder / STATE_NAME}; "
                "make room, then run the same command"
            ) from error

    def _keep(
        self,
        stage: Stage,
        title: str,
        parent: StageResult | None,
        key: str,
        folder: Path,
        model: nn.Module,
        fitted: Fitted,
        held: npt.NDArray[np.bool_] | None,
    ) -> StageResult:
        data = self.datasets[stage.domain]
        model.load_state_dict(fitted.weights)
        write_text(folder / HISTORY_NAME, rows_as_csv(fitted.history))
        if fitted.timing:
            write_text(folder / TIMING_NAME, rows_as_csv(fitted.timing))
        card = card_of_trained(
            stage,
            data,
            fitted,
            held,
            key=key,
            title=title,
            architecture=self.architecture.name,
            preprocessing=self.preprocessing,
            seed=self.seed,
            processes=self.fitting["devices"] * self.fitting["nodes"],
            parent=parent,
        )
        weights = save(model, folder / WEIGHTS_NAME, card)
        (folder / STATE_NAME).unlink(missing_ok=True)
        return result_of(card, title, weights, reused=False)

    def _wait(self, folder: Path, key: str, title: str) -> StageResult:
        """The stage as the first of several nodes leaves it, as soon as this one sees it."""
        end = time.monotonic() + NODE_PATIENCE
        while (result := self._finished(folder, key, title)) is None:
            if time.monotonic() > end:
                raise OutputError(
                    f"{folder}: the first node's weights did not appear in {NODE_PATIENCE} s; --runs must be a folder "
                    "that all nodes see"
                )
            time.sleep(0.5)
        return result

    def _inputs(self, domain: str, mask: npt.NDArray[np.bool_] | None) -> Inputs:
        import torch

        from desali.training.inputs import LazyInputs, PreparedInputs, prepared_bytes

        data = self.datasets[domain]
        index = np.arange(len(data)) if mask is None else np.flatnonzero(mask)
        several = self.fitting["devices"] * self.fitting["nodes"] > 1  # the images go to other processes as they are
        if several or prepared_bytes(data, self.preprocessing) > self.input_memory * 2**20:
            return LazyInputs(data, self.preprocessing, index)
        return PreparedInputs(*self.tensors(domain), torch.from_numpy(index))

    def _tensors(self, domain: str) -> tuple[Tensor, Tensor]:
        import torch

        data = self.datasets[domain]
        return self.preprocessing.apply_batch(data.images, data.unit), torch.from_numpy(data.labels)
