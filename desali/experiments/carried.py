"""Weights that the package carries: source stages that take long to train, for `desali demo`.

They lie in `carried/` beside this file, each with its card, and are what this gives with the defaults of this version:

    desali train natural,texture,two_stage --seed 0 --runs sources
    python -m desali.experiments.carried sources

The cards name processor, versions and data; the digests in them are checked whenever weights are loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from desali.errors import WeightsError
from desali.models.checkpoint import WEIGHTS_NAME, find, load, read_card, save
from desali.models.registry import DEFAULT
from desali.training.recipes import Recipe
from desali.training.stage import Domain

FOLDER = Path(__file__).parent / "carried"
COMMAND = "desali train natural,texture,two_stage --seed 0 --runs sources"
LIMIT = 4_000_000
"""Bytes that all of it may take."""
SOURCES: dict[str, tuple[str, Domain]] = {
    "natural": ("natural", "natural"),
    "texture": ("texture", "texture"),
    "two_stage": ("natural-texture", "texture"),
}
"""Recipe -> the stem of its carried file, and the domain of the last stage before the target."""


def with_carried(recipe: Recipe) -> Recipe:
    """The recipe with the stages before the target taken from the carried weights.

    Raises:
        WeightsError: the package was installed without them, or they are of other weights than their card says.
    """
    if recipe.name not in SOURCES:
        return recipe
    stem, domain = SOURCES[recipe.name]
    file = FOLDER / f"{stem}.safetensors"
    if not file.is_file():
        raise WeightsError(f"{file}: the weights that the package carries are missing; install it again, or train them")
    load(file)  # checks the digest
    return recipe.from_weights(domain, str(file))


def carry(runs: Path, folder: Path = FOLDER) -> list[Path]:
    """Copy the source stages of the recipes trained under `runs` into `folder`; returns the files.

    Raises:
        WeightsError: a recipe is not trained there, was trained otherwise than by default, or all are too large.
    """
    chosen: dict[str, Path] = {}
    for name, (stem, _) in SOURCES.items():
        card = read_card(find(name, runs))
        stage = runs / "stages" / str(card["parent"]) / WEIGHTS_NAME
        if card["architecture"] != DEFAULT or not stage.is_file():
            raise WeightsError(f"{runs}: {name} was not trained there with the architecture {DEFAULT}")
        chosen[stem] = stage
    size = sum(path.stat().st_size for path in chosen.values())
    if size > LIMIT:
        raise WeightsError(f"{runs}: the weights take {size} bytes, more than {LIMIT}")
    written = []
    for stem, path in chosen.items():
        loaded = load(path)
        written.append(save(loaded.model, folder / f"{stem}.safetensors", _plain(loaded.card)))
    return written


def _plain(card: dict[str, Any]) -> dict[str, Any]:
    """The card, with the command that made the weights."""
    return {**card, "command": COMMAND}


if __name__ == "__main__":
    for path in carry(Path(sys.argv[1])):
        print(path)
