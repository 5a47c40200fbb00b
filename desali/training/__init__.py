"""Stages, recipes, training and evaluation; torch and Lightning are imported when a name is first used (PEP 562)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from desali.training.comparison import Comparison, Evaluation, compare
    from desali.training.evaluate import Predictions, evaluate_recipes, load_predictions, predict
    from desali.training.pipeline import StageResult, TrainedRecipe, train
    from desali.training.recipes import RECIPES, Recipe, Stage, recipe
    from desali.training.table import format_table

_HOME = {
    "Comparison": "comparison",
    "Evaluation": "comparison",
    "Predictions": "evaluate",
    "RECIPES": "recipes",
    "Recipe": "recipes",
    "Stage": "recipes",
    "StageResult": "pipeline",
    "TrainedRecipe": "pipeline",
    "compare": "comparison",
    "evaluate_recipes": "evaluate",
    "format_table": "table",
    "load_predictions": "evaluate",
    "predict": "evaluate",
    "recipe": "recipes",
    "train": "pipeline",
}

__all__ = [
    "RECIPES",
    "Comparison",
    "Evaluation",
    "Predictions",
    "Recipe",
    "Stage",
    "StageResult",
    "TrainedRecipe",
    "compare",
    "evaluate_recipes",
    "format_table",
    "load_predictions",
    "predict",
    "recipe",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"desali.training.{_HOME[name]}"), name)
    raise AttributeError(f"module 'desali.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
