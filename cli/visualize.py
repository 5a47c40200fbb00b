"""`desali visualize`: one image, one model, layer by layer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from desali.cli.parameters import MODEL_HELP, image_options, reversal_options, runs_option


@click.command()
@click.option("--model", "model_name", required=True, help=f"{MODEL_HELP}.")
@click.option(
    "--weights", type=click.Path(path_type=Path),
    help='Weights of a network by name (.safetensors or a state dict), or "random"; trained recipes bring their own.',
)  # fmt: skip
@click.option("--roi", required=True, type=click.Path(path_type=Path), help="PNG, JPEG, TIFF or DICOM file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Figure to write; default ROI-MODEL.png here.")
@click.option("--dpi", type=int, default=150, show_default=True, help="Pixels per inch.")
@runs_option
@image_options
@reversal_options
def visualize_command(
    model_name: str, weights: Path | None, roi: Path, output: Path | None, dpi: int, runs: Path, **options: Any
) -> None:
    """Show what one model sees in an image: activations and reconstructions, layer by layer, beside their controls."""
    from desali.cli.showing import load_models, read, settings_of
    from desali.figures.viewer import Viewer
    from desali.output.files import check_writable

    image = read(roi, options)
    models = load_models(model_name, runs, weights)
    target = output or Path(f"{roi.stem}-{'-'.join(models)}.png")
    check_writable(target)
    figure = Viewer(models, settings_of(options, models)).figure(image)
    click.echo(figure.save(target, dpi=dpi, command=["desali", *sys.argv[1:]]))
