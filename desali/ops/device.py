"""Devices, in one place: what a user's word for one means, what is there, and whether tensors lie on a GPU."""

from __future__ import annotations

import copy
import functools
import re
from typing import TYPE_CHECKING

from desali.errors import DesaliError, UnknownNameError

if TYPE_CHECKING:
    import torch
    from torch import nn

DEVICES = ("cpu", "cuda", "cuda:N", "auto")
_WORD = re.compile(r"cpu|auto|cuda(?::(\d{1,4}))?")


def resolve(device: str | torch.device) -> torch.device:
    """The device that a word names, with its index.

    Args:
        device: "cpu"; "cuda" (the current CUDA device); "cuda:N"; "auto", the current CUDA device where one can be
            used, else the CPU; or a `torch.device` of one of these.

    Raises:
        UnknownNameError: another word.
        DesaliError: a CUDA device that is not there, or that cannot be used; the message says why.
    """
    import torch

    word = str(device)
    match = _WORD.fullmatch(word)
    if match is None:
        raise UnknownNameError("device", word, DEVICES, "cuda" if word.lower() == "gpu" else None)
    if word == "cpu":
        return torch.device("cpu")
    index = None if match[1] is None else int(match[1])
    reason = _reason_against_gpu(index)
    if reason is None:
        return torch.device("cuda", torch.cuda.current_device() if index is None else index)
    if word == "auto":
        return torch.device("cpu")
    raise DesaliError(f"device {word!r}: {reason}; use cpu or auto")


def moved(module: nn.Module, device: str | torch.device | None) -> nn.Module:
    """The module where `device` is (None: where the module is): itself if it is there already, else a copy.

    Raises:
        UnknownNameError, DesaliError: see `resolve`.
    """
    if device is None:
        return module
    where = resolve(device)
    if all(tensor.device == where for tensor in (*module.parameters(), *module.buffers())):
        return module
    return copy.deepcopy(module).to(where)


def device_of(module: nn.Module) -> torch.device:
    """The device of the module's first parameter or buffer; the CPU for a module without any."""
    import torch

    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return torch.device("cpu")


def on_gpu(device: torch.device) -> bool:
    """Whether tensors on this device lie on a GPU: the core's CUDA kernels work on them, CUDA graphs can hold them."""
    return device.type == "cuda"


def on_host(device: torch.device) -> bool:
    """Whether reading the values of tensors on this device costs nothing: on a GPU it would wait for the device."""
    return device.type == "cpu"


def gpu_visible() -> bool:
    """Whether PyTorch sees a CUDA device."""
    import torch

    return torch.cuda.is_available()


def gpu_count() -> int:
    """How many CUDA devices PyTorch sees."""
    import torch

    return torch.cuda.device_count()


def gpu_names() -> list[str]:
    """Names of the CUDA devices that PyTorch sees."""
    import torch

    return [torch.cuda.get_device_name(index) for index in range(gpu_count())]


def capturing() -> bool:
    """Whether the caller is capturing a CUDA graph: nothing has a value then, and nothing can be compared."""
    import torch

    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def _reason_against_gpu(index: int | None) -> str | None:
    """None if a CUDA device (None: the current one) computes, else why not."""
    import torch

    if not gpu_visible():
        built = torch.version.cuda is not None
        return "no CUDA device is visible" + ("" if built else " (this PyTorch is built without CUDA)")
    count = gpu_count()
    if index is not None and index >= count:
        return "cuda:0 is the only CUDA device" if count == 1 else f"the CUDA devices are cuda:0 to cuda:{count - 1}"
    try:
        torch.ones(1, device="cuda" if index is None else f"cuda:{index}").add_(1).item()
    except RuntimeError as error:  # another process has it alone, or it is too old for this PyTorch
        return f"the CUDA device cannot be used ({str(error).splitlines()[0]})"
    return None


@functools.cache
def processor() -> str:
    """The processor's name as the system tells it; "" where it tells none."""
    import platform
    from pathlib import Path

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
