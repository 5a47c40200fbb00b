"""`desali compare`: one image through all models, side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from desali.cli.parameters import MODEL_HELP, image_options, reversal_options, runs_option


@click.command()
@click.option("--roi", required=True, type=click.Path(path_type=Path), help="PNG, JPEG, TIFF or DICOM file.")
@click.option(
    "--models", "names", default="scratch,texture,natural,two_stage", show_default=True,
    help=f"With commas between, of one architecture: {MODEL_HELP}, with @FILE or @random behind a network.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Figure to write; default ROI-compare.png here.")
@click.option("--dpi", type=int, default=150, show_default=True, help="Pixels per inch.")
@runs_option
@image_options
@reversal_options
def compare_command(roi: Path, names: str, output: Path | None, dpi: int, runs: Path, **options: Any) -> None:
    """Show one image through all models: rows are layers, columns the input, the models and two controls."""
    from desali.cli.showing import load_models, read, settings_of
    from desali.figures.compare import comparing
    from desali.output.files import check_writable

    image = read(roi, options)
    target = output or Path(f"{roi.stem}-compare.png")
    check_writable(target)
    models = load_models(names, runs)
    figure = comparing(models, settings_of(options, models)).figure(image)
    click.echo(figure.save(target, dpi=dpi, command=["desali", *sys.argv[1:]]))
