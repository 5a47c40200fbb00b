"""`desali demo`: from nothing to four models side by side."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from desali.cli.parameters import device_option, folder_option, seed_option


@click.command()
@folder_option("demo")
@seed_option("Of the data and the training.")
@device_option("auto")
@click.option("--fresh", is_flag=True, help="Train anew what is already trained in the folder.")
def demo_command(output: Path, seed: int, device: str, fresh: bool) -> None:
    """Train four models on synthetic data, evaluate them and show one ROI through all of them.

    Takes a few minutes on two cores. Interrupted, the same command goes on where it stopped.
    """
    from desali.experiments.demo import demo

    command = ["desali", *sys.argv[1:]]
    result = demo(
        output, seed, device=device, fresh=fresh, progress=sys.stderr.isatty(), report=click.echo, command=command
    )
    click.echo(f"\n{result.table}\n")
    for what, path in result.files.items():
        click.echo(f"{what}: {path}")
    total = sum(result.seconds.values())
    parts = ", ".join(f"{name} {seconds:.0f}" for name, seconds in result.seconds.items())
    click.echo(f"seconds: {total:.0f} in all ({parts})")
    program = "desali" if shutil.which("desali") else os.path.relpath(sys.argv[0])
    click.echo(
        f"next: {program} visualize --model two_stage --roi {result.files['ROI']} --runs {result.files['models']}"
    )
    click.echo("All images and patients are synthetic. Not a medical device.")
