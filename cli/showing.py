"""What `visualize`, `compare` and `grid` share: from options to images, models, settings and a figure on disk."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from desali.data.roi import Roi
    from desali.figures.figure import Figure
    from desali.figures.viewer import Settings, Viewer
    from desali.models.checkpoint import LoadedModel


def read(path: Path, options: dict[str, Any]) -> Roi:
    """The image that the options name."""
    from desali.data.roi import read_image

    return read_image(path, box=options["box"], window=options["window"], hu_offset=options["hu_offset"])


def settings_of(options: dict[str, Any], models: Mapping[str, LoadedModel]) -> Settings:
    """The settings that the options name; a logit seed may name one of the models' classes."""
    from desali.figures.viewer import Settings
    from desali.reversal.seeds import Seed

    return Settings(
        layers=options["layers"],
        seed=Seed.parse(options["seed_text"], options["value"], next(iter(models.values())).classes),
        method=options["method"],
        window=options["window"],
        scale=options["scale"],
        random_seed=options["seed"],
        device=options["device"],
        backend=options["backend"],
    )


def load_models(specs: Sequence[str], runs: Path, weights: Path | None = None) -> dict[str, LoadedModel]:
    """Models by the name they are shown under: the recipe, the weights file's stem, or NETWORK@STEM.

    Raises:
        WeightsError: see `desali.models.load`; or `weights` for more than one model.
    """
    from desali.errors import WeightsError
    from desali.models.sources import label, load

    if weights is not None and len(specs) != 1:
        raise WeightsError(f"--weights {weights}: is for one model, got {len(specs)}; use NETWORK@FILE for each")
    models: dict[str, LoadedModel] = {}
    for spec in specs:
        loaded = load(spec, weights=weights, runs=runs)
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
