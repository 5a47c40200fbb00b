"""Ops that only move memory, against a copy that reads and writes as many bytes, in the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.context import Context, Result, Target
from benchmarks.jobs import OURS, REFERENCE
from benchmarks.measuring import Candidate, check, clock, held
from desali import ops

COPY = "copy into a buffer"
CLONE = "copy that allocates"
_TARGETS = {
    "inverse_relu": (0.6, 0.85),
    "max_unpool": (0.6, 0.85),
    "max_unpool + inverse ReLU": (0.6, 0.85),
    "max_pool_with_switches": (0.4, 0.7),
}


@dataclass(frozen=True)
class _Shape:
    """A ReLU and the pooling behind it: channels, size of the map, kernel and stride of the pooling."""

    name: str
    channels: int
    size: int
    kernel: int
    batch: int


_FRESH = 32 << 20
"""Results of more bytes come from the system afresh each time (glibc's mmap threshold at its largest)."""

_SHAPES = (
    _Shape("alexnet conv1", 64, 55, 3, 32),
    _Shape("alexnet conv2", 192, 27, 3, 40),
    _Shape("vgg16 conv1_2", 64, 224, 2, 2),
    _Shape("vgg16 conv3_3", 256, 56, 2, 8),
    _Shape("alexnet conv1, fresh memory", 64, 55, 3, 64),
)
_TINY = (_Shape("tiny", 9, 11, 3, 2),)


def _ops(shape: _Shape, device: str) -> dict[str, tuple[Callable[[str], Any], list[Tensor], bool]]:
    """By name: the op as a function of the backend, the tensors that it must read, whether it allocates its result."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(shape.batch, shape.channels, shape.size, shape.size, generator=generator).to(device)
    size = (shape.size, shape.size)
    pooling: dict[str, Any] = {"kernel": (shape.kernel,) * 2, "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)}
    one = x[:1]
    y, mask = ops.relu_with_mask(one, backend="torch")
    pooled, switches = ops.max_pool_with_switches(y, **pooling, ceil_mode=False, after_relu=True, backend="torch")

    def last(spatial: tuple[int, ...]) -> Tensor:
        values = torch.randn(1, shape.batch, *spatial, shape.channels, generator=generator)
        return values.to(device).movedim(-1, 2)

    above, signal = last(tuple(pooled.shape[2:])), last(size)
    out = torch.empty_like(signal.movedim(2, -1), memory_format=torch.contiguous_format).movedim(-1, 2)

    def unpool(relu: str | None) -> Callable[[str], Tensor]:
        return lambda backend: ops.max_unpool(above, switches, map_size=size, **pooling, relu=relu, backend=backend)

    def pool(backend: str) -> tuple[Tensor, Tensor]:
        return ops.max_pool_with_switches(x, **pooling, ceil_mode=False, after_relu=True, backend=backend)

    return {
        "relu_with_mask": (lambda backend: ops.relu_with_mask(x, backend=backend), [x], True),
        "inverse_relu": (
            lambda backend: ops.inverse_relu(signal, mask, map_size=size, out=out, backend=backend),
            [signal, mask],
            False,
        ),
        "max_pool_with_switches": (pool, [x], True),
        "max_unpool": (unpool(None), [above, switches], True),
        "max_unpool + inverse ReLU": (unpool("positive_bit"), [above, switches], True),
    }


def _copies(reads: int, writes: int, device: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Copies that read and write so many bytes: into a buffer, and into memory allocated for it.

    What is read may be written several times; what is read and not written is summed.
    """
    source, buffer = (torch.ones(count // 4, device=device) for count in (reads, writes))
    whole, rest = divmod(len(buffer), len(source))
    beyond = source[len(buffer) :]

    def into(out: Tensor) -> Tensor:
        if whole:
            out[: whole * len(source)].view(whole, len(source)).copy_(source)
        out[whole * len(source) :].copy_(source[:rest])
        if len(beyond):
            beyond.sum()
        return out

    return lambda: into(buffer), lambda: into(torch.empty_like(buffer))


def _bits(result: Any) -> Any:
    """Bytes and switches as numbers, so that they can be compared; the result of `out=` as it was at that moment."""
    if isinstance(result, tuple):
        return tuple(part.double() if not part.is_floating_point() else part for part in result)
    return result.clone()


def bandwidth(context: Context) -> list[Result]:
    """relu_with_mask, inverse ReLU, pooling, unpooling, and unpooling fused with the inverse ReLU."""
    results = []
    shapes = context.pick(_SHAPES, _SHAPES[:1], _TINY)
    for shape in shapes:
        for name, (run, reads, allocates) in _ops(shape, context.device).items():
            context.say(f"{name} on {shape.name}")
            checks = [
                Candidate(REFERENCE, lambda run=run: _bits(run("torch"))),  # type: ignore[misc]
                Candidate(OURS, lambda run=run: _bits(run("auto"))),  # type: ignore[misc]
            ]
            found = check(f"{name} on {shape.name}", checks, checks[0])
            written = run("auto")
            writes = list(written) if isinstance(written, tuple) else [written]
            moved = held(reads) + held(writes)
            copy, clone = _copies(held(reads), held(writes), context.device)
            entries = clock(
                [
                    Candidate(OURS, lambda run=run: run("auto")),  # type: ignore[misc]
                    Candidate(COPY, copy),
                    Candidate(CLONE, clone),
                    Candidate(REFERENCE, lambda run=run: run("torch")),  # type: ignore[misc]
                ],
                context.effort("op"),
            )
            entries[0].difference = found[OURS]
            facts = {
                "op": name, "shape": shape.name, "channels": shape.channels, "size": shape.size, "batch": shape.batch,
                "bytes": moved, "allocates": allocates,
            }  # fmt: skip
            targets = (
                [Target((CLONE if allocates else COPY,), *_TARGETS[name])]
                if name in _TARGETS and held(writes) <= _FRESH
                else []
            )
            results.append(Result("bandwidth", "bandwidth", f"{name}, {shape.name}", (OURS,), entries, targets, facts))
    return results
