"""`desali demo`: four models side by side, in minutes."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import click

from desali.cli.parameters import device_option, folder_option, seed_option, set_threads, threads_option

TITLE = "Four transfer-learning models on synthetic lung patches"


@click.command()
@folder_option("demo")
@seed_option("Of the target's images and trainings; with --from-nothing of all.")
@device_option("auto")
@threads_option
@click.option(
    "--from-nothing",
    is_flag=True,
    help="Train all seven stages, those before the target too, instead of taking these from the package.",
)
@click.option("--fresh", is_flag=True, help="Train anew what is already trained in the folder.")
def demo_command(output: Path, seed: int, device: str, threads: int | None, from_nothing: bool, fresh: bool) -> None:
    """Train four models on synthetic data, evaluate them, show one ROI through all, and put it all on one page.

    Takes about two minutes on two cores: the stages before the target come with the package. Interrupted, the same
    command goes on where it stopped. One training of each recipe says nothing about recipes.
    """
    from desali.experiments.demo import demo
    from desali.web.options import ReportOptions
    from desali.web.report.report import report

    set_threads(threads)
    command = ["desali", *sys.argv[1:]]
    result = demo(
        output,
        seed,
        device=device,
        from_nothing=from_nothing,
        fresh=fresh,
        progress=True,
        report=click.echo,
        command=command,
    )
    start = time.perf_counter()
    click.echo("[report] putting all results on one page")
    page = report(
        [output], output / "report.html", ReportOptions(device=device), title=TITLE, images=result.held_out,
        command=command,
    )  # fmt: skip
    result.seconds["report"] = round(time.perf_counter() - start, 1)
    click.echo(f"[report] {result.seconds['report']} s")
    click.echo(f"\n{result.table}\n\n{result.verdict}\n")
    for what, path in result.files.items():
        click.echo(f"{what}: {path}")
    click.echo(f"all on one page: {page}")
    total = sum(result.seconds.values())
    parts = ", ".join(f"{name} {seconds:.0f}" for name, seconds in result.seconds.items())
    click.echo(f"seconds: {total:.0f} in all ({parts})")
    program = "desali" if shutil.which("desali") else os.path.relpath(sys.argv[0])
    click.echo(
        f"next: {program} visualize --model two_stage --roi {result.files['ROI']} --runs {result.files['models']}"
    )
    click.echo("All images and patients are synthetic. Not a medical device.")
