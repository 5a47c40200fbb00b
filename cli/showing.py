"""What `visualize`, `compare` and `grid` share: from options to images, models, settings and a figure on disk."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.cli.options import options_from, taken
from desali.cli.parameters import RandomSeed, SeedText, _stack
from desali.experiments.options import FollowOptions
from desali.figures.options import FigureOptions, ImageOptions
from desali.models.options import ModelOptions

if TYPE_CHECKING:
    from desali.data.roi import Roi
    from desali.figures.figure import Figure
    from desali.figures.settings import Settings
    from desali.figures.viewer import Viewer
    from desali.models.checkpoint import LoadedModel

figure_options = _stack(
    [
        options_from(ImageOptions, "Image"),
        options_from(FigureOptions, "Figure", types={"source": SeedText(), "seed": RandomSeed()}),
    ]
)
"""Adds the options of images and figures to a command."""

model_options = options_from(ModelOptions, "Networks by name")
"""Adds the options of networks given by name."""

follow_options = options_from(FollowOptions, "Channels")
"""Adds the options of what is followed from model to model."""


def chosen(options: dict[str, Any]) -> tuple[ImageOptions, FigureOptions]:
    """What was asked of images and figures; options of `figure_options` leave `options`.

    Raises:
        DesaliError, UnknownNameError: a value that an option does not take.
    """
    return ImageOptions(**taken(ImageOptions, options)), FigureOptions(**taken(FigureOptions, options))


def settings_of(image: ImageOptions, shown: FigureOptions, models: Mapping[str, LoadedModel]) -> Settings:
    """The settings that the options name; a logit seed may name one of the models' classes."""
    return shown.settings(image, next(iter(models.values())).classes)


def ancestry_of(models: Mapping[str, LoadedModel], runs: Path, options: dict[str, Any]) -> dict[str, Any]:
    """What a viewer takes to follow channels; options of `follow_options` leave `options`."""
    import click

    from desali.experiments.followed import followed

    found = followed(
        models, runs, FollowOptions(**taken(FollowOptions, options)), lambda line: click.echo(line, err=True)
    )
    return {"images": found.images, "replicates": found.replicates, "said": found.said}


def load_models(
    specs: Sequence[str], runs: Path, weights: Path | None = None, options: dict[str, Any] | None = None
) -> dict[str, LoadedModel]:
    """Models by the name they are shown under: the recipe, the weights file's stem, or NETWORK@STEM.

    Args:
        options: of the command; those of `model_options` leave it.

    Raises:
        WeightsError: see `desali.models.load`; or `weights` for more than one model.
    """
    from desali.errors import WeightsError
    from desali.models.sources import label

    if weights is not None and len(specs) != 1:
        raise WeightsError(f"--weights {weights}: is for one model, got {len(specs)}; use NETWORK@FILE for each")
    asked = ModelOptions() if options is None else ModelOptions(**taken(ModelOptions, options))
    asked.check(specs)
    models: dict[str, LoadedModel] = {}
    for spec in specs:
        loaded = asked.load(spec, weights, runs=runs)
        name = label(spec, weights, runs)
        while name in models:
            name += "'"
        models[name] = loaded
    return models


def draw(viewer: Viewer, image: Roi, output: Path, dpi: int) -> Figure:
    """Draw the figure of one image and write it with its record."""
    figure = viewer.figure(image)
    figure.save(output, dpi=dpi, command=["desali", *sys.argv[1:]])
    return figure
