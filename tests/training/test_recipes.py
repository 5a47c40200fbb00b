"""Recipes as data, and the keys by which stages are shared."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from desali.errors import DesaliError, UnknownNameError
from desali.training.keys import stage_key
from desali.training.recipes import RECIPES, recipe
from desali.training.schedule import learning_rate, unfrozen_depth
from desali.training.stage import Stage

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
        {"criterion": "x"}, {"clip": 0}, {"patience": -1}, {"gain": -0.1}, {"offset": 1},
        {"momentum": 1.0}, {"weight_decay": -1},
        {"precision": "fp8"}, {"label_smoothing": 1}, {"shift": -1}, {"noise_hu": float("nan")}, {"decay": 0},
        {"layer_decay": 1.5}, {"unfreeze_blocks": 0}, {"unfreeze_every": -1},
        {"milestones": (3, 2), "schedule": "step"},
        {"milestones": (0, 2), "schedule": "step"}, {"milestones": (1,)}, {"schedule": "step"},
        {"unfreeze_every": 1, "mode": "feature_extraction"},
    ],
)  # fmt: skip
def test_impossible_stages_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(DesaliError, match="|".join(bad)):
        Stage(**{"domain": "target", **bad})


def test_key_depends_on_everything_that_weights_depend_on() -> None:
    stage = Stage("target")
    others = {
        "domain": "natural", "epochs": 1, "optimizer": "sgd", "learning_rate": 0.5, "momentum": 0.1,
        "weight_decay": 0.0, "clip": 2.0, "schedule": "constant", "batch_size": 3, "balance": False,
        "augmentation": "none", "mode": "feature_extraction", "validation": 0.5, "criterion": "loss",
        "patience": 9, "gain": 0.4, "offset": 0.3, "milestones": (2, 4), "decay": 0.5, "label_smoothing": 0.1,
        "shift": 2, "noise_hu": 20.0,
        "precision": "bf16", "unfreeze_every": 2, "unfreeze_blocks": 2, "layer_decay": 0.9,
    }  # fmt: skip
    assert set(others) == {field.name for field in fields(Stage)} - {"weights"}
    keys = [stage_key(stage, **BASE)]
    needs = {"milestones": {"schedule": "step"}}
    keys += [stage_key(replace(stage, **{name: v}, **needs.get(name, {})), **BASE) for name, v in others.items()]
    changed = {"architecture": "b", "preprocessing": {"size": 32}, "data": "g", "seed": 1, "parent": "p"}
    keys += [stage_key(stage, **{**BASE, name: value}) for name, value in changed.items()]
    assert len(set(keys)) == len(keys)
    assert stage_key(Stage("target"), **BASE) == keys[0]


def test_the_learning_rate_suits_the_architecture() -> None:
    assert {stage.learning_rate for stage in recipe("two_stage").stages} == {0.003}
    for name in ("caffenet-small", "torchvision:resnet18"):
        assert {stage.learning_rate for stage in recipe("two_stage", name).stages} == {0.001}
    assert {stage.patience for one in RECIPES.values() for stage in one.stages} == {0}  # schedules run out


def test_options_of_a_transfer_need_a_stage_before() -> None:
    options = {"unfreeze_every": 2, "unfreeze_blocks": 3, "layer_decay": 0.5}
    assert recipe("scratch").with_options(**options) == recipe("scratch")
    natural, texture, target = recipe("two_stage").with_options(**options).stages
    assert (natural, texture) == recipe("two_stage").stages[:2]
    assert (target.unfreeze_every, target.unfreeze_blocks, target.layer_decay) == (2, 3, 0.5)
    tables = {"texture": {"layer_decay": 0.7, "epochs": 5}, "target": {"mode": "feature_extraction"}}
    natural, texture, target = recipe("two_stage").with_options(domains=tables, epochs=9, noise_hu=20).stages
    assert [stage.epochs for stage in (natural, texture, target)] == [9, 5, 9]
    assert [stage.layer_decay for stage in (natural, texture, target)] == [1.0, 0.7, 1.0]
    assert [stage.noise_hu for stage in (natural, texture, target)] == [0.0, 0.0, 20]
    assert target.mode == "feature_extraction"
    assert recipe("texture").with_options(domains=tables).stages[0].layer_decay == 1.0


def test_unknown_options_and_domains_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="stage option 'epoch': did you mean 'epochs'"):
        recipe("scratch").with_options(epoch=3)
    with pytest.raises(UnknownNameError, match="domain 'textur': did you mean 'texture'"):
        recipe("scratch").with_options(domains={"textur": {}})
    with pytest.raises(UnknownNameError, match="did you mean 'label_smoothing'"):
        recipe("scratch").with_options(domains={"natural": {"label_smooting": 0.1}})


def test_steps_of_the_rate_and_of_unfreezing() -> None:
    step = Stage("target", epochs=6, learning_rate=1.0, schedule="step", milestones=(2, 4), decay=0.1)
    assert [learning_rate(step, epoch) for epoch in range(1, 7)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    gradual = Stage("target", unfreeze_every=2, unfreeze_blocks=3)
    assert [unfrozen_depth(gradual, epoch) for epoch in range(1, 6)] == [0, 0, 3, 3, 6]
    assert unfrozen_depth(Stage("target"), 1) is None
    assert unfrozen_depth(Stage("target", mode="feature_extraction"), 9) == 0


def test_a_weights_file_stands_for_a_stage_and_those_before() -> None:
    stages = recipe("two_stage").with_options(domains={"texture": {"weights": "t.pt"}}, epochs=2).stages
    assert [(stage.domain, stage.weights) for stage in stages] == [("texture", "t.pt"), ("target", None)]
    assert recipe("scratch").with_options(domains={"texture": {"weights": "t.pt"}}) == recipe("scratch")
    with pytest.raises(UnknownNameError, match="stage option 'weights'"):
        recipe("scratch").with_options(weights="t.pt")
    with pytest.raises(DesaliError, match="only natural and texture"):
        recipe("scratch").with_options(domains={"target": {"weights": "t.pt"}})
