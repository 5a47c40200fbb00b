"""What a tensor is like: where it lies, how often it was written to, and a number that follows from its values.

PyTorch counts writes, but not those through `tensor.data`, a NumPy array of the same memory, another process or a bare
address. The fingerprint of the bytes shows them. It depends on their order, and a change of 8 neighbouring bytes always
changes it; other changes go unseen with a probability of about 2^-64 for random values.

Small tensors are read completely. Of larger ones `fingerprints` reads, unless told otherwise, only some lines spread
over the tensor: that shows what changed everywhere (a step of training, other weights, a permutation), but not a write
to few of many elements.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from desali.ops.backend import core
from desali.ops.device import on_host

WHOLE = 16 << 10
"""Tensors of up to so many bytes are always read completely."""
LINES = 16
"""Lines of 64 bytes that are read of larger ones."""
EVERYTHING = 2**62
"""As `whole`: read every tensor completely."""

_LINE = 64
_PLACE, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0x9E3779B1, 0x85EBCA77  # as in csrc/fingerprint.hpp


def version(tensor: Tensor) -> int:
    """The tensor's count of writes; -1 for those of inference mode, which keep none."""
    return -1 if tensor.is_inference() else tensor._version


def facts(tensor: Tensor) -> tuple[int, int, tuple[int, ...], tuple[int, ...]]:
    """Address, count of writes, shape and strides: what shows without looking at the values."""
    return tensor.data_ptr(), -1 if tensor.is_inference() else tensor._version, tensor.shape, tensor.stride()


def span(tensor: Tensor) -> int:
    """Bytes from a tensor's first element to its last, gaps included; 0 if they cannot be read from here.

    Only strided tensors in the computer's own memory can: not those of a GPU, sparse or quantised ones.
    """
    if not on_host(tensor.device) or tensor.layout is not torch.strided or tensor.is_quantized or not tensor.numel():
        return 0
    if tensor.is_contiguous():
        return tensor.numel() * tensor.element_size()
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return (sum((size - 1) * stride for size, stride in steps) + 1) * tensor.element_size()


def fingerprints(
    tensors: Sequence[Tensor], addresses: Sequence[int], spans: Sequence[int], whole: int = WHOLE
) -> list[int]:
    """A number of 64 bits for each tensor; that of a tensor of span 0 says nothing.

    Args:
        addresses, spans: of the tensors, known to be right.
        whole: bytes up to which a tensor is read completely.
    """
    module, _ = core()
    if module is None:
        return [_by_torch(tensor, size, whole) for tensor, size in zip(tensors, spans, strict=True)]
    found: list[int] = module.fingerprints(addresses=addresses, bytes=spans, whole=whole, lines=LINES)
    return found


def fingerprint(tensor: Tensor, whole: int = EVERYTHING) -> int:
    """The same for one tensor, which may lie on a GPU: then it is read there, completely, and waited for."""
    if not on_host(tensor.device):
        return _by_torch(tensor.detach().contiguous(), tensor.numel() * tensor.element_size(), EVERYTHING)
    return fingerprint_at(tensor, tensor.data_ptr(), span(tensor), whole)


def fingerprint_at(tensor: Tensor, address: int, size: int, whole: int) -> int:
    """The same for a tensor in the computer's own memory whose address and span are known to be right."""
    module, _ = core()
    if module is None:
        return _by_torch(tensor, size, whole)
    found: int = module.fingerprint(address=address, bytes=size, whole=whole, lines=LINES)
    return found


def _by_torch(tensor: Tensor, size: int, whole: int) -> int:
    """The reference, on any device: the number that the core gives."""
    if size == 0:
        return 0
    elements = tensor.detach().as_strided((size // tensor.element_size(),), (1,))
    bytes_ = elements.clone().view(torch.uint8)
    total = size // _LINE
    if size > whole and total >= LINES:
        chosen = torch.tensor(_chosen_lines(total), device=tensor.device)
        rest = bytes_[total * _LINE :]
        bytes_ = torch.cat([bytes_[: total * _LINE].view(-1, _LINE)[chosen].flatten(), rest])
        first = torch.cat([chosen, torch.full((-(-len(rest) // _LINE),), total, device=tensor.device)]) * (_LINE // 8)
        index = (first[:, None] + torch.arange(_LINE // 8, device=tensor.device)).flatten()
    else:
        index = torch.arange(-(-size // 8), device=tensor.device)
    words = torch.nn.functional.pad(bytes_, (0, -len(bytes_) % 8)).view(torch.int64)
    mixed = _mix(words, index[: len(words)])
    return (int(mixed.sum()) + size * _PLACE) % 2**64


def _mix(words: Tensor, index: Tensor) -> Tensor:
    """What each word adds, int64 that wraps around."""
    x = words ^ (index + 1) * _signed(_PLACE)
    x = (x ^ _right(x, 32)) * _FIRST
    x = (x ^ _right(x, 29)) * _SECOND
    return x ^ _right(x, 32)


def _right(x: Tensor, bits: int) -> Tensor:
    return x >> bits & (1 << 64 - bits) - 1


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _chosen_lines(total: int) -> list[int]:
    """A line at random of each of LINES parts of a tensor of `total` lines."""
    each = total // LINES
    draws = (_mix(torch.zeros(LINES, dtype=torch.int64), torch.arange(LINES)) >> 32 & 0xFFFFFFFF).tolist()
    sizes = [each] * (LINES - 1) + [total - each * (LINES - 1)]
    return [part * each + (draw * size >> 32) for part, (draw, size) in enumerate(zip(draws, sizes, strict=True))]
