"""The state of an unfinished stage on disk: tensors and primitives only, written whole at the end of every epoch."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from torch import Tensor

from desali.errors import OutputError
from desali.output.files import atomic_path

STATE_NAME = "last.ckpt"
MARK = b"desali sha256 "
COMMENT = len(MARK) + 64
BLOCK = 1 << 24
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
    """Write `state` to `path` with its digest; a reader sees the old file or the new one, never half of one.

    The state before it stays beside it (`previous_of`), for the day on which a byte of `path` flips.

    Raises:
        OutputError: it cannot be written, for instance because the disk is full; the message says what is kept.
    """
    try:
        with atomic_path(path) as temporary:
            with temporary.open("wb") as file:
                recorder = _Recorder(file)
                try:
                    torch.save(dict(vars(state)), cast("IO[bytes]", recorder))
                    recorder.finish()
                except RuntimeError:
                    raise recorder.error or OSError("torch could not write it") from None
            if path.is_file():
                path.replace(previous_of(path))
    except OutputError as error:
        kept = f"the state after epoch {state.epoch - 1} is kept there" if path.is_file() else "no state was kept"
        raise OutputError(f"{error}; {kept}; make room or choose another folder, then run the same command") from error


def previous_of(path: Path) -> Path:
    """Where the state before the one at `path` is kept."""
    return path.with_name(f"previous-{path.name}")


def remove_state(path: Path) -> None:
    """Remove the state at `path` and the one before it."""
    path.unlink(missing_ok=True)
    previous_of(path).unlink(missing_ok=True)


class _Recorder:
    """A binary file for `torch.save`, which ends in the digest of what was written: the comment of a zip archive.

    It keeps the system's error, which torch turns into a RuntimeError of its own.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._held = b""
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write `data`, all but the last two bytes: at the end they are the length of the archive's comment."""
        view = memoryview(data)
        count = len(view)
        if count >= 2:
            self._write(self._held)
            self._write(view[:-2])
            self._held = bytes(view[-2:])
        else:
            held = self._held + bytes(view)
            self._write(held[:-2])
            self._held = held[-2:]
        return count

    def finish(self) -> None:
        """Write the digest."""
        if self._held != bytes(2):
            raise OSError("torch wrote an archive of another form than expected")
        self._write(struct.pack("<H", COMMENT))
        self._put(MARK + self._digest.hexdigest().encode("ascii"))

    def _write(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self._put(data)

    def _put(self, data: bytes | memoryview) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


def read_state(path: Path, key: str) -> TrainingState | None:
    """The state at `path`, or else the one before it, if it is whole and belongs to the stage `key`.

    None if neither is: the stage then starts anew.
    """
    for file in (path, previous_of(path)):
        state = _read(file)
        if state is not None and state.key == key:
            return state
    return None


def _read(path: Path) -> TrainingState | None:
    if not _is_whole(path):
        return None
    try:
        return TrainingState(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception:  # a file of another version; torch raises anything
        return None


def _is_whole(path: Path) -> bool:
    """Whether a regular file ends in the digest of what stands before it."""
    try:
        if not path.is_file():
            return False
        digest, left = hashlib.sha256(), path.stat().st_size - COMMENT
        with path.open("rb") as file:
            while left > 0 and (block := file.read(min(BLOCK, left))):
                digest.update(block)
                left -= len(block)
            return file.read() == MARK + digest.hexdigest().encode("ascii")
    except OSError:
        return False
