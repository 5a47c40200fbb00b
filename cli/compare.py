"""`desali compare`: one image through all models, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from desali.cli.parameters import dpi_option, image_options, models_option, reversal_options, roi_option, runs_option


@click.command()
@roi_option
@models_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Figure to write; default ROI-compare.png here.")
@dpi_option(150)
@runs_option
@image_options
@reversal_options
def compare_command(
    roi: Path, models: tuple[str, ...], output: Path | None, dpi: int, runs: Path, **options: Any
) -> None:
    """Show one image through all models: rows are layers, columns the input, the models and two controls.

    Prints the figure's path, and a table of how alike the models' maps are to each other and to the random control's.
    """
    from desali.cli.showing import draw, load_models, read, settings_of
    from desali.figures.compare import comparing
    from desali.output.files import check_writable

    image = read(roi, options)
    target = output or Path(f"{roi.stem}-compare.png")
    check_writable(target)
    loaded = load_models(models, runs)
    figure = draw(comparing(loaded, settings_of(options, loaded)), image, target, dpi)
    click.echo(target)
    click.echo(figure.table())
