"""The training of recipes: chains of stages, each trained once, resumed where it stopped.

`options` says what an option is; `stage`, `recipes` and `config` hold what can be told (no torch, no files); `domains`
and `splits` say on which images and which of them are held out; `pipeline` is the door, `stages` walks from one stage
to the next and `fit` trains one with Lightning. `baseline` stands beside them, without networks.

Touch from outside: the names below, `config.TrainingConfig` and `config.read_config`, the functions of `splits`.
Nothing here knows reconstruction, figures or the command line. Names are imported when first used (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desali import lazily

if TYPE_CHECKING:
    from desali.training.cards import StageResult, TrainedRecipe
    from desali.training.pipeline import train
    from desali.training.recipes import RECIPES, Recipe, recipe
    from desali.training.stage import Stage

_HOME = {
    "RECIPES": "recipes",
    "Recipe": "recipes",
    "Stage": "stage",
    "StageResult": "cards",
    "TrainedRecipe": "cards",
    "recipe": "recipes",
    "train": "pipeline",
}

__all__ = [
    "RECIPES",
    "Recipe",
    "Stage",
    "StageResult",
    "TrainedRecipe",
    "recipe",
    "train",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
