"""Several devices and nodes: Lightning's DDP strategy, and what every process has to know of the others."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Mapping

import torch
from lightning.pytorch.strategies import DDPStrategy

from desali import errors
from desali.errors import DesaliError
from desali.ops.device import gpu_count, on_gpu, resolve
from desali.training.stage import Stage

LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric")
_RANKS = ("RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK")
_RAISED = re.compile(r"^desali\.errors\.(\w+): (.+)$", re.MULTILINE)


class QuietDDP(DDPStrategy):
    """Lightning's DDP strategy, which keeps its announcements off the console of the processes that it starts."""

    def setup_environment(self) -> None:
        """Join the other processes."""
        warnings.simplefilter("ignore")
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        super().setup_environment()


def started_outside(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun or SLURM started one process a device."""
    return "LOCAL_RANK" in environment or ("SLURM_NTASKS" in environment and "SLURM_PROCID" in environment)


def is_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process writes the results: the first of those started by torchrun, SLURM or by hand on nodes."""
    return all(int(environment.get(name, "0") or 0) == 0 for name in _RANKS)


def check_devices(
    devices: int, nodes: int, device: str = "auto", environment: Mapping[str, str] = os.environ
) -> torch.device:
    """The device that `device` names, after refusing what cannot be started.

    Raises:
        UnknownNameError: no such device. DesaliError: one that this machine lacks, a count below 1, more GPUs than
            there are, or several nodes without what they need to find each other.
    """
    for name, count in (("devices", devices), ("nodes", nodes)):
        if count < 1:
            raise DesaliError(f"{name} must be at least 1, got {count}")
    place = resolve(device)
    there = gpu_count()
    if on_gpu(place) and devices > there:
        raise DesaliError(f"devices must be at most the {there} GPUs of this machine, got {devices}")
    if one_alone(device) and devices > 1:
        raise DesaliError(f"device {device} is a single one, but devices is {devices}; say cuda, or devices 1")
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK") if not environment.get(name)]
    if nodes > 1 and missing and not started_outside(environment):
        raise DesaliError(
            f"{nodes} nodes find each other by MASTER_ADDR, MASTER_PORT and NODE_RANK (0 to {nodes - 1}), but "
            f"{missing[0]} is not set; set them on every node, or start the command with torchrun or srun"
        )
    return place


def one_alone(device: str) -> bool:
    """Whether the word names a single GPU."""
    return device.startswith("cuda:")


def strategy_for(stage: Stage, devices: int, nodes: int) -> str | DDPStrategy:
    """Lightning's strategy: "auto" for one process, else DDP over processes that it starts, or that are there."""
    if devices * nodes == 1:
        return "auto"
    return QuietDDP(
        start_method="popen" if started_outside() else "spawn",
        find_unused_parameters=stage.unfreeze_every > 0,
    )


def raised_in_process(text: str) -> DesaliError | None:
    """The error of this package that a started process ended with, from its traceback; None if it was another."""
    found = _RAISED.search(text)
    if found is None:
        return None
    kind = getattr(errors, found[1], DesaliError)
    error: DesaliError = kind.__new__(kind)
    error.args = (found[2],)
    return error
