"""What `crossvalidate` and `robustness` share: their options, the experiment that these name, and its progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.cli.options import options_from
from desali.cli.parameters import _stack
from desali.cli.train import training_options
from desali.experiments.options import CrossValidationOptions, RobustnessOptions
from desali.output.progress import counted
from desali.training.config import SYNTHETIC

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.data.readers.finding import Listings
    from desali.evaluation.predictions import Predictions
    from desali.experiments.runner import Experiment
    from desali.training.config import TrainingConfig
    from desali.training.splits import Design

TRAIN_ALONE = ("replicates", "devices", "nodes", "tensorboard", "input_memory")
"""Options of a training that an experiment does not use."""
LEFT_OUT = ("runs", "seed", *TRAIN_ALONE)
"""Options of a training that are no flags of an experiment; OUTPUT and --seeds take the place of the first two."""


def experiment_options(owner: type[CrossValidationOptions]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds the options of an experiment: those of `owner` and of a training."""
    return _stack([options_from(owner, "Experiment"), training_options(*LEFT_OUT)])


def experiment(chosen: TrainingConfig, options: CrossValidationOptions) -> Experiment:
    """Read the data and make the experiment; without seeds it is trained with the configuration's.

    Raises:
        DataError, WeightsError, UnknownNameError, DesaliError: see the message.
    """
    from desali.experiments.runner import Experiment
    from desali.models.registry import architecture
    from desali.training.baseline import baselines_for
    from desali.training.checks import check_size, check_weights, require_packages
    from desali.training.domains import datasets_of, domains_of

    require_packages(False)
    from desali.training.devices import check_devices

    _say_unused(chosen)
    recipes, preprocessing = chosen.recipes, chosen.preprocessing
    check_weights(recipes)
    check_size(architecture(chosen.architecture), preprocessing)
    check_devices(1, 1, chosen.device)
    domains = [domain for domain in domains_of(recipes) if domain != "target"]
    listings: Listings = {}
    pretraining = datasets_of(
        domains,
        chosen.data,
        preprocessing.size,
        resize=preprocessing.resize,
        listings=listings,
        progress=True,
        report=say,
    )
    design = _design(chosen, options.folds, preprocessing.size, listings)
    for line in design.unseen():
        say(line)
    of_fractions = isinstance(options, RobustnessOptions)
    names = ("fractions", "by", "equal_steps") if of_fractions else ()
    return Experiment(
        recipes,
        pretraining,
        design,
        (chosen.seed,) if options.seeds is None else options.seeds,
        architecture=chosen.architecture,
        preprocessing=preprocessing,
        device=chosen.device,
        baselines=baselines_for(design.evaluated.unit) if options.baselines else {},
        **{name: getattr(options, name) for name in names},
    )


def trained(one: Experiment, output: Path, keep_weights: bool, record: str) -> dict[float, list[Predictions]]:
    """Run the experiment in `output`, whose seeds no other process may train meanwhile; other seeds it may.

    Args:
        record: file for the configuration.
    """
    from desali.experiments.runner import run
    from desali.output.lock import locked

    with ExitStack() as held:
        for seed in one.seeds:
            held.enter_context(locked(output, f"seed{seed}"))
        return run(one, output, record=record, keep_weights=keep_weights, progress=progress, report=say)


def _say_unused(chosen: TrainingConfig) -> None:
    """Name what the configuration asks for and an experiment does not do."""
    plain = type(chosen)()
    unused = [name for name in TRAIN_ALONE if getattr(chosen, name) != getattr(plain, name)]
    if unused:
        say(f"of the configuration {', '.join(unused)} are for `desali train` alone and not used here")


def _design(chosen: TrainingConfig, folds: int | None, size: int, listings: Listings) -> Design:
    from desali.training.domains import find_domain, read_domain, synthetic_datasets, training_part
    from desali.training.splits import fixed, leave_one_patient_out, patient_folds

    data = chosen.data
    if data.target == SYNTHETIC:
        from desali.data.drawn import drawn_target

        say("making the synthetic images: lung phantoms")
        training = synthetic_datasets(["target"], data.seed, data.share)["target"]
        given = {key: training.parameters[key] for key in ("seed", "train", "evaluation", "floor")}
        if folds is None:
            return fixed(training, drawn_target("evaluation", **given))
        return patient_folds(training, folds)
    found = find_domain("target", data, size, listings)

    def read(part: Any) -> ImageSet:
        return read_domain("target", part, data, True, say)

    if folds is None and "split" not in found.options and {"train", "test"} <= set(found.selection.splits):
        return fixed(read(found.choose(split="train")), read(found.choose(split="test")))
    images = read(training_part(found))
    return leave_one_patient_out(images) if folds is None else patient_folds(images, folds)


def progress(parts: Sequence[Any]) -> Any:
    """A bar over the parts that are left, on stderr; lines where no terminal shows it."""
    return counted(parts, "trainings", "training", smoothing=0.1)


def say(line: str) -> None:
    """A line on stderr that leaves a progress bar whole."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)
