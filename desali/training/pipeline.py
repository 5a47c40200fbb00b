"""Train recipes: each stage once, shared by all recipes that need it, resumed where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from desali.errors import DesaliError
from desali.models.checkpoint import RUNS
from desali.models.registry import DEFAULT
from desali.models.registry import architecture as find_architecture
from desali.training.cards import TrainedRecipe
from desali.training.checks import check_datasets, check_size, require_packages
from desali.training.config import INPUT_MEMORY
from desali.training.recipes import Recipe, recipe

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.data.preprocess import Preprocessing

STAGES = "stages"


def train(
    recipes: Sequence[str | Recipe],
    datasets: Mapping[str, ImageSet],
    runs: Path = RUNS,
    architecture: str = DEFAULT,
    seed: int = 0,
    *,
    replicates: int = 0,
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
        replicates: train the last stage of every recipe so many times more from the same parent, with the seeds that
            follow `seed`, and leave them under `runs`/<recipe>/replicate-1 and so on. The first stage of a recipe has
            no parent: there the feature layers' initial weights take its place.
        preprocessing: how images become input; the architecture's defaults if None.
        fresh: train every stage anew.
        device, devices, nodes: see `desali.training.fit.fit_stage`. With several nodes `runs` must be a folder
            that all of them see; the first one writes.
        resume: insist that at least one of the stages has begun before.
        tensorboard: write metrics for TensorBoard to `runs`/stages/<key>/tensorboard too.
        input_memory: MiB of network input that may be kept in memory.
        configuration: gives the text of `runs`/<recipe>/config.toml, which is written before a recipe is trained.
        progress: show progress on stderr, a bar or, without a terminal, lines.
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
    if isinstance(replicates, bool) or not isinstance(replicates, int) or replicates < 0:
        raise DesaliError(f"replicates must be a whole number of at least 0, got {replicates!r}")
    require_packages(tensorboard)
    from desali.data.preprocess import Preprocessing
    from desali.training.devices import check_devices, is_first
    from desali.training.inputs import Prepared
    from desali.training.stages import StageTrainer

    chosen = [entry if isinstance(entry, Recipe) else recipe(entry, architecture) for entry in recipes]
    entry = find_architecture(architecture)
    preprocessing = preprocessing or Preprocessing(**entry.preprocessing)
    check_datasets(chosen, datasets, preprocessing)
    for one in chosen if replicates else ():
        if one.stages[-1].weights is not None:
            raise DesaliError(
                f"{one.name}: its last stage comes from weights and is not trained, so it has no replicates; leave "
                "out --replicates"
            )
    check_size(entry, preprocessing)
    check_devices(devices, nodes, device)
    if fresh and (resume or nodes > 1):
        raise DesaliError(
            f"--fresh and {'--resume' if resume else 'several nodes'} exclude each other; delete {runs} instead"
        )
    memory = 0 if devices * nodes > 1 else input_memory  # other processes get the images as they are
    trainer = StageTrainer(
        datasets=datasets,
        runs=Path(runs),
        stages=stages or Path(runs) / STAGES,
        architecture=entry,
        preprocessing=preprocessing,
        prepared=Prepared(preprocessing, memory),
        first=is_first(),
        seed=seed,
        replicates=replicates,
        fresh=fresh,
        device=device,
        devices=devices,
        nodes=nodes,
        tensorboard=tensorboard,
        configuration=configuration,
        progress=progress,
        report=report or (lambda line: None),
    )
    if resume:
        trainer.check_begun(chosen)
    return {one.name: trainer.recipe(one) for one in chosen}
