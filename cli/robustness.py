"""`desali robustness`: how figures change with the share of the training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from desali.cli.experiments import Fractions, experiment_options


@click.command()
@click.argument("name", metavar="[RECIPE|all]", required=False)
@experiment_options
@click.option(
    "--fractions", type=Fractions(), default="0.2,0.4,0.6,0.8,1", show_default=True, help="Of the training data."
)
@click.option(
    "--by", type=click.Choice(["rois", "patients"]), default="rois", show_default=True, help="What is left out."
)
@click.option(
    "--equal-steps/--equal-epochs", default=True, show_default=True,
    help="Train small fractions for as many steps as all of the data, or for as many epochs.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default="robustness", show_default=True, help="Folder."
)
def robustness_command(
    name: str | None,
    config: Path | None,
    folds: int | None,
    seeds: tuple[int, ...] | None,
    baselines: bool,
    keep_weights: bool,
    threads: int | None,
    resamples: int,
    fractions: tuple[float, ...],
    by: Any,
    equal_steps: bool,
    output: Path,
    **options: Any,
) -> None:
    """Train a recipe or all on fractions of the training data, and draw the curves with their intervals.

    The parts of the data that are predicted stay the same. Interrupted, the same command goes on where it stopped; in a
    folder that `desali crossvalidate` filled with the same options the trainings on all of the data are already there.
    """
    from desali.cli.experiments import configuration, experiment, progress, say, set_threads
    from desali.experiments.curve_plot import plot_robustness
    from desali.experiments.robustness import format_robustness, robustness, robustness_csv
    from desali.experiments.runner import run
    from desali.output.files import check_writable, write_json, write_text

    chosen = configuration(name, config, options)
    check_writable(output, folder=True)
    set_threads(threads)
    one = experiment(chosen, folds, seeds, baselines, fractions=fractions, by=by, equal_steps=equal_steps)
    found = run(one, output, keep_weights=keep_weights, progress=progress, report=say)
    result = robustness(found, by, resamples=resamples)
    text = "\n\n".join(format_robustness(result, figure) for figure in ("macro recall", "macro F1"))
    write_json(output / "robustness.json", result.to_dict())
    write_text(output / "robustness.csv", robustness_csv(result))
    write_text(output / "robustness.txt", text + "\n")
    picture = plot_robustness(result, output / "robustness.png")
    click.echo(text)
    click.echo(f"kept in {output}, curves in {picture}")
