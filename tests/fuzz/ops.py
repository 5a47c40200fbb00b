"""Random arguments for the public ops: a result, or a TypeError or ValueError; never a crash, a hang or gigabytes."""

from __future__ import annotations

import random
from typing import Any

import torch

from desali import ops

LARGE = (2**31 - 1, 2**31, 2**32, 2**61, 2**62, 2**63 - 1, 2**63, 2**200, -1, -(2**31), -(2**63), 0)
ODD = (1.5, None, "3", True, [1], [1, 2, 3, 4], (2, 2), float("nan"))


def number(rng: random.Random, low: int, high: int) -> Any:
    """Mostly a fitting integer, at times a large or an odd one."""
    chance = rng.random()
    if chance < 0.8:
        return rng.randint(low, high)
    return rng.choice(LARGE) if chance < 0.96 else rng.choice(ODD)


def origins(rng: random.Random, n: int, k: int, dims: int) -> Any:
    chance = rng.random()
    if chance < 0.5:
        return None
    if chance < 0.75:
        return torch.tensor([rng.randint(-3, 5) for _ in range(n * k * dims)], dtype=torch.int64).view(n, k, dims)
    if chance < 0.97:
        return torch.full((n, k, dims), rng.choice([one for one in LARGE if -(2**63) <= one < 2**63]))
    return torch.zeros(n, k, dims, dtype=rng.choice((torch.float32, torch.int32)))


def tensor(rng: random.Random, shape: tuple[int, ...]) -> Any:
    dtype = rng.choice((torch.float32, torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16))
    made = torch.randn(shape).to(dtype)
    chance = rng.random()
    if chance < 0.1 and made.dim() > 3:
        return made.transpose(-1, -2)
    if chance < 0.2:
        return made.expand(shape) if 1 not in shape else made
    if chance < 0.25 and made.numel():
        made.view(-1)[0] = float(rng.choice(("nan", "inf", "-inf")))
    if chance > 0.98:
        return rng.choice((None, 3, made.int(), made[..., :0]))
    return made


def shape_of(rng: random.Random, dims: int, low: int = 0) -> tuple[int, ...]:
    return tuple(rng.choice((low, 1, 1, 2, 3, 5, 6)) if low == 0 else rng.randint(low, 6) for _ in range(dims))


def backend(rng: random.Random) -> str:
    return rng.choice(("auto", "auto", "native", "torch", "none"))


def relu(rng: random.Random) -> None:
    dims = rng.randint(0, 3)
    x = tensor(rng, (rng.randint(0, 2), rng.randint(1, 9), *shape_of(rng, dims)))
    ops.relu_with_mask(x, upper=rng.choice((None, 6.0, float("nan"))), backend=backend(rng))


def inverse(rng: random.Random) -> None:
    dims = rng.randint(0, 3)
    n, k, c, size = rng.randint(0, 2), rng.randint(1, 3), rng.randint(1, 9), shape_of(rng, dims)
    mask = torch.zeros(n, *size, (c + 7) // 8, dtype=torch.uint8)
    ops.inverse_relu(
        tensor(rng, (n, k, c, *size)), mask, map_size=size if rng.random() < 0.8 else number(rng, 0, 6),
        origin=origins(rng, n, k, dims), relu_backward=rng.random() < 0.5, backend=backend(rng),
    )  # fmt: skip


def pool(rng: random.Random) -> None:
    dims = rng.randint(1, 3)
    x = tensor(rng, (rng.randint(0, 2), rng.randint(1, 5), *shape_of(rng, dims)))
    ops.max_pool_with_switches(
        x, number(rng, 1, 3), number(rng, 1, 3), number(rng, 0, 1), number(rng, 1, 2), rng.random() < 0.3,
        after_relu=rng.random() < 0.3, backend=backend(rng),
    )  # fmt: skip


def unpool(rng: random.Random) -> None:
    dims = rng.randint(1, 3)
    n, k, c, size = rng.randint(0, 2), rng.randint(1, 3), rng.randint(1, 5), shape_of(rng, dims)
    switches = torch.randint(0, rng.choice((1, 4, 256)), (n, *size, c), dtype=torch.uint8)
    ops.max_unpool(
        tensor(rng, (n, k, c, *size)), switches, map_size=number(rng, 1, 9), kernel=number(rng, 1, 3),
        stride=number(rng, 1, 3), padding=number(rng, 0, 1), dilation=number(rng, 1, 2),
        use_switches=rng.random() < 0.7, overlap=rng.choice(("sum", "overwrite")), origin=origins(rng, n, k, dims),
        out_origin=origins(rng, n, k, dims), out_size=rng.choice((None, number(rng, 0, 6))),
        relu=rng.choice((None, "positive_bit")), backend=backend(rng),
    )  # fmt: skip


def convolve(rng: random.Random) -> None:
    dims = rng.randint(1, 3)
    n, k, o, size = rng.randint(0, 2), rng.randint(1, 3), rng.choice((1, 2, 4)), shape_of(rng, dims)
    signal = tensor(rng, (n, k, o, *size))
    weight = torch.randn(o, rng.randint(1, 3), *[rng.randint(1, 3) for _ in range(dims)])
    weight = weight.to(signal.dtype) if isinstance(signal, torch.Tensor) and signal.is_floating_point() else weight
    ops.conv_transpose(
        signal, weight, map_size=number(rng, 1, 9), stride=number(rng, 1, 3), padding=number(rng, 0, 2),
        dilation=number(rng, 1, 2), groups=rng.choice((1, 1, 2, o, 0, -1)), origin=origins(rng, n, k, dims),
        out_origin=origins(rng, n, k, dims), out_size=rng.choice((None, number(rng, 0, 6))), backend=backend(rng),
    )  # fmt: skip


OPS = {
    "op relu_with_mask": relu,
    "op inverse_relu": inverse,
    "op max_pool_with_switches": pool,
    "op max_unpool": unpool,
    "op conv_transpose": convolve,
}
