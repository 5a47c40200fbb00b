"""Batches from images in memory: class-balanced drawing and augmentation by flips and right-angle rotations."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, RandomSampler, WeightedRandomSampler


class Batches:
    """The batches of one epoch; iterating again gives the same batches.

    Yields (images [b, c, h, w], labels [b]); an epoch draws n images, the last batch may be smaller.

    Args:
        images: float32 [n, c, h, w].
        labels: int64 [n].
        batch_size: images a batch.
        balance: draw every class that occurs with equal probability, with replacement; else a random permutation.
        seed: decides the order.
    """

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int, balance: bool, seed: int) -> None:
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.balance, self.seed = balance, seed

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(self.seed)
        sampler: WeightedRandomSampler | RandomSampler
        if self.balance:
            weights = 1.0 / torch.bincount(self.labels).double()[self.labels]
            sampler = WeightedRandomSampler(weights.tolist(), len(self.labels), generator=generator)
        else:
            sampler = RandomSampler(range(len(self.labels)), generator=generator)
        for index in BatchSampler(sampler, self.batch_size, drop_last=False):
            yield self.images[index], self.labels[index]


SYMMETRIES: dict[str, tuple[tuple[int, ...], ...]] = {
    "none": (),
    "mirror": ((-1,),),
    "dihedral": ((-1,), (-2,), (-1, -2)),
}


def augment(images: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """Images [n, c, h, w], each flipped at random: "none", "mirror" (left-right) or "dihedral" (all eight symmetries).

    The symmetries of the square are left-right flip, up-down flip and transposition, each taken or not with probability
    one half; so h must equal w for "dihedral". `generator` lives on the CPU.
    """
    for dims in SYMMETRIES[kind]:
        chosen = torch.rand(len(images), generator=generator).lt(0.5).to(images.device)[:, None, None, None]
        changed = images.flip(dims) if len(dims) == 1 else images.transpose(*dims)
        images = torch.where(chosen, changed, images)
    return images
