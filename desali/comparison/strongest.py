"""The images that each channel answers to most strongly, found while the images stream by.

What is kept does not grow with the number of images: the images of a patient must come one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NINE = 9


@dataclass(frozen=True, eq=False)
class Strongest:
    """The strongest answers of each channel, in falling order, at most one an image.

    Attributes:
        value: what was ranked [C, K]; -infinity where fewer images than K make the channel answer.
        image: which image [C, K]; -1 there.
        position: where on the channel's map, row by row [C, K]; -1 there.
    """

    value: Floats
    image: Integers
    position: Integers

    def of(self, channel: int) -> list[tuple[float, int, int]]:
        """(value, image, position) of one channel, without the places that stayed empty."""
        rows = zip(self.value[channel], self.image[channel], self.position[channel], strict=True)
        return [(float(value), int(image), int(at)) for value, image, at in rows if image >= 0]


class Ranking:
    """Keeps the `count` strongest images of every channel: one a patient, then others where patients are too few.

    Args:
        channels: C.
        count: K.
    """

    def __init__(self, channels: int, device: torch.device, count: int = NINE) -> None:
        self._count = count
        self._device = device
        self._channels = channels
        self._firsts, self._others, self._own = (self._nothing() for _ in range(3))
        self._patient: str | None = None

    def add(self, value: Tensor, position: Tensor, image: Integers, patients: npt.NDArray[np.str_]) -> None:
        """Add one batch.

        Args:
            value: the strongest of each image and channel [N, C]; what is not above 0 is no answer.
            position: where that is [N, C].
            image: of each [N].
            patients: of each [N]; those of one patient come together, also over several batches.
        """
        import torch

        numbers = torch.from_numpy(image).to(self._device)[:, None].expand_as(position)
        table = tuple(part.T for part in (value.to(torch.float64), numbers, position))
        cuts = [0, *(np.flatnonzero(patients[1:] != patients[:-1]) + 1).tolist(), len(patients)]
        runs = list(pairwise(cuts))
        alone = [start for start, stop in runs[1:-1] if stop - start == 1]
        for start, stop in runs:
            if stop - start == 1 and 0 < start < len(patients) - 1:
                continue
            if patients[start] != self._patient:
                self._close()
                self._patient = str(patients[start])
            self._own = self._merged(self._own, tuple(part[:, start:stop] for part in table))
        if alone:
            self._firsts = self._merged(self._firsts, tuple(part[:, alone] for part in table))

    def found(self) -> Strongest:
        """The strongest of all that was added."""
        import torch

        self._close()
        known = (self._firsts[0] > 0).sum(1, keepdim=True)
        place = torch.arange(self._count, device=self._device)
        room = place[None] < self._count - known  # others fill what the patients' firsts leave
        others = self._others[0].masked_fill(~room, -torch.inf)
        value, image, at = self._merged(self._firsts, (others, *self._others[1:]))
        empty = value <= 0
        return Strongest(
            value.masked_fill(empty, -torch.inf).cpu().numpy(),
            image.masked_fill(empty, -1).cpu().numpy(),
            at.masked_fill(empty, -1).cpu().numpy(),
        )

    def _close(self) -> None:
        """A patient has no further images: its strongest stands for it."""
        self._firsts = self._merged(self._firsts, tuple(part[:, :1] for part in self._own))
        self._others = self._merged(self._others, tuple(part[:, 1:] for part in self._own))
        self._own = self._nothing()
        self._patient = None

    def _merged(self, kept: tuple[Tensor, ...], new: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        import torch

        joined = [torch.cat(pair, 1) for pair in zip(kept, new, strict=True)]
        order = joined[0].sort(dim=1, descending=True, stable=True).indices[:, : self._count]
        return tuple(part.gather(1, order) for part in joined)

    def _nothing(self) -> tuple[Tensor, ...]:
        import torch

        shape = self._channels, self._count
        value = torch.full(shape, -torch.inf, dtype=torch.float64, device=self._device)
        number = torch.full(shape, -1, dtype=torch.int64, device=self._device)
        return value, number, number
