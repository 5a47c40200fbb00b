"""`desali explore`: a local page of models and images, where a click on a neuron shows what it sees in every model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from desali.cli.options import SectionedCommand, options_from, taken
from desali.cli.parameters import MODEL_HELP, RandomSeed, runs_option
from desali.models.options import ModelOptions
from desali.web.options import ExploreOptions

SERVER = ("host", "port", "remote", "browser", "cache")
"""Options that say nothing of what is shown."""


@click.command(cls=SectionedCommand)
@click.argument("files", nargs=-1, metavar="[FILE...]", type=click.Path(path_type=Path))
@click.option("--model", "models", metavar="SPEC", multiple=True, help=f"Several times for several: {MODEL_HELP}. "
              "Default: all that are trained under --runs.")  # fmt: skip
@click.option(
    "--lineage", "lineages", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
    help="What desali lineage wrote of two of the models: r, states and partners of their channels.",
)  # fmt: skip
@click.option("--state", metavar="STATE", help="Draw what this fragment of the page's address shows, with -o, and end.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="With --state: the figure, .png or .svg.")
@runs_option
@options_from(ModelOptions, "Networks by name")
@options_from(ExploreOptions, "What is shown, and to whom", types={"seed": RandomSeed()})
def explore_command(
    files: tuple[Path, ...],
    models: tuple[str, ...],
    lineages: tuple[Path, ...],
    state: str | None,
    output: Path | None,
    runs: Path,
    **options: Any,
) -> None:
    """Open a page where a click on a neuron shows its reconstruction in every model, beside its control.

    FILEs are images: PNG, JPEG, TIFF, DICOM, NIfTI; more can be dropped into the page. Models, images and lineages are
    those of this line; the page can name no others. It is served to this machine alone.
    """
    from desali.web.explorer.opened import opened

    asked = ExploreOptions(**taken(ExploreOptions, options))
    given = ModelOptions(**taken(ModelOptions, options))
    if (state is None) != (output is None):
        raise click.UsageError("--state and -o belong together: they draw a figure of what a page shows")

    def say(line: str) -> None:
        if sys.stderr.isatty():
            click.echo(line, err=True)

    if output is not None and state is not None:
        from desali.output.files import check_writable
        from desali.web.explorer.to_file import check, write

        check(output)
        check_writable(output)
        session = opened(models, runs, files, lineages, asked, given, None, say)
        for note in session.notes:
            click.echo(f"note: {note}", err=True)
        click.echo(write(session, state, output, ["desali", *sys.argv[1:]]))
        return
    from desali.models.checkpoint import RUNS
    from desali.web.explorer.commands import Origin, given_options
    from desali.web.explorer.server import check_installed, listening, serve

    check_installed()
    sock = listening(asked)
    line = Origin(
        ["--runs", str(runs)] if runs != RUNS else [],
        given_options(given),
        [
            *(f"--model={one}" for one in models), *(f"--lineage={one}" for one in lineages),
            *given_options(asked, SERVER), *(["--", *map(str, files)] if files else []),
        ],
    )  # fmt: skip
    session = opened(models, runs, files, lineages, asked, given, line, say)
    for note in session.notes:
        click.echo(f"note: {note}", err=True)
    serve(session, asked, sock, click.echo)
