"""One stage: it learns, repeats bitwise, goes on after an interruption, stops at NaN, and leaves torch as it was."""

from __future__ import annotations

import re
import signal
import warnings
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor

from desali.data.preprocess import Preprocessing
from desali.errors import DesaliError
from desali.models import architecture
from desali.training.fit import Fitted, fit_stage
from desali.training.initial import fresh_model
from desali.training.stage import Stage
from desali.training.state import read_state
from tests.training.images import stripes

SMALL = architecture("caffenet-small")
STAGE = Stage("target", epochs=3, batch_size=16, augmentation="mirror", patience=9)


def part(count: int, seed: int) -> tuple[Tensor, Tensor]:
    data = stripes(count, seed=seed, size=64)
    return Preprocessing(64).apply_batch(data.images, data.unit), torch.from_numpy(data.labels)


@pytest.fixture(scope="module")
def training() -> tuple[Tensor, Tensor]:
    return part(48, 1)


@pytest.fixture(scope="module")
def held() -> tuple[Tensor, Tensor]:
    return part(24, 2)


def fit(folder: Path, training: Any, held: Any, stage: Stage = STAGE, **options: Any) -> Fitted:
    model = options.pop("model", None) or fresh_model(SMALL, 3, 0, "target", None)
    return fit_stage(
        model, SMALL, stage, training, held, key="k", folder=folder, seed=0, title="target", device="cpu",
        **options,
    )  # fmt: skip


class StopIn(lightning.Callback):
    """Raises an exception at the first step of an epoch (from 1, counted in this sitting)."""

    def __init__(self, epoch: int, error: BaseException) -> None:
        self.epoch, self.error = epoch, error

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.current_epoch + 1 == self.epoch:
            raise self.error


def assert_equal(a: Fitted, b: Fitted) -> None:
    assert a.history == b.history
    assert a.best_epoch == b.best_epoch
    for name, tensor in a.weights.items():
        assert torch.equal(tensor, b.weights[name]), name


@pytest.fixture(scope="module")
def whole(training: Any, held: Any, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return fit(tmp_path_factory.mktemp("whole"), training, held)


def test_the_same_call_gives_bitwise_the_same_weights(whole: Fitted, training: Any, held: Any, tmp_path: Path) -> None:
    torch.manual_seed(99)  # nothing of the caller's random state enters
    assert_equal(fit(tmp_path, training, held), whole)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("power cut")])
@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interrupted_stage_ends_with_bitwise_the_same_weights(
    whole: Fitted, training: Any, held: Any, tmp_path: Path, epoch: int, error: BaseException
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(type(error)):
        fit(tmp_path, training, held, callbacks=[StopIn(epoch, error)])
    state = read_state(tmp_path / "last.ckpt", "k")
    assert (state.epoch if state else 0) == epoch - 1
    assert_equal(fit(tmp_path, training, held), whole)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_damaged_or_foreign_state_is_not_continued(whole: Fitted, training: Any, held: Any, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"PK\x03\x04 broken")
    assert_equal(fit(tmp_path, training, held), whole)
    assert read_state(tmp_path / "last.ckpt", "k") is not None
    assert read_state(tmp_path / "last.ckpt", "another stage") is None


def test_it_learns_and_keeps_the_best_epoch(training: Any, held: Any, tmp_path: Path) -> None:
    fitted = fit(
        tmp_path,
        training,
        held,
        Stage("target", epochs=8, batch_size=8, augmentation="none", patience=8, criterion="loss"),
    )
    losses = [row["held_out_loss"] for row in fitted.history]
    assert fitted.history[fitted.best_epoch - 1]["held_out_loss"] == min(losses)
    assert min(losses) < 0.5 * losses[0]
    assert fitted.history[fitted.best_epoch - 1]["held_out_balanced_accuracy"] > 0.8
    model = fresh_model(SMALL, 3, 0, "target", None)
    model.load_state_dict(fitted.weights)
    logits = model.eval()(held[0])
    loss = torch.nn.functional.cross_entropy(logits, held[1])  # the classes are even, so macro equals plain
    assert float(loss.detach()) == pytest.approx(min(losses), rel=1e-4)


def test_early_stopping(training: Any, held: Any, tmp_path: Path) -> None:
    stage = Stage("target", epochs=9, batch_size=16, learning_rate=1e-12, patience=2, criterion="balanced_accuracy")
    fitted = fit(tmp_path, training, held, stage)
    assert fitted.best_epoch == 1
    assert len(fitted.history) == 3


def test_without_held_out_patients_the_last_epoch_is_kept(training: Any, tmp_path: Path) -> None:
    fitted = fit(tmp_path, training, None, Stage("target", epochs=2, batch_size=16, patience=1))
    assert fitted.best_epoch == len(fitted.history) == 2
    assert "held_out_loss" not in fitted.history[0]


def test_feature_extraction_changes_the_classifier_only(training: Any, tmp_path: Path) -> None:
    model = fresh_model(SMALL, 3, 0, "target", None)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stage = Stage("target", epochs=1, batch_size=16, mode="feature_extraction")
    fitted = fit(tmp_path, training, None, stage, model=model)
    for name, tensor in fitted.weights.items():
        assert torch.equal(tensor, before[name]) != SMALL.is_classifier(name), name
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_transfer_keeps_the_features_and_draws_the_classifier_anew() -> None:
    parent = fresh_model(SMALL, 5, 3, "texture", None).state_dict()
    child = fresh_model(SMALL, 3, 0, "target", parent).state_dict()
    scratch = fresh_model(SMALL, 3, 0, "target", None).state_dict()
    for name, tensor in child.items():
        source = scratch if SMALL.is_classifier(name) else parent
        assert torch.equal(tensor, source[name]), name


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_nan_stops_with_stage_and_step_and_keeps_the_good_state(
    training: Any, held: Any, tmp_path: Path, optimizer: Any
) -> None:
    class Poison(lightning.Callback):
        def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, batch: Any, step: int) -> None:
            if trainer.current_epoch == 1 and step == 1:
                batch[0].fill_(float("nan"))

    stage = Stage("target", epochs=3, batch_size=16, optimizer=optimizer, patience=9)
    with pytest.raises(DesaliError, match=r"stage target: the loss became nan at step 2 of epoch 2.*epoch 1 is kept"):
        fit(tmp_path, training, held, stage, callbacks=[Poison()])
    state = read_state(tmp_path / "last.ckpt", "k")
    assert state is not None
    assert state.epoch == 1
    assert all(bool(torch.isfinite(tensor).all()) for tensor in state.model.values())


def test_torch_and_the_console_are_left_as_they_were(
    training: Any, held: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(5)
    before = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(tmp_path / "stage", training, held, Stage("target", epochs=1, batch_size=16))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark)
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_says_stage_and_time_left(
    training: Any, held: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any, terminal: bool
) -> None:
    monkeypatch.setattr("desali.training.fit.interactive", lambda: terminal)
    fit(tmp_path, training, held, Stage("target", epochs=3, batch_size=16), progress=True)
    shown = capfd.readouterr()
    assert "stage target" in shown.err
    assert "left" in shown.err
    assert shown.out == ""
    assert ("\r" in shown.err) == terminal
    if not terminal:  # quick epochs are not all said
        (line,) = shown.err.splitlines()
        assert re.fullmatch(
            r"stage target: epoch 1 of 3, training loss [\d.]+, held-out balanced accuracy [\d.]+, best epoch 1, "
            r"at most \d+:\d\d left",
            line,
        )


def test_long_epochs_are_said_step_by_step(
    training: Any, held: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("desali.training.callbacks.ProgressLines.__init__.__defaults__", (0.0, 0.0))
    fit(tmp_path, training, held, Stage("target", epochs=2, batch_size=16), progress=True)
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(", ")[:2][-1].split(" at")[0][:11] for line in lines if "step" in line] == [
        "step 1 of 3", "step 2 of 3", "step 1 of 3", "step 2 of 3",
    ]  # fmt: skip
    assert len(lines) == 6
