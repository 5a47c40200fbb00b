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
from torch.multiprocessing.spawn import ProcessRaisedException

from desali.errors import DesaliError
from desali.models.registry import Architecture
from desali.ops.device import on_gpu
from desali.output.progress import interactive
from desali.training.augmentation import Augmentation, augmentation_of
from desali.training.blocks import Blocks
from desali.training.callbacks import Keeper, ProgressBar, ProgressLines
from desali.training.devices import LOGGERS, check_devices, one_alone, raised_in_process, strategy_for
from desali.training.inputs import Inputs, PreparedInputs
from desali.training.module import StageModule
from desali.training.single import check_enough, images_needed
from desali.training.stage import Stage
from desali.training.state import STATE_NAME, Row, TrainingState, read_state


@dataclass(frozen=True)
class Fitted:
    """What a stage's training gave.

    Attributes:
        weights: the best epoch's state dict, on the CPU.
        best_epoch: its number, from 1.
        history: one row of metrics an epoch: "epoch", "learning_rate", "training_loss" and, where patients were held
            out, "held_out_loss" and "held_out_balanced_accuracy" (macro over the classes that occur there).
        seconds: training time over all sittings.
        timing: for every epoch "epoch", "seconds" and "waiting", the seconds that the trainer waited for input.
    """

    weights: dict[str, Tensor]
    best_epoch: int
    history: list[Row]
    seconds: float
    timing: list[Row]


Part = tuple[Tensor, Tensor]
"""Network input float32 [n, c, h, w] and labels int64 [n]."""
PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Lightning's names."""


def fit_stage(
    model: nn.Module,
    architecture: Architecture,
    stage: Stage,
    training: Inputs | Part,
    held: Inputs | Part | None,
    *,
    key: str,
    folder: Path,
    seed: int,
    title: str,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    augmentation: Augmentation | None = None,
    tensorboard: bool = False,
    progress: bool = False,
    callbacks: Sequence[lightning.Callback] = (),
) -> Fitted:
    """Train `model` (changed in place) on one stage and return the best epoch's weights.

    After each epoch the state is written to `folder`/last.ckpt and the history to `folder`/history.csv; a later call
    with the same `key` goes on from there and on the CPU ends with bitwise the same weights as an uninterrupted one
    (same versions, same number of threads and processes). On a GPU some of CaffeNet's operations have no deterministic
    form; there the last bits may differ.

    With several devices or nodes, processes train on their shares of every batch (Lightning's DDP) and `model` is left
    as it was. Where they were started on several nodes, only the first one's result is whole; see
    `desali.training.devices.is_first`.

    Args:
        model: as `fresh_model` makes it.
        training: the images, or network input float32 [n, c, h, w] and labels int64 [n].
        held: the same for the held-out patients, or None to train all epochs and keep the last.
        device: "cpu", "cuda", "cuda:N" or "auto" (a CUDA device if there is one, else the CPU).
        devices: processes on this machine, each with a device of its own.
        nodes: machines.
        augmentation: what `augmentation_of` makes of the stage; if None, without noise in HU, gain and offset.
        tensorboard: write metrics for TensorBoard to `folder`/tensorboard too.

    Raises:
        DesaliError: loss or weights became NaN or Inf; the last good state stays on disk. Or fp16 without CUDA.
        KeyboardInterrupt: interrupted; the last finished epoch stays on disk.
        OutputError: the state cannot be written; the last good one stays on disk.
    """
    path = folder / STATE_NAME
    training, held = _inputs(training), None if held is None else _inputs(held)
    state = read_state(path, key) or TrainingState(key)
    if state.epoch:
        model.load_state_dict(state.model)
    keeper = Keeper(state, path)
    if state.epoch < stage.epochs and not keeper.exhausted(stage.patience, held is not None):
        gpu = on_gpu(place := check_devices(devices, nodes, device))
        if stage.precision == "fp16" and not gpu:
            raise DesaliError("precision fp16 needs a CUDA device; on the CPU use bf16")
        blocks = Blocks(model, architecture)
        if stage.mode == "feature_extraction":
            blocks.freeze(model, 0)
        needed = images_needed(model, training.images([0]), stage, blocks)
        least = check_enough(needed, len(training), stage.batch_size, devices * nodes, title)
        module = StageModule(
            model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            stage,
            training,
            held,
            seed,
            state.epoch,
            title,
            augmentation or augmentation_of(stage, None, "hu"),
            blocks,
            least,
            needed,
        )
        strategy = strategy_for(stage, devices, nodes)
        with _quiet(), _deterministic(), torch.random.fork_rng():
            trainer = lightning.Trainer(
                accelerator="gpu" if gpu else "cpu",
                devices=[place.index] if one_alone(device) else devices,
                num_nodes=nodes,
                strategy=strategy,
                precision=PRECISIONS[stage.precision],
                sync_batchnorm=strategy != "auto" and gpu,
                use_distributed_sampler=False,
                max_epochs=stage.epochs - state.epoch,
                deterministic="warn" if gpu else True,
                reload_dataloaders_every_n_epochs=1,
                gradient_clip_val=stage.clip,
                num_sanity_val_steps=0,
                logger=_tensorboard(folder) if tensorboard else False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[*callbacks, keeper, *([_shown(keeper)] if progress else [])],
            )
            _run(trainer, module)
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        if strategy != "auto":
            state = read_state(path, key) or state
    return Fitted(state.best, state.best_epoch, state.history, state.seconds, state.timing)


def _shown(keeper: Keeper) -> lightning.Callback:
    return ProgressBar(keeper) if interactive() else ProgressLines(keeper)


def _inputs(part: Inputs | Part) -> Inputs:
    return PreparedInputs(*part) if isinstance(part, tuple) else part


def _tensorboard(folder: Path) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="tensorboard", version="")


def _run(trainer: lightning.Trainer, module: StageModule) -> None:
    """`trainer.fit`, but Ctrl-C stays a KeyboardInterrupt (Lightning exits the process and leaves SIGINT ignored).

    An error of this package in a started process is raised here as it was there.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module)
    except SystemExit:
        raise KeyboardInterrupt from None
    except ProcessRaisedException as error:
        raise raised_in_process(str(error)) or error from None
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread: there it was not changed either
            signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's announcements, tips and warnings off the console."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
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
