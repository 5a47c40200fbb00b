"""`desali crossvalidate`: recipes trained and predicted fold by fold, so that every patient is held out once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from desali.cli.experiments import LEFT_OUT, experiment_options
from desali.cli.options import SectionedCommand, taken
from desali.cli.parameters import folder_option, recipes_argument, set_threads
from desali.cli.train import configuration
from desali.experiments.options import CrossValidationOptions


@click.command(cls=SectionedCommand)
@recipes_argument("[RECIPE...|all]")
@experiment_options(CrossValidationOptions)
@click.option("--plots/--no-plots", default=True, show_default=True, help="Write reliability, ROC and PR curves.")
@folder_option("crossvalidation")
def crossvalidate_command(name: str | None, plots: bool, output: Path, **options: Any) -> None:
    """Train one recipe, several or all on every fold and seed, and compare them on the pooled predictions.

    No patient is ever on both sides. Without --folds each patient is left out once; a data set with parts "train" and
    "test", like the synthetic one, is used as it is. Interrupted, the same command goes on where it stopped. Metrics,
    plots and predictions are written to the folder OUTPUT; `desali evaluate --predictions OUTPUT/predictions.npz` makes
    the tables again.
    """
    from desali.cli.experiments import experiment, trained
    from desali.evaluation.bundle import NAME, save_trainings
    from desali.evaluation.comparison import compare
    from desali.evaluation.export import format_csv, format_latex
    from desali.evaluation.plots import plot
    from desali.evaluation.table import format_table
    from desali.experiments.runner import RECORD
    from desali.output.files import check_writable, write_json, write_text

    chosen = configuration(name, options, *LEFT_OUT)
    asked = CrossValidationOptions(**taken(CrossValidationOptions, options))
    check_writable(output, folder=True)
    set_threads(chosen.threads)
    one = experiment(chosen, asked)
    found = trained(one, output, asked.keep_weights, RECORD)[1.0]
    save_trainings(output / NAME, {1.0: found})
    comparison = compare(found, resamples=asked.resamples)
    table = format_table(comparison)
    write_json(output / "evaluation.json", comparison.to_dict())
    write_text(output / "evaluation.csv", format_csv(comparison))
    write_text(output / "evaluation.tex", format_latex(comparison))
    write_text(output / "evaluation.txt", table + "\n")
    if plots:
        plot(found, comparison, output / "plots")
    click.echo(table)
    click.echo(f"kept in {output}")
