"""`desali evaluate`: how well the trained recipes classify, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desali.cli.options import SectionedCommand, options_from, taken
from desali.cli.parameters import RandomSeed, runs_option
from desali.errors import DataError
from desali.evaluation.options import EvaluationOptions
from desali.training.recipes import recipe, recipe_names

if TYPE_CHECKING:
    from desali.evaluation.predictions import Predictions


@click.command(cls=SectionedCommand)
@click.argument("names", nargs=-1, metavar="[RECIPE...|all]")
@runs_option
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the table there instead of printing it.")
@click.option("--plots", type=click.Path(path_type=Path), metavar="DIR", help="Draw confusion, reliability and curves.")
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
@options_from(EvaluationOptions, "Evaluation", types={"seed": RandomSeed()})
def evaluate_command(
    names: tuple[str, ...],
    runs: Path,
    output: Path | None,
    plots: Path | None,
    files: tuple[Path, ...],
    json_file: Path | None,
    **options: Any,
) -> None:
    """Print how well trained recipes classify images of patients they have not seen (default: all recipes).

    Predictions and metrics are kept under RUNS/evaluation, those of another --seed under a name of their own. Recipes
    trained on synthetic images are evaluated on others of invented patients. With --predictions the data are those of
    the files, and nothing is kept.
    """
    from desali.evaluation.export import FORMATS
    from desali.output.files import check_writable, write_text

    asked = EvaluationOptions(**taken(EvaluationOptions, options))
    for path in (output, json_file):
        if path is not None:
            check_writable(path)
    if plots is not None:
        check_writable(plots, folder=True)
    if files:
        if asked.baseline:
            raise DataError("--baseline needs images to learn from; saved predictions have none: leave one of them out")
        from desali.evaluation.bundle import all_of
        from desali.evaluation.comparison import compare

        predictions = all_of((*files, *map(Path, names)))
        comparison = compare(predictions, resamples=asked.resamples, seed=asked.seed)
        kept = None
    else:
        from desali.evaluation.evaluate import EVALUATION, evaluate_recipes, load_kept
        from desali.training.checks import require_packages
        from desali.training.held_out import target_and_held_out

        chosen = [recipe(name).name for name in recipe_names(",".join(names) or "all")]
        require_packages()
        kept = runs / EVALUATION
        if runs.is_dir():
            check_writable(kept, folder=True)
        training, images = target_and_held_out(
            chosen,
            runs,
            asked.target,
            training=asked.baseline,
            skip_unreadable=asked.skip_unreadable,
            report=lambda line: click.echo(line, err=True),
        )
        others: Sequence[Predictions] = ()
        if asked.baseline and training is not None:
            from desali.training.baseline import baselines

            click.echo("training the baselines", err=True)
            others = baselines(training, images, asked.seed)
        comparison = evaluate_recipes(
            chosen, images, runs, resamples=asked.resamples, seed=asked.seed, others=others, device=asked.device
        )
        predictions = load_kept(chosen, kept, [one.recipe for one in others], asked.seed) if plots is not None else []
    text = FORMATS[asked.format](comparison)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
        click.echo(f"written to {output}")
    if asked.format == "text" or output is not None:
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
