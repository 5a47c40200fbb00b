"""How far a layer reaches: which cells of its input the given cells of its value read, along each dimension.

Cells are sets of coordinates, one set per dimension, the channel first. They may lie outside the map: padding counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from desali.errors import DesaliError

Cells = Collection[int]
Reach = Callable[[Any, "Shaped", "Shaped", "tuple[Cells, ...]"], "tuple[Cells, ...]"]


class Shaped(Protocol):
    """A node, as far as its reach needs to know it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[C, *spatial]."""


def everything(layer: Any, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
    """Every cell of the source: always right, and wider than need be for most layers."""
    return every(source)


def pointwise(layer: Any, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
    """Positions do not mix, channels may.

    Raises:
        DesaliError: the source has not the positions of the value.
    """
    if source.shape[1:] != node.shape[1:]:
        raise DesaliError(
            f"{type(layer).__name__} says that it is pointwise, but makes positions {list(node.shape[1:])} of "
            f"{list(source.shape[1:])}: give it the reach windows(...) or everything"
        )
    return (range(source.shape[0]), *cells[1:])


def windows(
    kernel: int | tuple[int, ...],
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
) -> Reach:
    """Windows over all spatial dimensions, as a convolution or a pooling reads them; channels may mix.

    Args:
        kernel, stride, padding, dilation: for all spatial dimensions, or one number for each.

    Returns:
        A reach, to be a class's own: `reach = windows(3, padding=1)`.
    """

    def reach(layer: Any, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        dims = len(cells) - 1
        geometry = [
            (value,) * dims if isinstance(value, int) else value for value in (kernel, stride, padding, dilation)
        ]
        if len(source.shape) != dims + 1 or any(len(part) != dims for part in geometry):
            raise DesaliError(
                f"{type(layer).__name__}: its reach is given by windows of {len(geometry[0])} dimensions, but it makes "
                f"{list(node.shape)} of {list(source.shape)}"
            )
        return window_reach(source, cells, *geometry)

    return reach


def every(source: Shaped) -> tuple[Cells, ...]:
    """All cells of a node."""
    return tuple(range(size) for size in source.shape)


def window_reach(
    source: Shaped,
    cells: tuple[Cells, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[Cells, ...]:
    """What windows at these cells read of the source: every channel, and positions along each spatial dimension."""
    positions = (
        {at * step - around + offset * between for at in part for offset in range(width)}
        for part, width, step, around, between in zip(cells[1:], kernel, stride, padding, dilation, strict=True)
    )
    return (range(source.shape[0]), *positions)


def adaptive_cells(cells: tuple[Cells, ...], before: tuple[int, ...], after: tuple[int, ...]) -> tuple[Cells, ...]:
    """What the unequal windows of an adaptive pooling read, along each spatial dimension."""
    return tuple(
        {row for at in part for row in range(at * size // count, -(-(at + 1) * size // count))}
        for part, size, count in zip(cells, before, after, strict=True)
    )


def broadcast_cells(node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
    """What an element-by-element operation reads of a source of the same rank, which may have been broadcast."""
    return tuple(part if a == b else range(b) for part, a, b in zip(cells, node.shape, source.shape, strict=True))
