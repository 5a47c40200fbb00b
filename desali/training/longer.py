"""A training that differs from an earlier one in its number of epochs alone: it goes on, or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from desali.training.stage import Stage

if TYPE_CHECKING:
    from desali.training.state import TrainingState

LONGEST = 1000
"""Up to so many epochs another training of the stage is looked for."""


@dataclass(frozen=True)
class Longer:
    """What is there of the same stage with another number of epochs.

    What an epoch does depends on the number of all epochs in the cosine schedule alone; with the others the first
    epochs of a longer training are those of a shorter one, bit by bit.

    Attributes:
        stage: as it is asked for.
        key_of: the key of a stage like it.
        stages: the folder where stages are kept.
        alone: whether this is the only node.
    """

    stage: Stage
    key_of: Callable[[Stage], str]
    stages: Path
    alone: bool = True

    @cached_property
    def _other(self) -> tuple[int, str] | None:
        """Epochs and key of the longest shorter training, else of the shortest longer one."""
        there = {path.name for path in self.stages.iterdir()} if self.stages.is_dir() else set()
        asked = self.stage.epochs
        for epochs in (*range(asked - 1, 0, -1), *range(asked + 1, max(LONGEST, asked) + 1)) if there else ():
            key = self.key_of(replace(self.stage, epochs=epochs))
            if key in there:
                return epochs, key
        return None

    @property
    def epochs(self) -> int | None:
        """The number of epochs of the other training; None without one."""
        return None if self._other is None else self._other[0]

    def state(self) -> TrainingState | None:
        """The state of a shorter training that this one goes on from; None if it cannot."""
        from desali.training.state import STATE_NAME, read_state

        other = self._other
        if other is None or self.stage.schedule == "cosine" or other[0] > self.stage.epochs or not self.alone:
            return None
        return read_state(self.stages / other[1] / STATE_NAME, other[1])

    def carry_on(self, path: Path, key: str) -> str:
        """Take the state of a shorter training over to `path` under `key`, unless one is there; what to report."""
        from desali.training.state import read_state, write_state

        if self._other is None or read_state(path, key) is not None:
            return ""
        epochs, stage = self._other[0], self.stage
        found = self.state()
        if found is not None:
            write_state(replace(found, key=key), path)
            return f"goes on after epoch {found.epoch} of the training of {epochs} epochs"
        if stage.schedule == "cosine":
            why = "the cosine schedule falls to 0 over all epochs, so each of them differs"
            advice = "only a training with --schedule constant or step can be made longer"
        elif epochs > stage.epochs:
            why, advice = "it is longer, and a training does not go back", f"--epochs {epochs} finds it again"
        else:
            why, advice = "its last state is not there", "it is kept on one machine, for schedules but cosine"
        return f"begins at epoch 1 of {stage.epochs}, although one of {epochs} epochs is there: {why}; {advice}"
