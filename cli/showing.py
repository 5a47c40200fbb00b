"""What `visualize`, `compare` and `grid` share: from options to images, models, settings and a figure on disk."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from desali.cli.options import options_from, taken
from desali.cli.parameters import RandomSeed, SeedText, _stack
from desali.experiments.options import FollowOptions
from desali.figures.options import FigureOptions, ImageOptions
from desali.models.options import ModelOptions
from desali.reversal.methods import Method

if TYPE_CHECKING:
    from desali.data.roi import Roi
    from desali.figures.figure import Figure
    from desali.figures.settings import Settings
    from desali.figures.viewer import Viewer
    from desali.models.checkpoint import LoadedModel

method_options = options_from(Method, "Method")
"""Adds the options of a method to a command that has --method."""

figure_options = _stack(
    [
        options_from(ImageOptions, "Image"),
        options_from(FigureOptions, "Figure", types={"source": SeedText(), "seed": RandomSeed()}),
        method_options,
    ]
)
"""Adds the options of images, figures and methods to a command."""

model_options = options_from(ModelOptions, "Networks by name")
"""Adds the options of networks given by name."""

follow_options = options_from(FollowOptions, "Channels")
"""Adds the options of what is followed from model to model."""


class Asked(NamedTuple):
    """What was asked of images, of figures, and of the method beside its name."""

    image: ImageOptions
    figure: FigureOptions
    method: dict[str, Any]


def chosen(options: dict[str, Any]) -> Asked:
    """What was asked; options of `figure_options` leave `options`.

    Raises:
        DesaliError, UnknownNameError: a value that an option does not take.
    """
    image, figure = ImageOptions(**taken(ImageOptions, options)), FigureOptions(**taken(FigureOptions, options))
    return Asked(image, figure, taken(Method, options))


def settings_of(asked: Asked, models: Mapping[str, LoadedModel]) -> Settings:
    """The settings that the options name; a logit seed may name one of the models' classes."""
    with naming(asked):
        return asked.figure.settings(asked.image, next(iter(models.values())).classes, asked.method)


@contextmanager
def naming(asked: Asked) -> Iterator[None]:
    """Let messages about a seed or a class name the option that they came by."""
    from desali.errors import SeedError

    try:
        yield
    except SeedError as error:
        message = str(error)
        if message.startswith("label "):
            message = f"--{message}"
        elif asked.figure.source is not None:
            why = message.partition(": ")[2] if message.startswith("seed ") else message
            message = f"--from {asked.figure.source}: {why}"
        raise SeedError(message) from error


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


def check_outputs(figure: Path | None, maps: Path | None) -> None:
    """Find out before long work whether a figure and its maps, as far as they are named, can be written.

    Raises:
        OutputError: one of them cannot.
    """
    from desali.output.files import check_writable

    if figure is not None:
        check_writable(figure)
    if maps is not None:
        from desali.output.arrays import check_arrays

        check_arrays(maps)


def draw(viewer: Viewer, asked: Asked, image: Roi, output: Path, dpi: int, maps: Path | None = None) -> Figure:
    """Draw the figure of one image and write it, see `save`."""
    with naming(asked):
        figure = viewer.figure(image)
    save(figure, output, dpi, maps)
    return figure


def save(figure: Figure, output: Path, dpi: int, maps: Path | None) -> None:
    """Write a figure with its record, and its maps where they are asked for; say where."""
    import click

    command = ["desali", *sys.argv[1:]]
    figure.save(output, dpi=dpi, command=command)
    if maps is not None:
        figure.save_maps(maps, command=command)
    click.echo(output)
    if maps is not None:
        click.echo(f"maps: {maps}")
