"""Which images a network runs on, said where it fails because of the size of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from desali.data.preprocess import Preprocessing
from desali.errors import DesaliError, ImageError

if TYPE_CHECKING:
    from torch import Tensor

    from desali.figures.subjects import Shown

SIDES = (8, 16, 24, 28, 32, 48, 64, 96, 128, 160, 192, 224, 227, 256, 299, 384, 512)
"""Sides of images that a module is tried on to say which it runs on."""


class Fitting:
    """What sizes of images some networks take; each is tried once.

    Args:
        shown: the networks in their order.
    """

    def __init__(self, shown: Sequence[Shown]) -> None:
        self._shown = shown
        self._sides: dict[int, int | None] = {}

    @contextmanager
    def of(self, index: int, tensor: Tensor) -> Iterator[None]:
        """Say which image a network runs on, where it fails because of the size of this one.

        Args:
            tensor: the image as the network takes it [channels, height, width].

        Raises:
            ImageError: instead of the error of the block, where the network runs on another size and not on this one.
        """
        try:
            yield
        except ImageError:
            raise
        except DesaliError as error:
            one = self._shown[index]
            if isinstance(one.rule, Preprocessing) or _runs(one, tensor):
                raise
            side = self.side(index)
            if side is None:
                raise
            height, width = tensor.shape[-2:]
            raise ImageError(
                f"{one.name}: needs {side} × {side} pixels or another size that its layers take; "
                f"the image has {width} × {height}"
            ) from error

    def side(self, index: int) -> int | None:
        """The smallest of `SIDES` that a module runs on; None: none, so that it is not the size that it fails at."""
        import torch

        if index not in self._sides:
            one = self._shown[index]
            channels = one.rule.channels or 3
            sides = (side for side in SIDES if _runs(one, torch.zeros(channels, side, side)))
            self._sides[index] = next(sides, None)
        return self._sides[index]


def _runs(one: Shown, tensor: Tensor) -> bool:
    import torch

    try:
        with torch.no_grad():
            one.model(tensor.unsqueeze(0).to(one.device))
    except Exception:  # whatever a module of others raises
        return False
    return True
