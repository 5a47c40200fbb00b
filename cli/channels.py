"""`desali channels`: what channels look for, before over after a stage of training, or in one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from desali.cli.options import SectionedCommand, options_from, taken
from desali.cli.parameters import dpi_option, maps_option, pair_options, runs_option
from desali.cli.showing import check_outputs, method_options, save
from desali.experiments.options import ChannelsOptions
from desali.models.options import ModelOptions
from desali.reversal.methods import Method, changed

LEFT_OUT = ("layers",)


@click.command(cls=SectionedCommand)
@click.argument("name", metavar="[RECIPE]", required=False)
@pair_options
@click.option("--model", metavar="SPEC", help="Instead of two networks, one.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Figure; default channels-NAMES-LAYER.png here.")
@maps_option
@dpi_option(150)
@runs_option
@options_from(ModelOptions, "Networks by name")
@options_from(ChannelsOptions, "Images and channels", LEFT_OUT)
@method_options
def channels_command(
    name: str | None,
    before: str | None,
    after: str | None,
    replicates: tuple[str, ...],
    model: str | None,
    output: Path | None,
    maps: Path | None,
    dpi: int,
    runs: Path,
    **options: Any,
) -> None:
    """Show the nine regions that a channel answers to most strongly, with reconstructions, before over after.

    RECIPE stands for its last stage against what that started from. Which channels are shown follows a rule that
    stands on the figure, made on one half of the patients; the regions come from the other half. Prints the figure's
    path and a table.
    """
    from desali.experiments.sheets import of_model, of_pair, of_recipe
    from desali.output.files import plain_stem

    asked = ChannelsOptions(**taken(ChannelsOptions, options, LEFT_OUT))
    changes = taken(Method, options)
    method = changed(asked.method, changes) if changes else asked.method
    given = ModelOptions(**taken(ModelOptions, options))
    if asked.layer is None:
        raise click.UsageError("name a layer with --layer, for instance --layer conv4")
    if sum(given is not None for given in (name, before or after, model)) != 1:
        raise click.UsageError("name a recipe, two networks with --before SPEC --after SPEC, or one with --model SPEC")
    if replicates and (before is None or after is None):
        raise click.UsageError("--replicate belongs to --before and --after; a recipe's own replicates are found")
    check_outputs(output, maps)
    if name is not None:
        given.check([name])
        shown = of_recipe(name, asked, runs)
    elif model is not None:
        shown = of_model(model, asked, runs, given)
    elif before is None or after is None:
        raise click.UsageError("--before and --after belong together: name both networks")
    else:
        shown = of_pair(before, after, replicates, asked, runs, given)
    target = output or Path(f"channels-{shown.name}-{plain_stem(asked.layer)}.png")
    if output is None:
        check_outputs(target, None)
    figure = shown.sheet(asked.layer, asked, method, progress=True)
    save(figure, target, dpi, maps)
    click.echo(figure.table())
