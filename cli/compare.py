"""`desali compare`: one image through all models, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from desali.cli.options import SectionedCommand
from desali.cli.parameters import dpi_option, models_option, roi_option, runs_option
from desali.cli.showing import (
    ancestry_of,
    chosen,
    draw,
    figure_options,
    follow_options,
    load_models,
    model_options,
    settings_of,
)


@click.command(cls=SectionedCommand)
@roi_option
@models_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Figure to write; default ROI-compare.png here.")
@dpi_option(150)
@runs_option
@model_options
@figure_options
@follow_options
def compare_command(
    roi: Path, models: tuple[str, ...], output: Path | None, dpi: int, runs: Path, **options: Any
) -> None:
    """Show one image through all models: first what speaks for one class in each, then a row for each layer.

    Beside the models stand a replicate, if there is one, two networks with random weights and an edge detector. A
    layer's row shows one channel, the same in all models where it can be followed. Prints the figure's path, where
    weights and layers are equal, and a table of how alike the models' maps are to each other and to random networks'.
    """
    from desali.figures.compare import comparing
    from desali.output.files import check_writable

    reading, shown = chosen(options)
    image = reading.read(roi)
    target = output or Path(f"{roi.stem}-compare.png")
    check_writable(target)
    loaded = load_models(models, runs, None, options)
    viewer = comparing(loaded, settings_of(reading, shown, loaded), **ancestry_of(loaded, runs, options))
    figure = draw(viewer, image, target, dpi)
    click.echo(target)
    if figure.summary():
        click.echo(figure.summary())
    click.echo(figure.table())
