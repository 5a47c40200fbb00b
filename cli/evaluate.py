"""`desali evaluate`: how well the trained recipes classify, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desali.cli.parameters import device_option, runs_option, seed_option
from desali.errors import DataError
from desali.training.recipes import RECIPES, recipe

if TYPE_CHECKING:
    from desali.evaluation.predictions import Predictions


@click.command()
@click.argument("names", nargs=-1, metavar="[RECIPE...|all]")
@runs_option
@click.option("--resamples", type=click.IntRange(100), default=2000, show_default=True, help="Of the bootstrap.")
@seed_option("Of the bootstrap and the baselines.")
@device_option()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "latex", "json"]),
    default="text",
    show_default=True,
    help="Of what is printed or written to --output.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the table there instead of printing it.")
@click.option(
    "--target",
    metavar="SPEC",
    help="Images to evaluate on, READER:PATH or PATH; default: the part 'test' of the data that was trained on.",
)
@click.option("--skip-unreadable", is_flag=True, help="Leave out images that cannot be read; they are named.")
@click.option("--plots", type=click.Path(path_type=Path), metavar="DIR", help="Draw confusion, reliability and curves.")
@click.option("--baseline", is_flag=True, help="Also train texture features + SVM and HU thresholds, without networks.")
@click.option(
    "--predictions",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE...",
    help="Compare saved predictions (.npz, of one training or a whole experiment) instead of models; several seeds of "
    "one recipe are one model.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write all metrics to this file.")
def evaluate_command(
    names: tuple[str, ...],
    runs: Path,
    resamples: int,
    seed: int,
    device: str,
    form: str,
    output: Path | None,
    target: str | None,
    skip_unreadable: bool,
    plots: Path | None,
    baseline: bool,
    files: tuple[Path, ...],
    json_file: Path | None,
) -> None:  # fmt: skip
    """Print how well trained recipes classify images of patients they have not seen (default: all recipes).

    Predictions and metrics are kept under RUNS/evaluation, those of another --seed under a name of their
    own. Recipes trained on synthetic images are evaluated on others
    of invented patients. With --predictions the data are those of the files, and nothing is kept.
    """
    from desali.evaluation.export import FORMATS
    from desali.output.files import check_writable, write_text

    for path in (output, json_file):
        if path is not None:
            check_writable(path)
    if plots is not None:
        check_writable(plots, folder=True)
    if files:
        if baseline:
            raise DataError("--baseline needs images to learn from; saved predictions have none: leave one of them out")
        from desali.evaluation.bundle import all_of
        from desali.evaluation.comparison import compare

        predictions = all_of((*files, *map(Path, names)))
        comparison = compare(predictions, resamples=resamples, seed=seed)
        kept = None
    else:
        from desali.evaluation.evaluate import EVALUATION, evaluate_recipes, load_kept
        from desali.training.checks import require_packages
        from desali.training.held_out import target_and_held_out

        chosen = list(RECIPES) if not names or names == ("all",) else [recipe(name).name for name in names]
        chosen = list(dict.fromkeys(chosen))
        require_packages()
        kept = runs / EVALUATION
        if runs.is_dir():
            check_writable(kept, folder=True)
        training, images = target_and_held_out(
            chosen,
            runs,
            target,
            training=baseline,
            skip_unreadable=skip_unreadable,
            report=lambda line: click.echo(line, err=True),
        )
        others: Sequence[Predictions] = ()
        if baseline and training is not None:
            from desali.training.baseline import baselines

            click.echo("training the baselines", err=True)
            others = baselines(training, images, seed)
        comparison = evaluate_recipes(
            chosen, images, runs, resamples=resamples, seed=seed, others=others, device=device
        )
        predictions = load_kept(chosen, kept, [one.recipe for one in others], seed) if plots is not None else []
    text = FORMATS[form](comparison)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
        click.echo(f"written to {output}")
    if form == "text" or output is not None:
        click.echo(f"\nOrigin of the data: {comparison.origin}.")
        if "synthetic" in comparison.origin:
            click.echo("The data are synthetic: these metrics say nothing about patients.")
        if kept is not None:
            click.echo(f"kept in {kept}")
    if json_file is not None:
        write_text(json_file, FORMATS["json"](comparison))
    if plots is not None:
        from desali.evaluation.plots import plot

        drawn = plot(predictions, comparison, plots)
        click.echo(f"{len(drawn)} plots in {plots}", err=True)
