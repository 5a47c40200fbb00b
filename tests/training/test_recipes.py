"""Recipes as data, and the keys by which stages are shared."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from desali.errors import DesaliError, UnknownNameError
from desali.training.recipes import RECIPES, Stage, recipe, stage_key

BASE: dict[str, Any] = {"architecture": "a", "preprocessing": {"size": 64}, "data": "f", "seed": 0, "parent": None}


def test_the_four_paths_are_those_of_the_paper() -> None:
    assert {name: [stage.domain for stage in one.stages] for name, one in RECIPES.items()} == {
        "scratch": ["target"],
        "texture": ["texture", "target"],
        "natural": ["natural", "target"],
        "two_stage": ["natural", "texture", "target"],
    }
    assert len({one.stages[-1] for one in RECIPES.values()}) == 1  # all train the target alike


def test_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'two_stage'"):
        recipe("two-stage")


def test_mode_goes_to_the_target_after_a_transfer_only() -> None:
    assert [s.mode for s in recipe("two_stage").with_options("feature_extraction").stages] == [
        "fine_tuning", "fine_tuning", "feature_extraction",
    ]  # fmt: skip
    assert recipe("scratch").with_options("feature_extraction") == recipe("scratch")
    assert {s.epochs for s in recipe("two_stage").with_options(epochs=3).stages} == {3}


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"learning_rate": float("nan")}, {"validation": 1},
        {"mode": "other"}, {"domain": "x"}, {"optimizer": "x"}, {"schedule": "x"}, {"augmentation": "x"},
        {"criterion": "x"}, {"clip": 0}, {"patience": 0}, {"momentum": 1.0}, {"weight_decay": -1},
    ],
)  # fmt: skip
def test_impossible_stages_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(DesaliError, match=next(iter(bad))):
        Stage(**{"domain": "target", **bad})


def test_key_depends_on_everything_that_weights_depend_on() -> None:
    stage = Stage("target")
    others = {
        "domain": "natural", "epochs": 1, "optimizer": "sgd", "learning_rate": 0.5, "momentum": 0.1,
        "weight_decay": 0.0, "clip": 2.0, "schedule": "constant", "batch_size": 3, "balance": False,
        "augmentation": "none", "mode": "feature_extraction", "validation": 0.5, "criterion": "loss",
        "patience": 9,
    }  # fmt: skip
    assert set(others) == {field.name for field in fields(Stage)}
    keys = [stage_key(stage, **BASE)]
    keys += [stage_key(replace(stage, **{name: value}), **BASE) for name, value in others.items()]
    changed = {"architecture": "b", "preprocessing": {"size": 32}, "data": "g", "seed": 1, "parent": "p"}
    keys += [stage_key(stage, **{**BASE, name: value}) for name, value in changed.items()]
    assert len(set(keys)) == len(keys)
    assert stage_key(Stage("target"), **BASE) == keys[0]
