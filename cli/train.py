"""`desali train`: train one recipe or all, each stage once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from desali.cli.parameters import _ParamType, _stack, window_option
from desali.training.recipes import MODES, OPTIMIZERS

SEED = click.IntRange(0, 2**63 - 1)


class WholeNumbers(_ParamType):
    """Whole numbers with commas between, any count of them."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: expected whole numbers with commas between, for instance 8,16", param, ctx)


stage_options = _stack(
    [
        click.option("--epochs", type=int, help="Most epochs of every stage; early stopping may end it before."),
        click.option("--optimizer", type=click.Choice(OPTIMIZERS), help="Default: adamw."),
        click.option("--learning-rate", type=float, help="At the first epoch of every stage."),
        click.option("--momentum", type=float, help="Of SGD; the first beta of AdamW. Default: 0.9."),
        click.option("--weight-decay", type=float, help="Default: 0.01."),
        click.option("--clip", type=float, help="Largest norm of the gradient. Default: 1."),
        click.option(
            "--schedule", type=click.Choice(["cosine", "step", "constant"]), help="Of the rate. Default: cosine."
        ),
        click.option("--milestones", type=WholeNumbers(), help="Epochs after which the step schedule falls."),
        click.option("--decay", type=float, help="Factor of the schedule step. Default: 0.1."),
        click.option("--batch-size", type=int, help="Images a step, over all devices. Default: 64."),
        click.option(
            "--balance/--no-balance", default=None, help="Draw every class with equal probability. Default: yes."
        ),
        click.option("--label-smoothing", type=float, help="In [0, 1). Default: 0."),
        click.option(
            "--augmentation", type=click.Choice(["none", "mirror", "dihedral"]),
            help="Flips and right-angle rotations. Default: mirror for natural, else dihedral.",
        ),
        click.option("--shift", type=int, help="Most pixels of a random shift. Default: 0."),
        click.option("--noise-hu", type=float, help="Standard deviation of noise in HU, on the target. Default: 0."),
        click.option(
            "--precision", type=click.Choice(["fp32", "bf16", "fp16"]), help="bf16 and fp16 are mixed. Default: fp32."
        ),
        click.option(
            "--mode", type=click.Choice(MODES),
            help="What the target stage trains after a transfer; default: fine_tuning.",
        ),
        click.option(
            "--unfreeze-every", type=int,
            help="Epochs after which further blocks of the target stage are trained too, the classifier first; 0: all.",
        ),
        click.option("--unfreeze-blocks", type=int, help="Blocks added at a time. Default: 1."),
        click.option("--layer-decay", type=float, help="Factor of the rate for each block below the classifier."),
        click.option("--validation", type=float, help="Share held out for early stopping, by groups. Default: 0.2."),
        click.option(
            "--criterion", type=click.Choice(["balanced_accuracy", "loss"]), help="What early stopping watches."
        ),
        click.option("--patience", type=int, help="Epochs without improvement that end a stage. Default: 4."),
    ]
)  # fmt: skip

data_options = _stack(
    [
        click.option("--natural", metavar="SPEC", help="Natural images: READER:PATH or PATH. Default: synthetic."),
        click.option("--texture", metavar="SPEC", help="Textures. Default: synthetic."),
        click.option("--target", metavar="SPEC", help="Images of the task. Default: synthetic."),
        click.option("--natural-weights", metavar="FILE", help="Weights that stand for the natural stage."),
        click.option("--texture-weights", metavar="FILE", help="Weights that stand for the texture stage."),
        click.option("--data-seed", type=SEED, help="Of the synthetic images. Default: 0."),
        click.option(
            "--data-share", type=float,
            help="Share of each synthetic target class to train on, in (0, 1], at least 2 images. Default: 1.",
        ),
        click.option("--skip-unreadable", is_flag=True, default=None, help="Leave out images that cannot be read."),
        click.option("--hu-offset", type=float, help="HU = pixel + offset, for unsigned 16-bit images."),
        click.option("--cache", metavar="DIR", help="Folder of decoded images. Default: the user's cache folder."),
        window_option,
    ]
)  # fmt: skip

run_options = _stack(
    [
        click.option("--runs", help="Folder of trained models. Default: runs."),
        click.option(
            "--architecture",
            help="caffenet-small (64 px, the default), caffenet (227 px), squeezenet1_0, torchvision:NAME, timm:NAME.",
        ),
        click.option("--size", type=int, help="Side of the network's input in pixels, where it takes several."),
        click.option("--seed", type=SEED, help="Of weights, batches, augmentation and dropout. Default: 0."),
        click.option("--accelerator", help="auto (the default), cpu, gpu or another of Lightning's names."),
        click.option("--devices", type=int, help="Processes on this machine, one a device. Default: 1."),
        click.option("--nodes", type=int, help="Machines; see docs/training.md. Default: 1."),
        click.option("--tensorboard", is_flag=True, default=None, help="Write figures for TensorBoard too."),
        click.option("--input-memory", type=int, help="MiB of prepared images to keep in memory. Default: 1024."),
    ]
)
_RUN = ("runs", "architecture", "size", "seed", "accelerator", "devices", "nodes", "tensorboard", "input_memory")
_DATA: dict[str, Callable[[Any], Any]] = {
    "natural": str, "texture": str, "target": str, "data_seed": int, "data_share": float, "skip_unreadable": bool,
    "hu_offset": float, "window": tuple, "cache": str,
}  # fmt: skip


@click.command()
@click.argument("name", metavar="RECIPE|all", required=False)
@click.option("--config", type=click.Path(path_type=Path), help="TOML file of options; those given here win over it.")
@run_options
@data_options
@stage_options
@click.option("--resume", is_flag=True, help="Go on with an interrupted run, and refuse if there is none.")
@click.option(
    "--fresh",
    is_flag=True,
    help="Train every stage anew; else finished stages are reused and an interrupted one goes on after its last epoch.",
)
def train_command(name: str | None, config: Path | None, resume: bool, fresh: bool, **options: Any) -> None:
    """Train a recipe (scratch, texture, natural, two_stage) or all.

    A stage that several recipes need is trained once. Interrupted, the same command goes on after the last finished
    epoch. The data are synthetic unless others are given. runs/RECIPE/config.toml repeats the run.
    """
    from desali.errors import DesaliError
    from desali.output.files import check_writable
    from desali.training.checks import require_packages
    from desali.training.config import TrainingConfig, read_config
    from desali.training.domains import SYNTHETIC, datasets_of, domains_of
    from desali.training.pipeline import train

    if name is None and config is None:
        raise click.UsageError("name a recipe, all, or a file with --config")
    run = {key: options.pop(key) for key in _RUN}
    data = {key.removeprefix("data_"): options.pop(key) for key in _DATA}
    weights = {domain: options.pop(f"{domain}_weights") for domain in ("natural", "texture")}
    chosen = (read_config(config) if config else TrainingConfig()).with_options(
        data, options, weights, recipe=name, **run
    )
    recipes = chosen.recipes
    preprocessing = chosen.preprocessing
    require_packages(chosen.tensorboard)
    runs = Path(chosen.runs)
    if resume and not runs.is_dir():
        raise DesaliError(f"{runs}: nothing to resume, no such folder; leave out --resume to start")
    check_writable(runs, folder=True)
    shown = sys.stderr.isatty()
    domains = domains_of(recipes)
    datasets = datasets_of(
        domains, chosen.data, preprocessing.size, progress=shown, report=lambda line: click.echo(line, err=True)
    )
    trained = train(
        recipes,
        datasets,
        runs,
        chosen.architecture,
        chosen.seed,
        preprocessing=preprocessing,
        fresh=fresh,
        resume=resume,
        accelerator=chosen.accelerator,
        devices=chosen.devices,
        nodes=chosen.nodes,
        tensorboard=chosen.tensorboard,
        input_memory=chosen.input_memory,
        configuration=chosen.resolved,
        progress=shown,
        report=click.echo,
    )
    for result in trained.values():
        click.echo(f"{result.name}: {result.weights}")
    origins = sorted({"synthetic" if chosen.data.get(d, SYNTHETIC) == SYNTHETIC else d for d in domains})
    which = "synthetic images" if origins == ["synthetic"] else f"{', '.join(origins)} images"
    parameters = datasets["target"].parameters
    own = "spec" in parameters and parameters["options"].get("split") != "train"
    how = f"desali evaluate {chosen.recipe} --runs {runs}"
    if own:
        click.echo(
            f"trained on {which}; their target has no part 'test': `desali crossvalidate` with the same options says "
            f"how well, or `{how} --target SPEC` on other patients"
        )
    else:
        click.echo(f"trained on {which}; `{how}` says how well")
