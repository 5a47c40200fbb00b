"""Replicates of a trained recipe: its last stage trained again from the same parent, with other seeds.

They lie in the recipe's own folder, `runs/RECIPE/replicate-1` and so on, each with weights and card as the recipe
itself, so that "RECIPE/replicate-1" names one wherever a model is named.
"""

from __future__ import annotations

import re
from pathlib import Path

from desali.errors import WeightsError
from desali.models.checkpoint import RUNS, WEIGHTS_NAME, find, read_card

FOLDER = "replicate-{}"
_NUMBERED = re.compile(r"replicate-([1-9][0-9]*)")


def folder_of(number: int) -> str:
    """Name of the folder of replicate `number`, from 1."""
    return FOLDER.format(number)


def number_of(folder: str) -> int | None:
    """The number of the replicate that lies in a folder of this name; None if it is no replicate's."""
    match = _NUMBERED.fullmatch(folder)
    return None if match is None else int(match[1])


def replicates(runs: str | Path = RUNS, recipe: str | Path = "two_stage") -> list[Path]:
    """The weights files of the replicates of a trained recipe, by their numbers; empty if there are none.

    Only replicates of the recipe as it lies there are listed: those that an earlier training with other options or data
    left, and unfinished ones, are not.

    Args:
        runs: folder of the trained recipes.
        recipe: name of a recipe under `runs`, or a path as `desali.models.find` takes it.

    Raises:
        WeightsError: the recipe is not trained, or its card is broken.
    """
    weights = find(recipe, Path(runs))
    key = _stage(weights)
    numbered = []
    for file in weights.parent.glob(f"*/{WEIGHTS_NAME}"):
        number = number_of(file.parent.name)
        if number is not None and key is not None and _repeats(file) == key:
            numbered.append((number, file))
    return [file for _, file in sorted(numbered)]


def _stage(weights: Path) -> str | None:
    """The key of the stage whose weights these are; None for what was not trained here."""
    key = (read_card(weights).get("stage") or {}).get("key")
    return None if key is None else str(key)


def _repeats(weights: Path) -> str | None:
    """The key of the stage that a replicate repeats; None while it is unfinished."""
    try:
        said = read_card(weights).get("replicate")
    except WeightsError:
        return None
    return said.get("stage") if isinstance(said, dict) else None
