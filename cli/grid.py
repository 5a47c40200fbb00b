"""`desali grid`: many images, a figure for each and contact sheets of all."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desali.cli.options import SectionedCommand
from desali.cli.parameters import dpi_option, folder_option, maps_option, models_option, runs_option
from desali.cli.showing import (
    ancestry_of,
    chosen,
    figure_options,
    follow_options,
    load_models,
    model_options,
    naming,
    settings_of,
)

if TYPE_CHECKING:
    from desali.figures.batch_work import Entry


@click.command(cls=SectionedCommand)
@click.option(
    "--rois", required=True, type=click.Path(path_type=Path),
    help="Folder of images, or a CSV table: path[,box | y,x,size][,page][,label], paths relative to it.",
)  # fmt: skip
@models_option
@folder_option("grid")
@click.option("--per-page", type=click.IntRange(1), default=10, show_default=True, help="Images on a contact sheet.")
@click.option("--skip-unreadable", is_flag=True, help="Name and count unreadable images instead of stopping at them.")
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True,
    help="Processes that make figures at the same time; PyTorch's threads are divided among them.",
)  # fmt: skip
@maps_option
@dpi_option(110)
@runs_option
@model_options
@figure_options
@follow_options
def grid_command(
    rois: Path,
    models: tuple[str, ...],
    output: Path,
    per_page: int,
    skip_unreadable: bool,
    workers: int,
    maps: Path | None,
    dpi: int,
    runs: Path,
    **options: Any,
) -> None:
    """Compare many images. Interrupted or repeated, it makes only what is missing or would come out differently."""
    from desali.figures.workers import prepare

    if workers > 1:
        prepare()
    from desali.errors import OutputError
    from desali.figures.batch import entries, make
    from desali.figures.viewer import Viewer
    from desali.output.arrays import check_arrays
    from desali.output.files import check_writable
    from desali.output.lock import locked
    from desali.output.progress import counted

    def progress(batch: Sequence[Entry]) -> Iterable[Entry]:
        return counted(batch, "figures", "image")

    asked = chosen(options)
    batch = entries(rois, asked.image.box, output, lambda line: click.echo(line, err=True))
    blocked = None
    try:
        check_writable(output, folder=True)
    except OutputError as error:
        if not output.is_dir():
            raise
        blocked = error
    if maps is not None:
        check_arrays(maps)
    loaded = load_models(models, runs, None, options)
    viewer = Viewer(loaded, settings_of(asked, loaded), **ancestry_of(loaded, runs, options))
    with naming(asked), locked(output):
        outcome = make(
            viewer, batch, output, ["desali", *sys.argv[1:]],
            reading=asked.image, skip_unreadable=skip_unreadable, per_page=per_page, dpi=dpi, maps=maps,
            progress=progress, blocked=blocked, workers=workers,
        )  # fmt: skip
    for reason in outcome.skipped:
        click.echo(f"left out: {reason}", err=True)
    made, kept, left = len(outcome.made), len(outcome.kept), len(outcome.skipped)
    click.echo(f"{output}: {made} figures made, {kept} already there, {left} images left out")
    for sheet in outcome.sheets:
        click.echo(sheet)
    if maps is not None and maps.exists():
        click.echo(f"maps: {maps}")
