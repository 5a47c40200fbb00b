"""`desali selectivity`: whether the channels of trained models answer to edges or to patterns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from desali.cli.options import SectionedCommand, options_from
from desali.cli.parameters import device_option, json_option, layers_option, models_option, runs_option, seed_option
from desali.models.options import ModelOptions


@click.command(cls=SectionedCommand)
@models_option
@layers_option
@click.option(
    "--random-networks",
    type=click.IntRange(10),
    default=10,
    show_default=True,
    help="Networks with random weights whose range stands beside.",
)
@seed_option("Of the random networks' weights and of the resamples.", 0)
@device_option()
@json_option
@runs_option
@options_from(ModelOptions, "Networks by name")
def selectivity_command(
    models: tuple[str, ...],
    layers: tuple[str, ...] | None,
    random_networks: int,
    seed: int,
    device: str,
    as_json: bool,
    runs: Path,
    **options: Any,
) -> None:
    """Compare how much each layer's channels prefer single edges to patterns of the same contrast.

    The mean index of a layer runs from -1 (patterns alone) to +1 (edges alone). Its interval is from a bootstrap over
    the stimuli. Models of one recipe count as its trainings, and their indices are shown side by side. The neutral
    value is not 0 but what networks with random weights show: their range stands in the last column, and an index
    inside it supports nothing. Silent channels answer to no stimulus and take no part; they are counted.
    """
    from desali.cli.showing import load_models
    from desali.comparison.selectivity import Trained, format_selectivity, selectivity
    from desali.figures.sources import default_layers, provenance
    from desali.figures.subjects import check_one_architecture, subjects

    loaded = load_models(models, runs, None, options)
    shown = subjects(loaded)
    check_one_architecture(shown)
    asked: dict[str, list[Trained]] = {}
    for name, model in loaded.items():
        asked.setdefault(str(model.card.get("recipe") or name), []).append((model.model, model.preprocessing))
    found = selectivity(
        asked, layers or default_layers(shown[0]), random_networks=random_networks, seed=seed, device=device
    )
    if as_json:
        click.echo(json.dumps([one.to_dict() for one in found], indent=2))
        return
    click.echo(
        "Mean index of the channels, (E - P) / (E + P), from -1 (patterns alone) to +1 (edges alone); 95 % "
        "intervals over the stimuli"
    )
    click.echo(format_selectivity(found))
    click.echo(provenance(shown))
