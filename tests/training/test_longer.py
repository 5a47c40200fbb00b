"""More epochs after a finished training: it goes on bit by bit where the schedule allows, else it says why not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from desali.errors import DesaliError
from desali.models import load
from desali.training import recipe, train
from desali.training.state import STATE_NAME, remove_state
from tests.training.images import stripes

DATA = {"target": stripes(24, classes=3, patients=4, seed=3)}
STEP = {"schedule": "step", "milestones": (2,)}
CONSTANT = {"schedule": "constant"}


def scratch(runs: Path, epochs: int, **options: Any) -> tuple[dict[str, torch.Tensor], list[str]]:
    said: list[str] = []
    how = {name: options.pop(name) for name in ("resume", "fresh") if name in options}
    one = recipe("scratch").with_options(epochs=epochs, batch_size=8, **options)
    done = train([one], DATA, runs, report=said.append, device="cpu", **how)["scratch"]
    return load(done.weights).model.state_dict(), said


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.mark.parametrize("options", [STEP, CONSTANT], ids=["step", "constant"])
def test_a_longer_training_goes_on_bit_by_bit(tmp_path: Path, options: dict[str, Any]) -> None:
    scratch(tmp_path / "runs", 2, **options)
    again, said = scratch(tmp_path / "runs", 4, resume=True, **options)
    assert said[0] == "stage target: goes on after epoch 2 of the training of 2 epochs"
    whole, _ = scratch(tmp_path / "whole", 4, **options)
    assert equal(again, whole)
    history = [(tmp_path / name / "scratch" / "history.csv").read_text() for name in ("runs", "whole")]
    assert history[0] == history[1]


def test_a_cosine_schedule_begins_anew_and_says_so(tmp_path: Path) -> None:
    scratch(tmp_path / "runs", 1)
    again, said = scratch(tmp_path / "runs", 2)
    assert said[0].startswith("stage target: begins at epoch 1 of 2, although one of 1 epochs is there: the cosine")
    assert "only a training with --schedule constant or step can be made longer" in said[0]
    assert equal(again, scratch(tmp_path / "whole", 2)[0])
    assert "already trained" in scratch(tmp_path / "runs", 1)[1][0]
    with pytest.raises(DesaliError, match=r"one of 2 epochs has: --epochs 2 goes on with it"):
        scratch(tmp_path / "runs", 3, resume=True)


def test_shorter_ones_lost_states_and_fresh(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    scratch(runs, 2, **CONSTANT)
    assert "it is longer, and a training does not go back; --epochs 2 finds it" in scratch(runs, 1, **CONSTANT)[1][0]
    for path in runs.rglob(STATE_NAME):
        remove_state(path)
    assert "its last state is not there" in scratch(runs, 3, **CONSTANT)[1][0]
    shutil.rmtree(runs)
    scratch(runs, 1, **CONSTANT)
    said = scratch(runs, 2, fresh=True, **CONSTANT)[1]
    assert len(said) == 1
    other = scratch(runs, 2, learning_rate=0.02, **CONSTANT)[1]
    assert len(other) == 1  # another training, not a longer one
