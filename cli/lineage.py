"""`desali lineage`: which channels survived training, stage by stage or between any two networks."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from desali.cli.options import SectionedCommand, options_from, taken
from desali.cli.parameters import pair_options, recipes_argument, runs_option
from desali.experiments.options import LineageOptions
from desali.models.options import ModelOptions

DPI = 150
MOST_NAMED = 2
"""Stages that are named before a note on them."""


@click.command(cls=SectionedCommand)
@recipes_argument("[RECIPE...|all]")
@pair_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for figures, CSV and JSON.")
@click.option(
    "--picture", type=click.Path(path_type=Path),
    help="File for the main picture of the last pair: curves by depth above four channels, before and after.",
)  # fmt: skip
@runs_option
@options_from(ModelOptions, "Networks by name")
@options_from(LineageOptions, "Images and numbers")
def lineage_command(
    name: str | None,
    before: str | None,
    after: str | None,
    replicates: tuple[str, ...],
    output: Path | None,
    picture: Path | None,
    runs: Path,
    **options: Any,
) -> None:
    """Follow every channel of a recipe's networks from stage to stage, or between any two networks.

    Prints for each stage one sentence, and per layer the share of channels that are still themselves, with its interval
    by patient, chance, networks with random weights and replicates. With --output a figure of each stage, CSV and JSON
    are kept, and the same command goes on where it was interrupted.
    """
    from desali.experiments.lineages import display_rule, follow_pairs, pair_of, pairs_of, write_together
    from desali.experiments.probe_images import held_out, named
    from desali.output.files import check_writable
    from desali.output.lock import locked
    from desali.training.recipes import recipe_names

    if (name is None) == (before is None and after is None):
        raise click.UsageError("name a recipe (or all), or two networks with --before SPEC --after SPEC")
    asked = LineageOptions(**taken(LineageOptions, options))
    given = ModelOptions(**taken(ModelOptions, options))
    if output is not None:
        check_writable(output, folder=True)
    if picture is not None:
        from desali.figures.drawing.grid import check

        check(picture, DPI)
        check_writable(picture)
    said: list[str] = []
    if name is not None:
        if replicates:
            raise click.UsageError(
                "--replicate belongs to --before and --after; a recipe's own replicates are found (`desali train "
                f"{name} --replicates 2` makes them)"
            )
        names = recipe_names(name)
        given.check(names)
        pairs, said = pairs_of(names, runs)
        images = held_out(names, runs, asked)
    else:
        if before is None or after is None:
            raise click.UsageError("--before and --after belong together: name both networks")
        if asked.images is None:
            raise click.UsageError("two networks need images to be compared on: name them with --images DATASET")
        pair = pair_of(before, after, replicates, runs, given)
        pairs, images = [pair], named(asked.images, asked, display_rule(pair))
    found = []
    with nullcontext() if output is None else locked(output):
        for one in follow_pairs(
            pairs, images, asked, output, progress=True, report=lambda line: click.echo(line, err=True)
        ):
            click.echo(f"{one.text or one.verdict}\n")
            found.append(one)
    for note in dict.fromkeys(note for one in found for note in [*one.notes, *said]):
        where = [one.title for one in found if note in one.notes]
        many = len(where) > MOST_NAMED
        who = "" if note in said or len(where) == len(found) else f"{len(where)} of {len(found)} stages"
        click.echo(f"{who if many or not who else ', '.join(where)}{': ' if who else ''}{note}")
    if output is not None:
        table, record = write_together(output, found, said)
        for one in found:
            if one.figure is not None:
                click.echo(f"{one.title}: {one.figure}")
        click.echo(f"table: {table}\nrecord: {record}")
    if picture is not None:
        from desali.experiments.overview import overview

        drawn = overview(pairs[-1], images, asked, progress=True)
        click.echo(f"picture: {drawn.save(picture, dpi=DPI, command=['desali', *sys.argv[1:]])}")
