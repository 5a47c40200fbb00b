"""The state of an unfinished stage on disk: tensors and primitives only, written whole at the end of every epoch."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from torch import Tensor

from desali.errors import OutputError
from desali.output.files import atomic_path

STATE_NAME = "last.ckpt"
Row = dict[str, float]


@dataclass
class TrainingState:
    """Where a stage stands after `epoch` finished epochs.

    Random numbers need no state: every epoch draws from streams of its own, derived from seed, domain and epoch number.

    Attributes:
        key: the stage's key; a state is only ever continued by the same stage.
        epoch: finished epochs.
        model: state dict after that epoch.
        optimizer: the optimiser's state dict (moments, parameter groups).
        best_epoch: number (from 1) of the best epoch so far, 0 before the first.
        best_score: its score, lower is better.
        best: its state dict.
        history: one row of metrics an epoch.
        seconds: training time so far, over all sittings.
        timing: for every epoch its number, its seconds, and how many of them the trainer waited for input.
        scaler: the loss scaler's state dict, with fp16.
    """

    key: str
    epoch: int = 0
    model: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    best_epoch: int = 0
    best_score: float = float("inf")
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    timing: list[Row] = field(default_factory=list)
    scaler: dict[str, Any] = field(default_factory=dict)


def snapshot(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def write_state(state: TrainingState, path: Path) -> None:
    """Write `state` to `path`; a reader sees the old file or the new one, never half of one.

    Raises:
        OutputError: it cannot be written, for instance because the disk is full; the message says what is kept.
    """
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            recorder = _Recorder(file)
            try:
                torch.save(dict(vars(state)), cast("IO[bytes]", recorder))
            except RuntimeError:
                raise recorder.error or OSError("torch could not write it") from None
    except OutputError as error:
        kept = f"the state after epoch {state.epoch - 1} is kept there" if path.is_file() else "no state was kept"
        raise OutputError(f"{error}; {kept}; make room or choose another folder, then run the same command") from error


class _Recorder:
    """A binary file for `torch.save`; keeps the system's error, which torch turns into a RuntimeError of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write `data`."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


def read_state(path: Path, key: str) -> TrainingState | None:
    """The state at `path` if it is readable and belongs to the stage `key`, else None (the stage then starts anew)."""
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        state = TrainingState(**values)
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, pickle.UnpicklingError):
        return None
    return state if state.key == key else None
