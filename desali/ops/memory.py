"""Large results from the system in large pages."""

from __future__ import annotations

import torch
from torch import Tensor

from desali.ops.backend import core
from desali.ops.device import on_host

LARGE = 4 << 20
"""Bytes from which a result asks for large pages; NumPy draws the same line for its arrays."""


def large_pages(tensor: Tensor) -> Tensor:
    """Ask Linux to back a new CPU tensor with huge pages, before it is written; returns the tensor.

    A large result tends to come from fresh memory, and to have it page by page costs more than the ops that fill it.
    Nothing happens for tensors below 4 MiB, on other devices or systems, or without the compute core.
    """
    # The size first: this is on the way of every op.
    if tensor.numel() * tensor.element_size() < LARGE or not on_host(tensor.device):
        return tensor
    module, _ = core()
    if module is not None and not torch.compiler.is_compiling():
        module.large_pages(memory=tensor.data_ptr(), bytes=tensor.numel() * tensor.element_size())
    return tensor
