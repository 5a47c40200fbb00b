"""`desali layers`: the layers of a model, by the names that other commands take."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from desali.cli.options import SectionedCommand, options_from, taken
from desali.cli.parameters import json_option, runs_option
from desali.models.options import ModelOptions


@click.command(cls=SectionedCommand)
@click.argument("model")
@click.option("--size", type=click.IntRange(1), help="Side of the image in pixels; default: the model's own.")
@runs_option
@json_option
@options_from(ModelOptions, "Networks by name")
def layers_command(model: str, size: int | None, runs: Path, as_json: bool, **options: Any) -> None:
    """List the layers of a model: name, kind, channels, size of the map and receptive field.

    The names are what --layers takes. MODEL is a recipe under --runs, a path to weights, torchvision:NAME, timm:NAME,
    module:factory or squeezenet1_0; a network by its name needs no weights here.
    """
    import torch

    from desali.reversal.graph.capture import capture
    from desali.reversal.layer_table import format_layers, layer_table

    by_name = "@" not in model and (":" in model or model == "squeezenet1_0") and not os.path.exists(model)
    asked = ModelOptions(**taken(ModelOptions, options))
    asked.check([model])
    loaded = asked.load(model, "random" if by_name else None, runs=runs)
    rule = loaded.preprocessing
    side = size or rule.size
    found = layer_table(capture(loaded.model, torch.zeros(1, rule.channels, side, side)))
    if as_json:
        facts = {"model": model, "image": [rule.channels, side, side], "layers": [one.to_dict() for one in found]}
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(f"{model}, image {rule.channels} x {side} x {side}: {len(found)} layers")
    click.echo(format_layers(found))
