"""How the decisions of ReLUs and max poolings are stored: bits for the masks, one small integer for each switch.

A mask is uint8 [N, *S, ceil(C/8)]: bit c % 8 (little endian) of byte c // 8 is [x > 0] or NaN; padding bits are zero.
A switch is the arg-max's row-major offset in the window; its type's top bit says "the pooled value was positive":
uint8 up to 128 offsets, int16 up to 32768 (top bit = sign bit), int32 beyond.
"""

from __future__ import annotations

import torch
from torch import Tensor

from desali.ops.checks import constant

_BIT_WEIGHTS = (1, 2, 4, 8, 16, 32, 64, 128)
_POSITIVE = {torch.uint8: 1 << 7, torch.int16: 1 << 15, torch.int32: 1 << 31}


def pack_mask(
    positive: Tensor,  # bool [N, C, *S]
) -> Tensor:
    """Pack booleans, eight channels to a byte -> uint8 [N, *S, ceil(C/8)]."""
    bits = positive.movedim(1, -1)
    channels = bits.shape[-1]
    octets = (channels + 7) // 8
    if channels % 8:
        bits = torch.nn.functional.pad(bits, (0, octets * 8 - channels))
    weights = constant(_BIT_WEIGHTS, bits.device).to(torch.uint8)
    packed = (bits.reshape(*bits.shape[:-1], octets, 8).to(torch.uint8) * weights).sum(-1, dtype=torch.uint8)
    return packed.contiguous()


def unpack_mask(
    mask: Tensor,  # uint8 [N, *S, ceil(C/8)]
    channels: int,
) -> Tensor:
    """Unpack bits -> bool [N, C, *S]."""
    weights = constant(_BIT_WEIGHTS, mask.device).to(torch.uint8)
    bits = (mask.unsqueeze(-1) & weights).ne(0).flatten(-2)
    return bits[..., :channels].movedim(-1, 1)


def switch_dtype(offsets: int) -> torch.dtype:
    """Integer type of the switches of a window with so many offsets."""
    if offsets <= 1 << 7:
        return torch.uint8
    return torch.int16 if offsets <= 1 << 15 else torch.int32


def encode_switches(
    offset: Tensor,  # int64 [N, C, *P]
    positive: Tensor | None,  # bool [N, C, *P]
    offsets: int,
) -> Tensor:
    """Offsets and "was positive" bits -> switches [N, *P, C]."""
    dtype = switch_dtype(offsets)
    code = offset if positive is None else offset + positive.to(torch.int64) * _POSITIVE[dtype]
    if dtype is not torch.uint8:  # the top bit of a signed type is its sign
        top = _POSITIVE[dtype]
        code = torch.where(code >= top, code - 2 * top, code)
    return code.to(dtype).movedim(1, -1).contiguous()


def decode_switches(
    switches: Tensor,  # uint8 | int16 | int32 [N, *P, C]
) -> tuple[Tensor, Tensor]:
    """Switches [N, *P, C] -> offsets int64 [N, C, *P] and "was positive" bits, bool [N, C, *P]."""
    top = _POSITIVE[switches.dtype]
    code = switches.movedim(-1, 1).to(torch.int64) & (2 * top - 1)
    return code & (top - 1), code >= top
