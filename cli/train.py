"""`desali train`: train one recipe or all, each stage once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desali.cli.options import SectionedCommand, options_from, taken
from desali.cli.parameters import _stack, recipes_argument, set_threads
from desali.errors import DesaliError
from desali.training.config import SYNTHETIC, DataConfig, TrainingConfig, read_config
from desali.training.stage import Stage

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet

config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file of options; those given here win over it."
)


def training_options(*leave_out: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds --config and the options of a training, without these of `TrainingConfig`."""
    return _stack(
        [
            config_option,
            options_from(TrainingConfig, "Run", leave_out),
            options_from(DataConfig, "Data"),
            options_from(Stage, "Stages"),
        ]
    )


def configuration(name: str | None, options: dict[str, Any], *leave_out: str) -> TrainingConfig:
    """The configuration that the file and the options name; options of `training_options` leave `options`.

    Raises:
        DesaliError, UnknownNameError: see `read_config`.
    """
    config: Path | None = options.pop("config")
    run, data, stage = (
        taken(owner, options, left) for owner, left in ((TrainingConfig, leave_out), (DataConfig, ()), (Stage, ()))
    )
    weights = {domain: options.pop(f"{domain}_weights") for domain in ("natural", "texture")}
    base = TrainingConfig() if config is None else read_config(config)
    return base.with_options(data, stage, weights, recipe=name, **run)


@click.command(cls=SectionedCommand)
@recipes_argument("RECIPE...|all")
@training_options()
@click.option("--resume", is_flag=True, help="Go on with an interrupted run, and refuse if there is none.")
@click.option(
    "--fresh",
    is_flag=True,
    help="Train every stage anew; else finished stages are reused and an interrupted one goes on after its last epoch.",
)
def train_command(name: str | None, resume: bool, fresh: bool, **options: Any) -> None:
    """Train recipes (scratch, texture, natural, two_stage; several with spaces or commas between) or all.

    A stage that several recipes need is trained once. Interrupted, the same command goes on after the last finished
    epoch. The data are synthetic unless others are given. runs/RECIPE/config.toml repeats the run. Replicates lie in
    runs/RECIPE/replicate-1 and so on.
    """
    from desali.output.files import check_writable
    from desali.output.lock import locked
    from desali.training.checks import check_weights, require_packages
    from desali.training.domains import datasets_of, domains_of
    from desali.training.pipeline import STAGES, train

    if name is None and options["config"] is None:
        raise click.UsageError("name a recipe, all, or a file with --config")
    chosen = configuration(name, options)
    recipes, preprocessing = chosen.recipes, chosen.preprocessing
    check_weights(recipes)
    require_packages(chosen.tensorboard)
    from desali.training.devices import check_devices, is_first  # need the packages

    check_devices(chosen.devices, chosen.nodes, chosen.device)
    set_threads(chosen.threads)
    runs = Path(chosen.runs)
    if resume and fresh:
        raise click.UsageError("--fresh trains anew and --resume goes on: leave one of them out")
    if resume and not (runs / STAGES).is_dir():
        what = "no stage has begun there" if runs.is_dir() else "no such folder"
        raise DesaliError(f"{runs}: nothing to resume, {what}; leave out --resume to start")
    check_writable(runs, folder=True)
    domains = domains_of(recipes)
    datasets = datasets_of(
        domains,
        chosen.data,
        preprocessing.size,
        resize=preprocessing.resize,
        progress=True,
        report=lambda line: click.echo(line, err=True),
    )
    with locked(runs) if is_first() else nullcontext():
        trained = train(
            recipes,
            datasets,
            runs,
            chosen.architecture,
            chosen.seed,
            replicates=chosen.replicates,
            preprocessing=preprocessing,
            fresh=fresh,
            resume=resume,
            device=chosen.device,
            devices=chosen.devices,
            nodes=chosen.nodes,
            tensorboard=chosen.tensorboard,
            input_memory=chosen.input_memory,
            configuration=chosen.resolved,
            progress=True,
            report=click.echo,
        )
    for result in trained.values():
        click.echo(f"{result.name}: {result.weights}")
        for weights in result.replicates:
            click.echo(f"{result.name}, {weights.parent.name.replace('-', ' ')}: {weights}")
    origins = sorted({"synthetic" if getattr(chosen.data, d) == SYNTHETIC else d for d in domains})
    which = "synthetic images" if origins == ["synthetic"] else f"{', '.join(origins)} images"
    how = f"desali evaluate {' '.join(trained)} --runs {runs}"
    click.echo(_next_step(which, how, datasets["target"]))


def _next_step(which: str, how: str, target: ImageSet) -> str:
    """What the recipes were trained on, and the command that says how well."""
    if "spec" in target.parameters and target.parameters["options"].get("split") != "train":
        return (
            f"trained on {which}; their target has no part 'test': `desali crossvalidate` with the same options says "
            f"how well, or `{how} --target SPEC` on other patients"
        )
    return f"trained on {which}; `{how}` says how well"
