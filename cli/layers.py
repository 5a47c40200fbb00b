"""`desali layers`: the layers of a model, by the names that other commands take."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from desali.cli.parameters import json_option, runs_option


@click.command()
@click.argument("model")
@click.option("--size", type=click.IntRange(1), help="Side of the image in pixels; default: the model's own.")
@runs_option
@json_option
def layers_command(model: str, size: int | None, runs: Path, as_json: bool) -> None:
    """List the layers of a model: name, kind, channels, size of the map and receptive field.

    The names are what --layers takes. MODEL is a recipe under --runs, a path to weights, torchvision:NAME, timm:NAME,
    module:factory or squeezenet1_0; a network by its name needs no weights here.
    """
    import torch

    from desali.models.sources import load
    from desali.reversal.graph.capture import capture
    from desali.reversal.layer_table import format_layers, layer_table

    by_name = "@" not in model and (":" in model or model == "squeezenet1_0") and not os.path.exists(model)
    loaded = load(model, weights="random" if by_name else None, runs=runs)
    rule = loaded.preprocessing
    side = size or rule.size
    found = layer_table(capture(loaded.model, torch.zeros(1, rule.channels, side, side)))
    if as_json:
        facts = {"model": model, "image": [rule.channels, side, side], "layers": [one.to_dict() for one in found]}
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(f"{model}, image {rule.channels} x {side} x {side}: {len(found)} layers")
    click.echo(format_layers(found))
