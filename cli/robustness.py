"""`desali robustness`: how metrics change with the share of the training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from desali.cli.experiments import LEFT_OUT, experiment_options
from desali.cli.options import SectionedCommand, taken
from desali.cli.parameters import folder_option, recipes_argument, set_threads
from desali.cli.train import configuration
from desali.experiments.options import RobustnessOptions


@click.command(cls=SectionedCommand)
@recipes_argument("[RECIPE...|all]")
@experiment_options(RobustnessOptions)
@click.option(
    "--predictions",
    "saved",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the curves of a file that this command wrote, and train nothing.",
)
@folder_option("robustness")
def robustness_command(name: str | None, saved: Path | None, output: Path, **options: Any) -> None:
    """Train one recipe, several or all on fractions of the training data, and draw the curves with their intervals.

    The parts of the data that are predicted stay the same. Interrupted, the same command goes on where it stopped; in a
    folder that `desali crossvalidate` filled with the same options the trainings on all of the data are already there.
    Fractions of patients and of ROIs keep files of their own.
    --predictions OUTPUT/robustness-rois-predictions.npz draws the same curves again.
    """
    from desali.cli.experiments import experiment, trained
    from desali.errors import DataError
    from desali.evaluation.bundle import NAME, load_trainings, save_trainings
    from desali.experiments.curve_plot import plot_robustness
    from desali.experiments.robustness import format_robustness, robustness, robustness_csv
    from desali.experiments.runner import RECORD
    from desali.output.files import check_writable, write_json, write_text

    if saved is not None:
        given = [f"--{key.replace('_', '-')}" for key, value in options.items() if value is not None]
        given = [key for key in given if key != "--resamples"] + ([name] if name else [])
        if given:
            raise DataError(f"{saved}: --predictions draws the trainings that the file holds; leave {given[0]} out")
        resamples = options["resamples"] or RobustnessOptions().resamples
        check_writable(output, folder=True)
        found, by = load_trainings(saved)
    else:
        chosen = configuration(name, options, *LEFT_OUT)
        asked = RobustnessOptions(**taken(RobustnessOptions, options))
        resamples, by = asked.resamples, asked.by
        check_writable(output, folder=True)
        set_threads(chosen.threads)
        one = experiment(chosen, asked)
        found = trained(one, output, asked.keep_weights, f"robustness-{by}-{RECORD}")
        save_trainings(output / f"robustness-{by}-{NAME}", found, by)
    stem = f"robustness-{by}"
    result = robustness(found, by, resamples=resamples)
    text = "\n\n".join(format_robustness(result, metric) for metric in ("macro F1", "macro recall"))
    write_json(output / f"{stem}.json", result.to_dict())
    write_text(output / f"{stem}.csv", robustness_csv(result))
    write_text(output / f"{stem}.txt", text + "\n")
    picture = plot_robustness(result, output / f"{stem}.png")
    click.echo(text)
    click.echo(f"kept in {output}, curves in {picture}")
