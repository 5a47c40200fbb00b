"""What `visualize`, `compare` and `grid` share: from options to images, models, settings and a figure on disk."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import ImageError

if TYPE_CHECKING:
    from desali.data.roi import Roi
    from desali.figures.viewer import Settings
    from desali.models.checkpoint import LoadedModel


def read(path: Path, options: dict[str, Any]) -> Roi:
    """The image that the options name."""
    from desali.data.preprocess import DEFAULT_WINDOW
    from desali.data.roi import read_roi

    window = options["window"] or DEFAULT_WINDOW
    roi = read_roi(path, box=options["box"], window=window, hu_offset=options["hu_offset"])
    if options["window"] is not None and roi.unit == "uint8":
        raise ImageError(f"{path}: --window does not apply, the file holds display values ({roi.origin}); leave it out")
    return roi


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


def draw(image: Roi, models: Mapping[str, LoadedModel], output: Path, dpi: int, options: dict[str, Any]) -> Path:
    """Draw the figure of one image and write it with its record."""
    from desali.figures.viewer import Viewer, save
    from desali.output.files import check_writable

    check_writable(output)
    figure, record = Viewer(models, settings_of(options, models)).figure(image)
    return save(figure, record, output, ["desali", *sys.argv[1:]], dpi)
