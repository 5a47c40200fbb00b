"""`desali train`: train one recipe or all, each stage once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from desali.cli.parameters import runs_option
from desali.training.recipes import MODES, OPTIMIZERS, RECIPES, recipe


@click.command()
@click.argument("name", metavar="RECIPE|all")
@runs_option
@click.option(
    "--architecture", default="caffenet-small", show_default=True, help="caffenet-small (64 px) or caffenet (227 px)."
)
@click.option("--epochs", type=int, help="Most epochs of every stage; early stopping may end it before.")
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), help="Default: adamw.")
@click.option("--learning-rate", type=float, help="At the first epoch of every stage.")
@click.option("--batch-size", type=int, help="Images a step.")
@click.option(
    "--mode", type=click.Choice(MODES), help="What the target stage trains after a transfer; default: fine_tuning."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Of weights, batches, augmentation and dropout.",
)
@click.option(
    "--data", type=click.Choice(["synthetic"]), default="synthetic", show_default=True, help="Images to train on."
)
@click.option(
    "--data-seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the synthetic images."
)
@click.option(
    "--data-share",
    type=float,
    default=1.0,
    show_default=True,
    help="Share of each target class to train on, in (0, 1], at least 2 images; only the target domain is cut.",
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Train every stage anew; else finished stages are reused and an interrupted one goes on after its last epoch.",
)
def train_command(
    name: str,
    runs: Path,
    architecture: str,
    mode: Any,
    seed: int,
    data: str,
    data_seed: int,
    data_share: float,
    fresh: bool,
    **options: Any,
) -> None:
    """Train a recipe (scratch, texture, natural, two_stage) or all.

    A stage that several recipes need is trained once. The data are synthetic.
    """
    from desali.files import check_writable
    from desali.models.registry import architecture as find_architecture
    from desali.training.domains import domains_of, synthetic_datasets
    from desali.training.pipeline import require_packages, train

    names = list(RECIPES) if name == "all" else [name]
    given = {key: value for key, value in options.items() if value is not None}
    recipes = [recipe(one).with_options(mode, **given) for one in names]
    find_architecture(architecture)
    require_packages()
    check_writable(runs, folder=True)
    click.echo(f"making the {data} images", err=True)
    datasets = synthetic_datasets(domains_of(recipes), data_seed, data_share)
    trained = train(
        recipes, datasets, runs, architecture, seed, fresh=fresh, progress=sys.stderr.isatty(), report=click.echo
    )
    for result in trained.values():
        click.echo(f"{result.name}: {result.weights}")
    click.echo(f"trained on {data} images; `desali evaluate {name} --runs {runs}` says how well")
