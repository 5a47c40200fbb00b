"""`desali report`: results as one page that opens anywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from desali.cli.options import SectionedCommand, options_from, taken
from desali.web.options import ReportOptions


@click.command(cls=SectionedCommand)
@click.argument("inputs", nargs=-1, required=True, metavar="RUN|LINEAGE|RESULT...", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True, help="The page."
)
@click.option("--title", default="", help="Its heading; by default made from the inputs' names.")
@options_from(ReportOptions, "What is drawn")
def report_command(inputs: tuple[Path, ...], output: Path, title: str, **options: Any) -> None:
    """Write results as one HTML file that opens without a network, a server or a script.

    Inputs are folders of trained models (RUNS or RUNS/RECIPE), folders of desali lineage -o, the demo's folder, and
    files that desali wrote: figures or their records, evaluations, predictions, robustness. With models among them
    channels of every layer and a gallery of ROIs are drawn. What was found and what is missing is said on stderr and in
    the page; where nothing can be shown no page is written. The page names patients as the data do.
    """
    from desali.web.report.report import report

    asked = ReportOptions(**taken(ReportOptions, options))
    shown = (lambda line: click.echo(line, err=True)) if sys.stderr.isatty() else (lambda line: None)
    written = report(
        inputs, output, asked, title=title, command=["desali", *sys.argv[1:]], say=shown,
        tell=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    click.echo(f"{written}: {written.stat().st_size / 2**20:.1f} MiB")
