"""Learning rates over the epochs of a stage."""

from __future__ import annotations

import math

from desali.training.stage import Stage


def learning_rate(stage: Stage, epoch: int) -> float:
    """The rate of epoch `epoch` (from 1): cosine from `learning_rate` towards 0, in steps, or constant."""
    if stage.schedule == "constant":
        return stage.learning_rate
    if stage.schedule == "step":
        return stage.learning_rate * stage.decay ** sum(epoch > milestone for milestone in stage.milestones)
    return stage.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / stage.epochs))


def unfrozen_depth(stage: Stage, epoch: int) -> int | None:
    """How many blocks below the classifier are trained in epoch `epoch` (from 1); None for all of them."""
    if stage.mode == "feature_extraction":
        return 0
    if stage.unfreeze_every:
        return stage.unfreeze_blocks * ((epoch - 1) // stage.unfreeze_every)
    return None
