"""A training process that is killed outright ends, run again, with bitwise the same weights."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from desali.training import callbacks, recipe, train
from desali.training.state import TrainingState, read_state
from tests.training.images import stripes

EPOCHS = 12
TRAIN = """
import sys
from pathlib import Path
import torch
from desali.training import train
from tests.training.test_killed import DATA, RECIPES
torch.set_num_threads(1)
train([RECIPES[sys.argv[2]]], DATA, Path(sys.argv[1]), device="cpu")
"""
PLAIN = recipe("scratch").with_options(epochs=EPOCHS, batch_size=16, patience=EPOCHS)
OPTIONS = {
    "schedule": "step", "milestones": (4, 8), "label_smoothing": 0.1, "shift": 2, "precision": "bf16",
    "optimizer": "sgd", "learning_rate": 0.01,
}  # fmt: skip
RECIPES = {"plain": PLAIN, "options": PLAIN.with_options(**OPTIONS)}
DATA = {"target": stripes(48, classes=3, patients=4, seed=3)}


@pytest.mark.parametrize("which", RECIPES)
def test_a_killed_training_goes_on_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """Killed in the middle of an epoch: as soon as the first state stands there the next epoch has begun."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, "-c", TRAIN, str(killed), which], stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 120
        while not list(killed.glob("stages/*/last.ckpt")):
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < end
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    (path,) = killed.glob("stages/*/last.ckpt")
    state = read_state(path, path.parent.name)
    assert state is not None
    assert 1 <= state.epoch < EPOCHS
    assert not (killed / "scratch").exists()

    written: list[int] = []
    write = callbacks.write_state

    def count(state: TrainingState, path: Path) -> None:
        written.append(state.epoch)
        write(state, path)

    expected = train([RECIPES[which]], DATA, whole, device="cpu")["scratch"]
    monkeypatch.setattr(callbacks, "write_state", count)
    resumed = train([RECIPES[which]], DATA, killed, device="cpu", resume=True)["scratch"]
    assert written == list(range(state.epoch + 1, EPOCHS + 1))
    assert resumed.weights.read_bytes() == expected.weights.read_bytes()
    histories = [result.weights.with_name("history.csv").read_bytes() for result in (resumed, expected)]
    assert histories[0] == histories[1]
