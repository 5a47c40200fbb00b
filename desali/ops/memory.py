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


ALIGNMENT = 64
"""Bytes that addresses are compared by: kernels for whole vectors look no further."""


def copied_as_it_lies(tensor: Tensor) -> Tensor:
    """A copy whose strides, overlaps and alignment are the tensor's own, unlike those of `clone`.

    Which kernel PyTorch takes depends on them, and the last bits of a result on the kernel. Gaps between the elements
    are not read.
    """
    source = tensor.detach()
    if not source.numel():
        return source.clone()
    size = source.element_size()
    steps = zip(source.shape, source.stride(), strict=True)
    span = sum((extent - 1) * stride for extent, stride in steps) + 1
    memory = torch.empty(span + ALIGNMENT // size, dtype=source.dtype, device=source.device)
    start = (source.data_ptr() - memory.data_ptr()) % ALIGNMENT // size
    copy = memory.as_strided(source.shape, source.stride(), start)
    once = tuple(slice(None) if stride else slice(0, 1) for stride in source.stride())  # an element to write only once
    copy[once].copy_(source[once])
    return copy
