"""`desali compare`: one image through all models, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from desali.cli.options import SectionedCommand
from desali.cli.parameters import dpi_option, models_option, roi_option, runs_option
from desali.cli.showing import chosen, draw, figure_options, load_models, settings_of


@click.command(cls=SectionedCommand)
@roi_option
@models_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Figure to write; default ROI-compare.png here.")
@dpi_option(150)
@runs_option
@figure_options
def compare_command(
    roi: Path, models: tuple[str, ...], output: Path | None, dpi: int, runs: Path, **options: Any
) -> None:
    """Show one image through all models: rows are layers, columns the input, the models and two controls.

    Prints the figure's path, and a table of how alike the models' maps are to each other and to the random control's.
    """
    from desali.figures.compare import comparing
    from desali.output.files import check_writable

    reading, shown = chosen(options)
    image = reading.read(roi)
    target = output or Path(f"{roi.stem}-compare.png")
    check_writable(target)
    loaded = load_models(models, runs)
    figure = draw(comparing(loaded, settings_of(reading, shown, loaded)), image, target, dpi)
    click.echo(target)
    click.echo(figure.table())
