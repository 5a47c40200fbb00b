"""Stages, recipes, training and evaluation; torch and Lightning are imported when a name is first used (PEP 562)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from desali.evaluation import (
        Comparison,
        Evaluation,
        Predictions,
        compare,
        evaluate_recipes,
        format_table,
        load_predictions,
        predict,
    )
    from desali.training.cards import StageResult, TrainedRecipe
    from desali.training.pipeline import train
    from desali.training.recipes import RECIPES, Recipe, recipe
    from desali.training.stage import Stage

_EVALUATION = {
    "Comparison",
    "Evaluation",
    "Predictions",
    "compare",
    "evaluate_recipes",
    "format_table",
    "load_predictions",
    "predict",
}
"""Names that live in `desali.evaluation` and are also reached from here."""
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
    if name in _EVALUATION:
        return getattr(importlib.import_module("desali.evaluation"), name)
    if name in _HOME:
        return getattr(importlib.import_module(f"desali.training.{_HOME[name]}"), name)
    raise AttributeError(f"module 'desali.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
