"""Train one stage with Lightning: deterministic, quiet, resumable at every epoch."""

from __future__ import annotations

import contextlib
import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from desali.models.registry import Architecture
from desali.training.callbacks import Keeper, ProgressBar
from desali.training.module import Part, StageModule
from desali.training.recipes import Stage
from desali.training.seeding import derive
from desali.training.state import STATE_NAME, Row, TrainingState, read_state


@dataclass(frozen=True)
class Fitted:
    """What a stage's training gave.

    Attributes:
        weights: the best epoch's state dict, on the CPU.
        best_epoch: its number, from 1.
        history: one row of figures an epoch: "epoch", "learning_rate", "training_loss" and, where groups were held out,
            "held_out_loss" and "held_out_balanced_accuracy" (macro over the classes that occur there).
        seconds: training time over all sittings.
    """

    weights: dict[str, Tensor]
    best_epoch: int
    history: list[Row]
    seconds: float


def fresh_model(
    architecture: Architecture, classes: int, seed: int, domain: str, parent: dict[str, Tensor] | None
) -> nn.Module:
    """A network for `domain`: new weights, then the parent's feature layers if there is one.

    New weights depend on seed and domain alone, so all recipes start the target's classifier from the same values.
    torch's generator is left as it was.
    """
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, domain, "initial weights"))
        model = architecture.build(classes, architecture.in_channels)
    if parent is not None:
        kept = {name: value for name, value in parent.items() if not architecture.is_classifier(name)}
        model.load_state_dict({**model.state_dict(), **kept})
    return model


def fit_stage(
    model: nn.Module,
    architecture: Architecture,
    stage: Stage,
    training: Part,
    held: Part | None,
    *,
    key: str,
    folder: Path,
    seed: int,
    title: str,
    accelerator: str = "auto",
    progress: bool = False,
    callbacks: Sequence[lightning.Callback] = (),
) -> Fitted:
    """Train `model` (changed in place) on one stage and return the best epoch's weights.

    After each epoch the state is written to `folder`/last.ckpt; a later call with the same `key` goes on from there and
    on the CPU ends with bitwise the same weights as an uninterrupted one (same versions, same number of threads). On a
    GPU some of CaffeNet's operations have no deterministic form; there the last bits may differ.

    Args:
        model: as `fresh_model` makes it.
        training: images float32 [n, c, h, w] and labels int64 [n].
        held: the same for the held-out groups, or None to train all epochs and keep the last.
        accelerator: "auto" (a CUDA device if there is one, else the CPU), "cpu", "gpu" or another of Lightning's names.

    Raises:
        DesaliError: loss or weights became NaN or Inf; the last good state stays on disk.
        KeyboardInterrupt: interrupted; the last finished epoch stays on disk.
        OutputError: the state cannot be written.
    """
    path = folder / STATE_NAME
    state = read_state(path, key) or TrainingState(key)
    if state.epoch:
        model.load_state_dict(state.model)
    keeper = Keeper(state, path)
    if state.epoch < stage.epochs and not keeper.exhausted(stage.patience, held is not None):
        if accelerator == "auto":
            accelerator = "gpu" if torch.cuda.is_available() else "cpu"
        if stage.mode == "feature_extraction":
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(architecture.is_classifier(name))
        module = StageModule(
            model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            stage,
            (training[0].contiguous(memory_format=torch.channels_last), training[1]),
            held,
            seed,
            state.epoch,
            title,
        )
        with _quiet(), _deterministic(), torch.random.fork_rng():
            trainer = lightning.Trainer(
                accelerator=accelerator,
                devices=1,
                max_epochs=stage.epochs - state.epoch,
                deterministic=True if accelerator == "cpu" else "warn",
                reload_dataloaders_every_n_epochs=1,
                gradient_clip_val=stage.clip,
                num_sanity_val_steps=0,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[*callbacks, keeper, *([ProgressBar(keeper)] if progress else [])],
            )
            _run(trainer, module)
        for parameter in model.parameters():
            parameter.requires_grad_(True)
    return Fitted(state.best, state.best_epoch, state.history, state.seconds)


def _run(trainer: lightning.Trainer, module: StageModule) -> None:
    """`trainer.fit`, but Ctrl-C stays a KeyboardInterrupt (Lightning exits the process and leaves SIGINT ignored)."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module)
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread: there it was not changed either
            signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's announcements, tips and warnings off the console."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    """Restore torch's global switches, which Lightning's `deterministic` sets and leaves set."""
    fill: Any = torch.utils.deterministic
    mode, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, filling = torch.backends.cudnn.benchmark, fill.fill_uninitialized_memory
    fill.fill_uninitialized_memory = False  # no result reads uninitialised memory; filling it costs a tenth of the time
    try:
        yield
    finally:
        fill.fill_uninitialized_memory = filling
        torch.use_deterministic_algorithms(mode, warn_only=warn)
        torch.backends.cudnn.benchmark = benchmark
