"""A full disk: the last good state stays whole, the message says so, and with room the training goes on."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from desali.errors import OutputError
from desali.training import recipe, stages, train
from desali.training.state import TrainingState, read_state, write_state
from tests.training.images import stripes

DATA = {"target": stripes(24, classes=3, patients=4, seed=3)}
RECIPE = recipe("scratch").with_options(epochs=2, batch_size=32, patience=9)


@pytest.fixture
def _small_files() -> Iterator[None]:
    """No file of this process may grow beyond 100 kB: the system then refuses a write in its middle."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("_small_files")
def test_a_write_that_the_system_cuts_leaves_the_state_before_whole(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    write_state(TrainingState("k", epoch=3, model={"w": torch.ones(10)}), path)
    before = path.read_bytes()
    with pytest.raises(
        OutputError, match=r"last\.ckpt: cannot be written \(.*\); the state after epoch 3 is kept there"
    ):
        write_state(TrainingState("k", epoch=4, model={"w": torch.ones(100_000)}), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OutputError, match="no state was kept; make room"):
        write_state(TrainingState("k", epoch=1, model={"w": torch.ones(100_000)}), tmp_path / "new" / "last.ckpt")


def test_a_disk_that_fills_in_an_epoch_keeps_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    save = torch.save

    def full(values: dict[str, Any], file: Any) -> None:
        saved.append(values["epoch"])
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(values, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        OutputError, match=r"No space left on device\); the state after epoch 1 is kept there; make room"
    ):
        train([RECIPE], DATA, tmp_path / "full", device="cpu")
    (path,) = tmp_path.glob("full/stages/*/last.ckpt")
    state = read_state(path, path.parent.name)
    assert state is not None
    assert state.epoch == 1
    assert (path.parent / "history.csv").read_text().count("\n") == 2
    assert {one.name for one in path.parent.iterdir()} == {"last.ckpt", "history.csv"}
    resumed = train([RECIPE], DATA, tmp_path / "full", device="cpu", resume=True)["scratch"]
    whole = train([RECIPE], DATA, tmp_path / "whole", device="cpu")["scratch"]
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()
    assert saved == [1, 2, 2, 1, 2]


def test_weights_that_find_no_room_leave_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Path:
        raise OutputError("model.safetensors: cannot be written (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr(stages, "save", full)
        with pytest.raises(
            OutputError, match=r"No space left on device\); the state after epoch 2 is kept in .*last\.ckpt"
        ):
            train([RECIPE], DATA, tmp_path, device="cpu")
    (path,) = tmp_path.glob("stages/*/last.ckpt")
    state = read_state(path, path.parent.name)
    assert state is not None
    assert state.epoch == 2
    assert train([RECIPE], DATA, tmp_path, device="cpu")["scratch"].weights.is_file()
