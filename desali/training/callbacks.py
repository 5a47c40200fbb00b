"""The end of an epoch: keep state and history, decide whether to stop; and progress, as a bar or as lines."""

from __future__ import annotations

import copy
import math
import sys
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from tqdm import tqdm

from desali.errors import DesaliError, OutputError
from desali.output.files import write_text
from desali.output.interrupts import check
from desali.output.progress import duration
from desali.training.history import HISTORY_NAME, rows_as_csv
from desali.training.module import StageModule
from desali.training.state import TrainingState, snapshot, write_state

QUICK, SLOW = 10.0, 60.0
"""Seconds: epochs that follow each other faster are not all said in a log; within longer ones a line is written."""


class Keeper(lightning.Callback):
    """Restores a state at the start, writes it after every epoch, and stops a stage that no longer improves.

    Beside the state lies the history as CSV, written anew after every epoch. With several processes the first writes;
    all of them decide alike, from the same metrics.
    """

    def __init__(self, state: TrainingState, path: Path) -> None:
        self.state, self.path = state, path
        self._started = 0.0

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self.state.epoch:
            own = copy.deepcopy(self.state.optimizer)  # tensors sent to several processes share their memory
            trainer.optimizers[0].load_state_dict(own)
            scaler = _scaler(trainer)
            if scaler is not None and self.state.scaler:
                scaler.load_state_dict(self.state.scaler)
        self._started = time.perf_counter()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, step: int) -> None:
        check()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        assert isinstance(module, StageModule)
        state, row, stage = self.state, module.finish_epoch(), module.stage
        weights = snapshot(module.model.state_dict())
        finite = all(bool(torch.isfinite(tensor).all()) for tensor in weights.values() if tensor.is_floating_point())
        if not (finite and all(map(math.isfinite, row.values()))):
            raise DesaliError(
                f"stage {module.title}: weights or loss became NaN or Inf in epoch {module.epoch}; the state after "
                f"epoch {module.epoch - 1} is kept, lower the learning rate (now {stage.learning_rate:g})"
            )
        now = time.perf_counter()
        seconds, self._started = now - self._started, now
        state.seconds += seconds
        timing = {"epoch": module.epoch, "seconds": seconds, "waiting": min(seconds, module.clock.reset())}
        state.timing = [*state.timing, timing]
        state.epoch, state.model = module.epoch, weights
        state.optimizer = trainer.optimizers[0].state_dict()
        scaler = _scaler(trainer)
        state.scaler = {} if scaler is None else scaler.state_dict()
        state.history = [*state.history, dict(row)]
        score = _score(row, stage.criterion)
        watched = module.held_inputs is not None
        if score < state.best_score or not watched:
            state.best_epoch, state.best_score, state.best = module.epoch, score, weights
        self._write(trainer)
        if trainer.is_global_zero and trainer.logger is not None:
            metrics = {name: value for name, value in row.items() if name != "epoch"}
            trainer.logger.log_metrics(metrics, step=module.epoch)
        if self.exhausted(stage.patience, watched):
            trainer.should_stop = True

    def _write(self, trainer: lightning.Trainer) -> None:
        """The first process writes; if it cannot, all of them stop."""
        failure: list[str | None] = [None]
        if trainer.is_global_zero:
            try:
                write_state(self.state, self.path)
                write_text(self.path.with_name(HISTORY_NAME), rows_as_csv(self.state.history))
            except OutputError as error:
                failure = [str(error)]
        if trainer.world_size > 1:
            torch.distributed.broadcast_object_list(failure, src=0)
        if failure[0] is not None:
            raise OutputError(failure[0])

    def exhausted(self, patience: int, watched: bool) -> bool:
        """Whether `patience` epochs went by without a better one; 0 waits for ever."""
        return watched and patience > 0 and self.state.epoch - self.state.best_epoch >= patience


class ProgressLines(lightning.Callback):
    """Lines on stderr where no terminal shows a bar: after an epoch, and within one that takes long.

    The first epoch of a sitting is always said; of those that follow within `QUICK` seconds, some are passed over.
    """

    def __init__(self, keeper: Keeper, quick: float = QUICK, slow: float = SLOW) -> None:
        self.keeper, self.quick, self.slow = keeper, quick, slow
        self._start = self._last = 0.0
        self._said = False

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._start = self._last = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, step: int) -> None:
        steps = int(trainer.num_training_batches)
        if time.monotonic() - self._last >= self.slow and step + 1 < steps:
            self._say(trainer, module, int(trainer.current_epoch) + (step + 1) / steps, f", step {step + 1} of {steps}")

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if not self._said or time.monotonic() - self._last >= self.quick:
            assert isinstance(module, StageModule)
            row, best = self.keeper.state.history[-1], self.keeper.state.best_epoch
            held = row.get("held_out_balanced_accuracy")
            more = "" if held is None else f", held-out balanced accuracy {held:.3f}"
            more = f", training loss {row['training_loss']:.3f}{more}, best epoch {best}"
            self._say(trainer, module, int(trainer.current_epoch) + 1, more)

    def _say(self, trainer: lightning.Trainer, module: StageModule, done: float, more: str) -> None:
        self._last, self._said = time.monotonic(), True
        if not trainer.is_global_zero:
            return
        left = (self._last - self._start) / done * (module.stage.epochs - module.first_epoch - done)
        epoch = f"epoch {module.epoch} of {module.stage.epochs}"
        text = f"stage {module.title}: {epoch}{more}, at most {duration(left)} left"
        print(text, file=sys.stderr, flush=True)


class ProgressBar(lightning.Callback):
    """One tqdm bar a stage, on stderr: steps done of the most that can come, time left, loss, best epoch so far."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self._bar: Any = None

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        assert isinstance(module, StageModule)
        if not trainer.is_global_zero:
            return
        steps = int(trainer.num_training_batches)
        self._bar = tqdm(
            desc=f"stage {module.title}",
            total=steps * module.stage.epochs,
            initial=steps * module.first_epoch,
            unit="step",
            leave=False,
            bar_format="{desc} |{bar:20}| {percentage:3.0f} %, at most {remaining} left{postfix}",
        )

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, step: int) -> None:
        if self._bar is None:
            return
        self._bar.update()
        if step % 10 == 0:
            self._bar.set_postfix_str(
                f"epoch {module.epoch}, loss {float(outputs['loss']):.3f}, best epoch {self.keeper.state.best_epoch}",
                refresh=False,
            )

    def teardown(self, trainer: lightning.Trainer, module: lightning.LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _scaler(trainer: lightning.Trainer) -> Any:
    """The loss scaler of fp16, or None."""
    return getattr(trainer.precision_plugin, "scaler", None)


def _score(row: dict[str, float], criterion: str) -> float:
    """Lower is better; without held-out patients every epoch scores alike and the last is kept."""
    if "held_out_loss" not in row:
        return float("inf")
    return row["held_out_loss"] if criterion == "loss" else -row["held_out_balanced_accuracy"]
