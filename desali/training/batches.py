"""The batches of one epoch, drawn in order, prepared ahead in background threads, and split over processes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import RandomSampler, WeightedRandomSampler

from desali.training.augmentation import Augmentation
from desali.training.inputs import Inputs

WORKERS = 2
"""Threads that prepare batches."""
AHEAD = 4
"""Batches in preparation or ready while one is trained on."""

Batch = tuple[Tensor, Tensor, float]
"""Images float32 [b, c, h, w], labels int64 [b], and the factor that the mean loss over them is multiplied by."""
T = TypeVar("T")


class Clock:
    """Seconds that the trainer waited for its input since the last `reset`."""

    def __init__(self) -> None:
        self.waited = 0.0

    def reset(self) -> float:
        """The seconds so far; counts anew from 0."""
        waited, self.waited = self.waited, 0.0
        return waited


def bounds(count: int, size: int, least: int = 1) -> list[tuple[int, int]]:
    """Where each batch of `size` images begins and ends; a rest of fewer than `least` joins the batch before it."""
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] < least:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True))


def draw_order(labels: Tensor, batch_size: int, balance: bool, seed: int, least: int = 1) -> Iterator[list[int]]:
    """Indices of the images of each batch of an epoch, which draws n images; the last batch may be smaller.

    Args:
        labels: int64 [n].
        balance: draw every class that occurs with equal probability, with replacement; else a random permutation.
        seed: decides the order.
        least: see `bounds`.
    """
    generator = torch.Generator().manual_seed(seed)
    sampler: WeightedRandomSampler | RandomSampler
    if balance:
        weights = 1.0 / torch.bincount(labels).double()[labels]
        sampler = WeightedRandomSampler(weights.tolist(), len(labels), generator=generator)
    else:
        sampler = RandomSampler(range(len(labels)), generator=generator)
    order = list(sampler)
    yield from (order[start:stop] for start, stop in bounds(len(order), batch_size, least))


class TrainingBatches:
    """Augmented batches of one epoch; iterating again gives the same batches.

    With several processes each gets its share of every batch. The means over the shares, multiplied by their factors,
    average to the mean over the batch; a process whose share is empty gets one image with factor 0. Augmentation is
    drawn for the whole batch, so it does not depend on the number of processes.

    Args:
        inputs: the images and labels.
        batch_size: images a step, over all processes.
        balance: see `draw_order`.
        seeds: of the order and of the augmentation.
        augmentation: how images are changed.
        rank, world: this process of how many.
        clock: counts what the consumer waits.
        least: the fewest images of a batch, see `bounds`.
    """

    def __init__(
        self,
        inputs: Inputs,
        batch_size: int,
        balance: bool,
        seeds: tuple[int, int],
        augmentation: Augmentation,
        rank: int = 0,
        world: int = 1,
        clock: Clock | None = None,
        least: int = 1,
    ) -> None:
        self.inputs, self.batch_size, self.balance, self.seeds = inputs, batch_size, balance, seeds
        self.augmentation, self.rank, self.world = augmentation, rank, world
        self.clock, self.least = clock or Clock(), least

    def __len__(self) -> int:
        return len(bounds(len(self.inputs), self.batch_size, self.least))

    def __iter__(self) -> Iterator[Batch]:
        return prefetched(self._jobs(), self.clock)

    def _jobs(self) -> Iterator[Callable[[], Batch]]:
        generator = torch.Generator().manual_seed(self.seeds[1])
        for index in draw_order(self.inputs.labels, self.batch_size, self.balance, self.seeds[0], self.least):
            draw = self.augmentation.draw(len(index), generator)
            start, stop = (len(index) * rank // self.world for rank in (self.rank, self.rank + 1))
            share = slice(start, stop) if stop > start else slice(0, 1)
            factor = (stop - start) * self.world / len(index)

            def job(index: list[int] = index, draw=draw, share: slice = share, factor: float = factor) -> Batch:  # type: ignore[no-untyped-def]
                chosen = index[share]
                images = self.inputs.images(chosen).contiguous(memory_format=torch.channels_last)
                return self.augmentation.apply(images, draw, share), self.inputs.labels[chosen], factor

            yield job


class HeldBatches:
    """The held-out images in order, in chunks of at most `size`; yields (images [b, c, h, w], number of the chunk).

    Several processes share the chunks; with fewer chunks than processes some see the first one again. A last chunk of
    fewer than `least` images joins the one before it.
    """

    def __init__(
        self, inputs: Inputs, rank: int = 0, world: int = 1, clock: Clock | None = None, least: int = 1
    ) -> None:
        size = 256 if world == 1 else max(1, least, min(256, -(-len(inputs) // world)))
        self.inputs, self.clock = inputs, clock or Clock()
        self._bounds = bounds(len(inputs), size, least)
        self._numbers = list(range(len(self._bounds)))[rank::world] or [0]

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return prefetched((self._job(number) for number in self._numbers), self.clock)

    def _job(self, number: int) -> Callable[[], tuple[Tensor, int]]:
        index = list(range(*self._bounds[number]))
        return lambda: (self.inputs.images(index), number)


def prefetched(jobs: Iterable[Callable[[], T]], clock: Clock) -> Iterator[T]:
    """The results of `jobs` in order; `WORKERS` threads work on up to `AHEAD` of them before they are asked for.

    Jobs are taken from the iterable in the consumer's thread, one after another. An error of a job is raised where its
    result would have come.
    """
    source = iter(jobs)
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="input")
    try:
        while True:
            started = time.perf_counter()
            while len(waiting) < AHEAD and (job := next(source, None)) is not None:
                waiting.append(pool.submit(job))
            if not waiting:
                return
            result = waiting.popleft().result()
            clock.waited += time.perf_counter() - started
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
