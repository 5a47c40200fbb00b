"""`desali evaluate`: how well the trained recipes classify, with intervals and paired differences."""

from __future__ import annotations

from pathlib import Path

import click

from desali.cli.parameters import runs_option
from desali.training.recipes import RECIPES, recipe


@click.command()
@click.argument("names", nargs=-1, metavar="[RECIPE...|all]")
@runs_option
@click.option("--resamples", type=click.IntRange(100), default=2000, show_default=True, help="Of the bootstrap.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the bootstrap.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write all figures to this file.")
def evaluate_command(names: tuple[str, ...], runs: Path, resamples: int, seed: int, json_file: Path | None) -> None:
    """Print how well trained recipes classify images of patients they have not seen (default: all recipes).

    Predictions and figures are kept under RUNS/evaluation. The data are synthetic.
    """
    from desali.evaluation.evaluate import EVALUATION, evaluate_recipes
    from desali.evaluation.table import format_table
    from desali.files import check_writable, write_json
    from desali.training.domains import synthetic_evaluation
    from desali.training.pipeline import require_packages

    chosen = list(RECIPES) if not names or names == ("all",) else [recipe(name).name for name in names]
    chosen = list(dict.fromkeys(chosen))
    require_packages()
    if json_file is not None:
        check_writable(json_file)
    if runs.is_dir():
        check_writable(runs / EVALUATION, folder=True)
    images = synthetic_evaluation(chosen, runs)
    comparison = evaluate_recipes(chosen, images, runs, resamples=resamples, seed=seed)
    click.echo(format_table(comparison))
    click.echo("\nThe data are synthetic: these figures say nothing about patients.")
    click.echo(f"kept in {runs / EVALUATION}")
    if json_file is not None:
        write_json(json_file, comparison.to_dict())
