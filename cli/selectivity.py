"""`desali selectivity`: whether the channels of trained models answer to edges or to patterns."""

from __future__ import annotations

import json
from pathlib import Path

import click

from desali.cli.parameters import MODEL_HELP, runs_option


@click.command()
@click.option(
    "--models", "names", default="scratch,texture,natural,two_stage", show_default=True,
    help=f"With commas between, of one architecture: {MODEL_HELP}.",
)  # fmt: skip
@click.option("--layers", help="ReLU layers, with commas between; default: the architecture's own choice.")
@click.option("--random-seed", type=click.IntRange(0), default=1, show_default=True, help="Of the random control.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@runs_option
def selectivity_command(names: str, layers: str | None, random_seed: int, as_json: bool, runs: Path) -> None:
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

    models = load_models(names, runs)
    shown = subjects(models)
    check_one_architecture(shown)
    first = next(iter(models.values()))
    chosen = default_layers(shown[0]) if layers is None else tuple(part.strip() for part in layers.split(",") if part)
    asked = {name: (model.model, model.preprocessing) for name, model in models.items()}
    asked["random"] = (randomised(first.model, random_seed), first.preprocessing)
    found = selectivity(asked, chosen)
    if as_json:
        click.echo(json.dumps([one.to_dict() for one in found], indent=2))
        return
    click.echo(
        "Mean index of the channels, (E - P) / (E + P): above 0 they prefer edges, below 0 patterns; 95 % intervals"
    )
    click.echo(format_selectivity(found))
    click.echo(provenance(shown))
