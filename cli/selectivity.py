"""`desali selectivity`: whether the channels of trained models answer to edges or to patterns."""

from __future__ import annotations

import json
from pathlib import Path

import click

from desali.cli.parameters import device_option, json_option, layers_option, models_option, runs_option, seed_option


@click.command()
@models_option
@layers_option
@seed_option("Of the random control's weights.", 1)
@device_option()
@json_option
@runs_option
def selectivity_command(
    models: tuple[str, ...], layers: tuple[str, ...] | None, seed: int, device: str, as_json: bool, runs: Path
) -> None:
    """Compare how much each layer's channels prefer single edges to patterns of the same contrast.

    The mean index of a layer runs from -1 (patterns alone) to +1 (edges alone). Its interval is from a bootstrap over
    the stimuli; it does not include that another training of the same recipe would differ. The column "random" is the
    same network with random weights: what it shows too was not learned.
    """
    from desali.cli.showing import load_models
    from desali.comparison.controls import randomised
    from desali.comparison.selectivity import format_selectivity, selectivity
    from desali.figures.sources import default_layers, provenance
    from desali.figures.subjects import check_one_architecture, subjects

    loaded = load_models(models, runs)
    shown = subjects(loaded)
    check_one_architecture(shown)
    first = next(iter(loaded.values()))
    asked = {name: (model.model, model.preprocessing) for name, model in loaded.items()}
    asked["random"] = (randomised(first.model, seed), first.preprocessing)
    found = selectivity(asked, layers or default_layers(shown[0]), device=device)
    if as_json:
        click.echo(json.dumps([one.to_dict() for one in found], indent=2))
        return
    click.echo(
        "Mean index of the channels, (E - P) / (E + P): above 0 they prefer edges, below 0 patterns; 95 % intervals"
    )
    click.echo(format_selectivity(found))
    click.echo(provenance(shown))
