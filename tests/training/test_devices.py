"""Two processes on the CPU train as one does, and fail as one does; where processes and nodes find each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch import nn

from desali.data.preprocess import Preprocessing
from desali.errors import DesaliError, OutputError, UnknownNameError
from desali.models import architecture
from desali.training.devices import check_devices, is_first, raised_in_process, started_outside
from desali.training.fit import Fitted, fit_stage
from desali.training.initial import fresh_model
from desali.training.inputs import LazyInputs
from desali.training.stage import Stage
from desali.training.state import read_state
from tests.training.images import stripes

SMALL = architecture("caffenet-small")
DATA = stripes(40, seed=1, size=64)


def fit(folder: Path, stage: Stage, devices: int, **options: Any) -> Fitted:
    model = fresh_model(SMALL, 3, 0, "target", None)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0
    parts = [LazyInputs(DATA, Preprocessing(64), np.arange(*bounds)) for bounds in ((31,), (31, 40))]
    return fit_stage(
        model, SMALL, stage, parts[0], parts[1], key="k", folder=folder, seed=0, title="target", device="cpu",
        devices=devices, **options,
    )  # fmt: skip


class Poison(lightning.Callback):
    """The second process's images become NaN at step 2 of epoch 2."""

    def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, batch: Any, step: int) -> None:
        if trainer.current_epoch == 1 and step == 1 and trainer.global_rank == 1:
            batch[0].fill_(float("nan"))


def test_two_processes_train_as_one_and_stop_at_nan(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Batches of 15, 15 and 1 images: shares are uneven, and one is empty. Early stopping ends both after 2 epochs."""
    options: dict[str, Any] = {"batch_size": 15, "augmentation": "none", "optimizer": "sgd", "learning_rate": 0.01}
    stage = Stage("target", epochs=3, patience=1, criterion="loss", unfreeze_every=1, unfreeze_blocks=4, **options)
    one = fit(tmp_path / "one", stage, 1)
    with pytest.raises(
        DesaliError, match=r"^stage target: the loss became nan at step 2 of epoch 2; .*epoch 1 is kept"
    ):
        fit(tmp_path / "two", stage, 2, callbacks=[Poison()])
    state = read_state(tmp_path / "two" / "last.ckpt", "k")
    assert state is not None
    assert state.epoch == 1
    two = fit(tmp_path / "two", stage, 2)  # goes on after epoch 1
    assert len(two.history) == len(one.history) >= 2
    assert two.best_epoch == one.best_epoch
    for row, other in zip(one.history, two.history, strict=True):
        assert row == pytest.approx(other, rel=1e-4, abs=1e-5)
    ended = [read_state(tmp_path / name / "last.ckpt", "k") for name in ("one", "two")]
    assert ended[0] is not None
    assert ended[1] is not None
    for name, tensor in ended[0].model.items():
        assert torch.allclose(tensor, ended[1].model[name], rtol=1e-4, atol=1e-5), name
        assert torch.equal(tensor, state.model[name]) == name.startswith("features.conv1"), name
    assert len(two.timing) == len(two.history)
    out, err = capfd.readouterr()
    assert out == ""
    assert "GLOBAL_RANK" not in err


def test_errors_of_a_process_are_raised_as_they_were() -> None:
    error = raised_in_process("-- Process 1 ...\n  File x\ndesali.errors.OutputError: a/b: disk full; try\n")
    assert isinstance(error, OutputError)
    assert str(error) == "a/b: disk full; try"
    assert raised_in_process("ValueError: x") is None


def test_what_cannot_be_started_is_refused() -> None:
    alone: dict[str, str] = {}
    check_devices(2, 1, "cpu", alone)
    with pytest.raises(DesaliError, match="devices must be at least 1, got 0"):
        check_devices(0, 1, "cpu", alone)
    with pytest.raises(UnknownNameError, match="unknown device 'cup': did you mean 'cpu'"):
        check_devices(1, 1, "cup", alone)
    with pytest.raises(DesaliError, match="device 'cuda:7'"):
        check_devices(1, 1, "cuda:7", alone)
    with pytest.raises(DesaliError, match=r"MASTER_ADDR, MASTER_PORT and NODE_RANK \(0 to 1\), but MASTER_PORT is not"):
        check_devices(1, 2, "cpu", {"MASTER_ADDR": "10.0.0.1"})
    check_devices(1, 2, "cpu", {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500", "NODE_RANK": "1"})
    check_devices(1, 2, "cpu", {"LOCAL_RANK": "0"})


def test_the_gpus_of_a_machine_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desali.training.devices.resolve", lambda word: torch.device("cuda", int(word[5:] or 0)))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert check_devices(4, 1, "cuda", {}) == torch.device("cuda", 0)
    assert check_devices(1, 1, "cuda:3", {}) == torch.device("cuda", 3)
    with pytest.raises(DesaliError, match="the 4 GPUs of this machine, got 99"):
        check_devices(99, 1, "cuda", {})
    with pytest.raises(DesaliError, match="device cuda:1 is a single one, but devices is 2"):
        check_devices(2, 1, "cuda:1", {})


def test_who_writes() -> None:
    assert is_first({})
    assert is_first({"NODE_RANK": "0", "RANK": "0"})
    assert not is_first({"NODE_RANK": "1"})
    assert not is_first({"RANK": "3", "LOCAL_RANK": "0"})
    assert not is_first({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"})
    assert started_outside({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"})
    assert not started_outside({"NODE_RANK": "1"})
