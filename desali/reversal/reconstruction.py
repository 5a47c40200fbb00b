"""Work off seeds in portions that fit into memory, one joint sweep for each portion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from desali import ops
from desali.errors import DesaliError
from desali.reversal.context import Bottleneck, Reversal
from desali.reversal.graph.network import Network
from desali.reversal.layers.base import Node
from desali.reversal.methods import Method
from desali.reversal.placing import Points
from desali.reversal.replay import REPLAYS, can_capture, wanted
from desali.reversal.signals import paste, placed_signal
from desali.reversal.sweep import Sweep, steps

if TYPE_CHECKING:
    from torch import Tensor, nn

_DEFAULT_BYTES = 1 << 30


@dataclass(frozen=True)
class Job:
    """Seeds placed on one layer, in the order of K."""

    node: Node
    placed: list[Points | Tensor]


@dataclass(frozen=True)
class Portion:
    """Seeds `start` to `stop` of one placed block, for some images; their maps begin at `offset` along K."""

    job: int
    block: int
    start: int
    stop: int
    offset: int


def _count(placed: Points | Tensor) -> int:
    return int((placed.value if isinstance(placed, Points) else placed).shape[1])


def _unit_bytes(network: Network, node: Node, itemsize: int) -> int:
    """Bytes that one seed on one image needs at the sweep's widest step, on whole maps."""
    pending = {node.index}
    widest = 0
    for index in steps(network, [node.index]):
        pending.update(network.sources[index])
        widest = max(widest, sum(_elements(network.nodes[waiting].shape) for waiting in pending))
        pending.discard(index)
    return max(widest, _elements(network.nodes[0].shape)) * itemsize


def _mixes_images(network: Network, tops: list[int]) -> bool:
    """Whether an adjoint on the way may mix images or depend on their number: then all are reversed together."""
    layers = (network.nodes[index].operation for index in steps(network, tops))
    return any(layer is not None and not layer.batchwise for layer in layers)


def _elements(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _portions(jobs: list[Job], limits: list[int]) -> list[list[Portion]]:
    """Cut the seeds into sweeps: every job's share of a sweep stays within its limit, and so does their sum."""
    sweeps: list[list[Portion]] = []
    current: list[Portion] = []
    room = 1.0
    for index, (job, limit) in enumerate(zip(jobs, limits, strict=True)):
        offset = 0
        for block, placed in enumerate(job.placed):
            start, total = 0, _count(placed)
            while start < total:
                fits = int(room * limit + 1e-9)
                if fits < 1:
                    sweeps.append(current)
                    current, room = [], 1.0
                    continue
                stop = min(total, start + fits)
                current.append(Portion(index, block, start, stop, offset + start))
                room -= (stop - start) / limit
                start = stop
            offset += total
    if current:
        sweeps.append(current)
    return sweeps


def reconstruct_jobs(
    network: Network,
    model: nn.Module,
    bottleneck: Bottleneck,
    method: Method,
    images: Tensor,
    jobs: list[Job],
    max_bytes: int | None,
    backend: str,
    crop: bool,
    cuda_graph: bool | None = None,
) -> list[Tensor]:
    """Maps [N, K, C, *spatial] for every job.

    Raises:
        DesaliError: a CUDA graph is asked for, and the sweep cannot be captured.
        DesaliError: not even one seed on one image fits into `max_bytes`, or into the device's memory.
    """
    import torch

    n = images.shape[0]
    shape = network.nodes[0].shape
    windows = crop and len(shape) == 3 and _native(images, backend)
    units = [_unit_bytes(network, job.node, images.element_size()) for job in jobs]
    together = n if _mixes_images(network, [job.node.index for job in jobs]) else 1
    units = [unit * together for unit in units]
    budget = _DEFAULT_BYTES if max_bytes is None else max_bytes
    if max_bytes is not None and (isinstance(max_bytes, bool) or not isinstance(max_bytes, int)):
        raise DesaliError(f"max_bytes must be a whole number of bytes or None, got {max_bytes!r}")
    if max_bytes is not None and max_bytes < max(units):
        raise DesaliError(
            f"max_bytes={max_bytes} is too small: one seed on {'one image' if together == 1 else f'the {n} images'} "
            f"needs {max(units)} bytes here; raise max_bytes"
        )
    counts = [sum(_count(placed) for placed in job.placed) for job in jobs]
    replays = _replays(network, jobs, images, windows, max_bytes, cuda_graph)
    maps = [
        ops.large_pages(torch.empty((n, count, *shape), dtype=images.dtype, device=images.device)).zero_()
        for count in counts
    ]
    batch = n if together > 1 else max(1, min(n, budget // max(units)))
    with torch.no_grad():
        for first in range(0, n, batch):
            part = slice(first, min(first + batch, n))
            share = part.stop - part.start
            while True:
                limits = [max(1, budget * together // (unit * share)) for unit in units]
                try:
                    for sweep in _portions(jobs, limits):
                        _run(network, model, bottleneck, method, jobs, sweep, part, backend, windows, replays, maps)
                    break
                except (MemoryError, RuntimeError) as error:
                    if not _out_of_memory(error):
                        raise
                    if max(limits) == 1:
                        raise DesaliError(
                            f"out of memory: one seed on {share} images needs about {max(units) * share // together} "
                            "bytes at once; record fewer images, or pass max_bytes"
                        ) from error
                    REPLAYS.clear()
                    budget //= 2
    return maps


def _replays(
    network: Network, jobs: list[Job], images: Tensor, windows: bool, max_bytes: int | None, cuda_graph: bool | None
) -> str:
    """ "off", "on" or "required": whether the sweeps go by CUDA graphs."""
    word = wanted(cuda_graph)
    if word == "off":
        return word
    reason = can_capture(network, [job.node.index for job in jobs], images.device, windows, max_bytes)
    if reason is None:
        return word
    if word == "required":
        raise DesaliError(f"cuda_graph=True: {reason}; or leave cuda_graph out")
    return "off"


def _out_of_memory(error: BaseException) -> bool:
    import torch

    told = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or told


def _native(images: Tensor, backend: str) -> bool:
    from desali.ops.backend import use_native

    dtype = str(images.dtype).removeprefix("torch.")
    reason = ops.can_run("conv_transpose", images.device.type, dtype, 2)
    return use_native("conv_transpose", backend, reason)


def _run(
    network: Network,
    model: nn.Module,
    bottleneck: Bottleneck,
    method: Method,
    jobs: list[Job],
    portions: list[Portion],
    part: slice,
    backend: str,
    windows: bool,
    replays: str,
    maps: list[Tensor],
) -> None:
    """One joint sweep; a portion that meets another of its layer waits for the next."""
    left = portions
    while left:
        placed: dict[int, Points | Tensor] = {}
        targets: dict[int, Tensor] = {}
        later: list[Portion] = []
        for portion in left:
            job = jobs[portion.job]
            index = job.node.index
            if index in placed:
                later.append(portion)
                continue
            placed[index] = _cut(job.placed[portion.block], portion, part)
            targets[index] = maps[portion.job][part, portion.offset : portion.offset + portion.stop - portion.start]
        reversal = Reversal(network, model, bottleneck, method, part, backend)
        if replays == "off" or not REPLAYS.run(reversal, placed, windows, targets, replays == "required"):
            _sweep(reversal, placed, windows, targets)
        left = later


def _sweep(reversal: Reversal, placed: dict[int, Points | Tensor], windows: bool, targets: dict[int, Tensor]) -> None:
    """One joint sweep, launch by launch."""
    nodes = reversal.network.nodes
    seeds = {index: placed_signal(item, nodes[index].shape, windows) for index, item in placed.items()}
    for index, signal in Sweep(reversal).run(seeds).items():
        if signal.origin is None:
            targets[index].copy_(signal.tensor)
        else:
            paste(signal, targets[index])


def _cut(placed: Points | Tensor, portion: Portion, part: slice) -> Points | Tensor:
    """A portion's share of what is placed, for some images."""
    seeds = slice(portion.start, portion.stop)
    if isinstance(placed, Points):
        return Points(placed.channel[part, seeds], placed.position[part, seeds], placed.value[part, seeds])
    return placed[part, seeds]
