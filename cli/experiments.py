"""What `crossvalidate` and `robustness` share: their options, the experiment that these name, and its progress."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desali.cli.parameters import _ParamType, _stack
from desali.cli.train import WholeNumbers, data_options, stage_options

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.experiments.runner import Baseline, Experiment
    from desali.experiments.splits import Design
    from desali.training.config import TrainingConfig


class Fractions(_ParamType):
    """Fractions in (0, 1] with commas between."""

    name = "fractions"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if not numbers or not all(0 < number <= 1 for number in numbers):
            self.fail(
                f"{value!r}: expected fractions in (0, 1] with commas between, for instance 0.2,0.6,1", param, ctx
            )
        return numbers


experiment_options = _stack(
    [
        click.option("--config", type=click.Path(path_type=Path), help="TOML file as `desali train` takes it."),
        click.option("--architecture", help="See `desali train`. Default: caffenet-small."),
        click.option("--size", type=int, help="Side of the network's input in pixels, where it takes several."),
        click.option("--accelerator", help="auto (the default), cpu, gpu or another of Lightning's names."),
        data_options,
        stage_options,
        click.option("--folds", type=int, help="Folds of whole patients; default: leave one patient out."),
        click.option(
            "--seeds", type=WholeNumbers(), help="Trainings, e.g. 0,1,2. Default: the configuration's seed, else 0."
        ),
        click.option(
            "--baselines/--no-baselines", default=True, show_default=True,
            help="Also texture features with an SVM, and in HU thresholds on the densities.",
        ),
        click.option("--keep-weights", is_flag=True, help="Keep every trained model under OUTPUT/models."),
        click.option(
            "--threads", type=click.IntRange(1), help="Of the processor for torch; results repeat for one number only.",
        ),
        click.option(
            "--resamples", type=click.IntRange(100), default=2000, show_default=True, help="Of the bootstrap."
        ),
    ]
)  # fmt: skip
_RUN = ("architecture", "size", "accelerator")
_UNUSED = ("devices", "nodes", "tensorboard", "input_memory")
_DATA = ("natural", "texture", "target", "data_seed", "data_share", "skip_unreadable", "hu_offset", "window", "cache")


def configuration(name: str | None, config: Path | None, options: dict[str, Any]) -> TrainingConfig:
    """The configuration that the file and the options name; used options leave `options`."""
    from desali.training.config import TrainingConfig, read_config

    run = {key: options.pop(key) for key in _RUN}
    data = {key.removeprefix("data_"): options.pop(key) for key in _DATA}
    weights = {domain: options.pop(f"{domain}_weights") for domain in ("natural", "texture")}
    base = read_config(config) if config else TrainingConfig()
    return base.with_options(data, options, weights, recipe=name, **run)


def experiment(
    chosen: TrainingConfig, folds: int | None, seeds: Sequence[int] | None, baselines: bool, **settings: Any
) -> Experiment:
    """Read the data and make the experiment; without `seeds` it is trained with the configuration's.

    Raises:
        DataError, WeightsError, UnknownNameError, DesaliError: see the message.
    """
    from desali.experiments.runner import Experiment
    from desali.models.registry import architecture
    from desali.training.checks import check_size, require_packages
    from desali.training.domains import datasets_of, domains_of

    require_packages(False)
    from desali.training.devices import check_devices

    _say_unused(chosen)
    recipes, preprocessing = chosen.recipes, chosen.preprocessing
    check_size(architecture(chosen.architecture), preprocessing)
    check_devices(1, 1, chosen.accelerator)
    domains = [domain for domain in domains_of(recipes) if domain != "target"]
    pretraining = datasets_of(domains, chosen.data, preprocessing.size, progress=sys.stderr.isatty(), report=say)
    design = _design(chosen, folds, preprocessing.size)
    for line in design.unseen():
        say(line)
    return Experiment(
        recipes,
        pretraining,
        design,
        (chosen.seed,) if seeds is None else seeds,
        architecture=chosen.architecture,
        preprocessing=preprocessing,
        accelerator=chosen.accelerator,
        baselines=_baselines(design.evaluated) if baselines else {},
        **settings,
    )


def _say_unused(chosen: TrainingConfig) -> None:
    """Name what the configuration asks for and an experiment does not do."""
    plain = type(chosen)()
    unused = [name for name in _UNUSED if getattr(chosen, name) != getattr(plain, name)]
    if unused:
        say(f"of the configuration {', '.join(unused)} are for `desali train` alone and not used here")


def _design(chosen: TrainingConfig, folds: int | None, size: int) -> Design:
    from desali.data.readers.reading import find_images
    from desali.experiments.splits import fixed, leave_one_patient_out, patient_folds
    from desali.training.domains import SYNTHETIC, datasets_of, synthetic_datasets

    spec = str(chosen.data.get("target", SYNTHETIC))
    seed = int(chosen.data.get("seed", 0))
    if spec == SYNTHETIC:
        from desali.data import synthetic

        say("making the synthetic images: target")
        training = synthetic_datasets(["target"], seed, chosen.data.get("share", 1.0))["target"]
        given = {key: training.parameters[key] for key in ("seed", "train", "evaluation", "floor")}
        if folds is None:
            return fixed(training, synthetic.target(**given)[1])
        return patient_folds(training, folds)
    parts = find_images(spec, hu_offset=chosen.data.get("hu_offset")).selection.splits

    def read(part: str) -> ImageSet:
        data = {**chosen.data, "target": part}
        return datasets_of(["target"], data, size, progress=sys.stderr.isatty(), report=say)["target"]

    if folds is None and "split=" not in spec and {"train", "test"} <= set(parts):
        mark = "&" if "?" in spec else "?"
        return fixed(read(f"{spec}{mark}split=train"), read(f"{spec}{mark}split=test"))
    images = read(spec)
    return leave_one_patient_out(images) if folds is None else patient_folds(images, folds)


def _baselines(images: ImageSet) -> dict[str, Baseline]:
    from desali.training.baseline import texture_baseline, threshold_baseline

    found: dict[str, Baseline] = {"texture features + SVM": texture_baseline}
    if images.unit == "hu":
        found["HU thresholds"] = lambda training, held, seed: threshold_baseline(training, held)
    return found


def set_threads(threads: int | None) -> None:
    """Use so many threads; None leaves torch's own number."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def progress(parts: Sequence[Any]) -> Any:
    """A bar over the parts that are left, on stderr."""
    from tqdm import tqdm

    return tqdm(parts, desc="trainings", unit="training", file=sys.stderr, smoothing=0.1, disable=None)


def say(line: str) -> None:
    """A line on stderr that leaves a progress bar whole."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)
