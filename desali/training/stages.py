"""One stage after another: found as an earlier run left it, or trained, or taken from a weights file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError, OutputError, WeightsError
from desali.models.checkpoint import WEIGHTS_NAME, LoadedModel, load, save
from desali.models.modules import fingerprint
from desali.models.registry import Architecture
from desali.models.replicate import folder_of
from desali.output.files import write_text
from desali.training.cards import StageResult, TrainedRecipe, card_of_given, card_of_trained, result_of
from desali.training.history import HISTORY_NAME, TIMING_NAME, rows_as_csv
from desali.training.keys import FRAMED, stage_key, weights_key
from desali.training.longer import Longer
from desali.training.recipes import Recipe
from desali.training.seeding import derive
from desali.training.seen import write_seen
from desali.training.splits import hold_out
from desali.training.stage import Stage
from desali.training.state import STATE_NAME, previous_of, remove_state

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing
    from desali.training.fit import Fitted
    from desali.training.inputs import Prepared

CONFIG_NAME = "config.toml"
HELD_OUT = "held-out groups"
"""Names the random stream that chooses the held-out patients; another name would choose others."""
SEEDS = 2**63
"""Seeds are whole numbers below this."""
NODE_PATIENCE = 600
"""Seconds that a node waits for the first one's weights to appear in the folder that they share."""


@dataclass
class StageTrainer:
    """What all stages of one call of `desali.training.train` share, and the stages done in it.

    Attributes:
        datasets, runs, seed, replicates, fresh, device, devices, nodes, tensorboard, configuration, progress, report:
            see there.
        architecture, preprocessing: of the network.
        stages: the folder where stages are kept.
        prepared: the images as network input.
        first: whether this process writes: the first of several nodes.
        done: results by key.
        features: seed of a first stage's feature layers, in a replicate; None: `seed`.
        said: what a report calls a stage beside its title.
    """

    datasets: Mapping[str, ImageSet]
    runs: Path
    stages: Path
    architecture: Architecture
    preprocessing: Preprocessing
    prepared: Prepared
    first: bool
    seed: int
    replicates: int
    fresh: bool
    device: str
    devices: int
    nodes: int
    tensorboard: bool
    configuration: Callable[[Recipe], str] | None
    progress: bool
    report: Callable[[str], None]
    done: dict[str, StageResult] = field(default_factory=dict)
    features: int | None = None
    said: str = ""

    def check_begun(self, recipes: Sequence[Recipe]) -> None:
        """Raise a DesaliError unless a stage of `recipes` has begun before."""
        other: int | None = None
        for one in recipes:
            key: str | None = None
            for stage in one.stages:
                if stage.weights is not None:
                    key = self.key_of_given(stage)
                    continue
                parent, key = key, self.key(stage, key)
                names = (STATE_NAME, previous_of(Path(STATE_NAME)).name, WEIGHTS_NAME)
                if any((self.stages / key / name).is_file() for name in names):
                    return
                longer = self._longer(stage, parent)
                if longer.state() is not None:
                    return
                other = other or longer.epochs
        hint = "" if other is None else f" (one of {other} epochs has: --epochs {other} goes on with it)"
        raise DesaliError(
            f"{self.runs}: nothing to resume, no stage with these options and data has begun there{hint}; "
            "give the options of the interrupted run, or leave out --resume to start"
        )

    def _longer(self, stage: Stage, parent: str | None) -> Longer:
        return Longer(stage, lambda one: self.key(one, parent), self.stages, alone=self.nodes == 1)

    def key(self, stage: Stage, parent: str | None) -> str:
        """The key of a stage that is trained."""
        images = self.datasets[stage.domain]
        framed = self.preprocessing.reframes(images.images.shape[1:], images.unit)
        return stage_key(
            stage,
            architecture=self.architecture.name,
            preprocessing=self.preprocessing.to_dict(),
            data=f"{images.fingerprint} {FRAMED}" if framed else images.fingerprint,
            seed=self.seed,
            parent=parent,
            features=self.features if parent is None else None,
        )

    def key_of_given(self, stage: Stage, loaded: LoadedModel | None = None) -> str:
        """The key of a stage whose weights come from a file."""
        from desali.models.sources import pretrained

        loaded = loaded or pretrained(self.architecture.name, Path(str(stage.weights)))
        digest = loaded.card["weights_sha256"]
        return weights_key(stage.domain, architecture=self.architecture.name, weights=digest)

    def recipe(self, recipe: Recipe) -> TrainedRecipe:
        """Train the stages of a recipe and leave the last one's weights under its name."""
        results: list[StageResult] = []
        if self.configuration is not None and self.first:
            write_text(self.runs / recipe.name / CONFIG_NAME, self.configuration(recipe))
        for stage in recipe.stages:
            title = f"{results[-1].title} -> {stage.domain}" if results else stage.domain
            results.append(self.stage(stage, title, results[-1] if results else None))
        folder = self.runs / recipe.name
        target = self.leave(folder, recipe, results)
        again = tuple(self.replicate(recipe, results, number + 1) for number in range(self.replicates))
        return TrainedRecipe(recipe.name, target, tuple(results), again)

    def replicate(self, recipe: Recipe, results: Sequence[StageResult], number: int) -> Path:
        """Train the last stage again with another seed, and leave its weights in the recipe's folder.

        Args:
            results: the recipe's stages.
            number: of the replicate, from 1.
        """
        seed = (self.seed + number) % SEEDS
        said = f", replicate {number} with seed {seed}"
        parents = results[:-1]
        trainer = replace(self, seed=seed, features=self.seed, said=said)
        last = trainer.stage(recipe.stages[-1], results[-1].title, parents[-1] if parents else None)
        return self.leave(
            self.runs / recipe.name / folder_of(number),
            recipe,
            [*parents, last],
            {"number": number, "stage": results[-1].key, "seed": seed, "seed_of_the_stage": self.seed},
        )

    def leave(
        self, folder: Path, recipe: Recipe, results: Sequence[StageResult], replicate: dict[str, Any] | None = None
    ) -> Path:
        """Copy the last stage's weights and history into `folder`, with the recipe's card."""
        target = folder / WEIGHTS_NAME
        if not self.first:
            return target
        last = results[-1].weights
        loaded = load(last)
        card = {**loaded.card, "recipe": recipe.name, "stages": [result.key for result in results]}
        save(loaded.model, target, card if replicate is None else {**card, "replicate": replicate})
        write_text(folder / HISTORY_NAME, (last.parent / HISTORY_NAME).read_text(encoding="utf-8"))
        return target

    def stage(self, stage: Stage, title: str, parent: StageResult | None) -> StageResult:
        """The stage as it was left, or trained, with a line that says which."""
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
        held = (
            f"no {unit} held out"
            if metric is None
            else f"selection score {metric:.3f} (balanced accuracy on the {unit}s that chose the epoch)"
        )
        self.report(f"stage {title}{self.said}: epoch {result.best_epoch} of {result.epochs} kept, {held} ({word})")
        self.done[key] = result
        return result

    def given(self, stage: Stage, file: Path, title: str) -> StageResult:
        """A stage whose weights come from a file: they are kept in the stage's folder in desali's own form."""
        from desali.models.sources import pretrained

        loaded = pretrained(self.architecture.name, file)
        key = self.key_of_given(stage, loaded)
        own = str((loaded.card.get("stage") or {}).get("title", ""))
        title = own if own.split(" -> ")[-1] == stage.domain else title
        if key not in self.done:
            folder = self.stages / key
            result = None if self.fresh else self._finished(folder, key, title)
            if result is None:
                write_text(folder / HISTORY_NAME, "epoch\n")
                card = card_of_given(loaded, stage, key, title, file)
                weights = save(loaded.model, folder / WEIGHTS_NAME, card)
                result = result_of(card, title, weights, reused=True)
            self.done[key] = result
            metric = loaded.card.get("metrics", {}).get("held_out_balanced_accuracy")
            self.report(
                f"stage {title}: weights from {file.name}"
                + ("" if metric is None else f", selection score {metric:.3f} when they were trained")
            )
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
        from desali.training.fit import fit_stage
        from desali.training.initial import fresh_model

        data = self.datasets[stage.domain]
        held = hold_out(data.labels, data.patients, stage.validation, derive(self.seed, stage.domain, HELD_OUT))
        start = load(parent.weights).model.state_dict() if parent else None
        if start is None and self.features is not None:
            start = fresh_model(self.architecture, len(data.classes), self.features, stage.domain, None).state_dict()
        model = fresh_model(self.architecture, len(data.classes), self.seed, stage.domain, start)
        begun = fingerprint(model) if parent is None else None
        if self.first and not self.fresh:
            said = self._longer(stage, parent.key if parent else None).carry_on(folder / STATE_NAME, key)
            if said:
                self.report(f"stage {title}{self.said}: {said}")
        parts = [self.prepared.inputs(data, None if held is None else ~held)]
        parts += [] if held is None else [self.prepared.inputs(data, held)]
        fitted = fit_stage(
            model,
            self.architecture,
            stage,
            parts[0],
            parts[1] if len(parts) > 1 else None,
            key=key,
            folder=folder,
            seed=self.seed,
            title=title + self.said,
            augmentation=augmentation_of(stage, self.preprocessing, data.unit, data.name),
            progress=self.progress,
            device=self.device,
            devices=self.devices,
            nodes=self.nodes,
            tensorboard=self.tensorboard,
        )
        if not self.first:
            return self._wait(folder, key, title)
        try:
            return self._keep(stage, title, parent, key, folder, model, fitted, held, begun)
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
        begun: str | None,
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
            processes=self.devices * self.nodes,
            parent=parent,
            features=self.features if parent is None else None,
            initial=begun,
        )
        write_seen(folder, data)
        weights = save(model, folder / WEIGHTS_NAME, card)
        if stage.schedule == "cosine":  # others can be made longer
            remove_state(folder / STATE_NAME)
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
