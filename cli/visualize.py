"""`desali visualize`: one image, one model, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from desali.cli.options import SectionedCommand
from desali.cli.parameters import MODEL_HELP, Names, dpi_option, roi_option, runs_option
from desali.cli.showing import chosen, draw, figure_options, load_models, model_options, settings_of


@click.command(cls=SectionedCommand)
@click.option("--model", type=Names(), required=True, metavar="NAME", help=f"{MODEL_HELP}.")
@click.option(
    "--weights", type=click.Path(path_type=Path),
    help='Weights of a network by name (.safetensors or a state dict), or "random"; trained recipes bring their own.',
)  # fmt: skip
@roi_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Figure to write; default ROI-MODEL.png here.")
@dpi_option(150)
@runs_option
@model_options
@figure_options
def visualize_command(
    model: tuple[str, ...],
    weights: Path | None,
    roi: Path,
    output: Path | None,
    dpi: int,
    runs: Path,
    **options: Any,
) -> None:
    """Show what one model sees in an image: activations and reconstructions, layer by layer, beside their controls."""
    from desali.figures.viewer import Viewer
    from desali.output.files import check_writable

    reading, shown = chosen(options)
    image = reading.read(roi)
    models = load_models(model, runs, weights, options)
    target = output or Path(f"{roi.stem}-{'-'.join(models)}.png")
    check_writable(target)
    draw(Viewer(models, settings_of(reading, shown, models)), image, target, dpi)
    click.echo(target)
