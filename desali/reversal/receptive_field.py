"""Receptive fields by arithmetic: which window of the image a neuron can see."""

from __future__ import annotations

from collections.abc import Collection

from desali.errors import SeedError
from desali.reversal.graph.network import Network, Node
from desali.reversal.graph.operations import (
    AveragePool,
    BatchNorm,
    ChannelShuffle,
    Concatenation,
    Convolution,
    GlobalAverage,
    Identity,
    LocalResponseNorm,
    MaxPool,
    Other,
    Permutation,
    ReLU,
    Reshape,
    Slice,
)

Cells = Collection[int]  # coordinates along one dimension that are read


def receptive_field(network: Network, node: Node, position: tuple[int, ...]) -> tuple[int, ...]:
    """The window of the image that a neuron can see.

    Args:
        position: one coordinate per spatial dimension of the layer.

    Returns:
        The first coordinate per spatial dimension of the image, then the sizes: (top, left, height, width) for 2-D
        images. The window counts padding, so it may reach outside the image; its part inside the image is exact. All
        zeros if the neuron sees nothing but padding.

    Raises:
        SeedError: the position does not fit the layer.
    """
    sizes = node.shape[1:]
    if len(position) != len(sizes) or any(not 0 <= at < size for at, size in zip(position, sizes, strict=True)):
        raise SeedError(f"position {list(position)} does not fit layer {node.name!r}, whose map is {list(sizes)}")
    start = (*(range(size) for size in node.shape[:1]), *((at,) for at in position))
    nominal = _image_cells(network, node, start, inside=False)
    exact = _image_cells(network, node, start, inside=True)
    image = network.nodes[0].shape
    if nominal is None or exact is None:
        return (0,) * (2 * len(image[1:]))
    window = []
    for counted, seen, size in list(zip(nominal, exact, image, strict=True))[1:]:
        # Where padding inside the network looks like pixels that no neuron of the layer below covers, pixels decide.
        low = min(counted) if min(seen) == 0 else min(seen)
        high = max(counted) if max(seen) == size - 1 else max(seen)
        window.append((low, high))
    return (*(low for low, _ in window), *(high - low + 1 for low, high in window))


def _image_cells(network: Network, node: Node, start: tuple[Cells, ...], inside: bool) -> tuple[Cells, ...] | None:
    """What of the image, along each dimension, the cells `start` of a node read; None if nothing.

    Args:
        inside: drop what lies outside the layers' maps on the way; else padding counts.
    """
    cells: dict[int, tuple[Cells, ...]] = {node.index: start}
    for index in range(node.index, 0, -1):
        if index not in cells:
            continue
        for source in network.sources[index]:
            below = network.nodes[source]
            reach = _below(network.nodes[index], below, cells[index])
            if inside:
                reach = tuple(_within(part, size) for part, size in zip(reach, below.shape, strict=True))
                if not all(reach):
                    continue
            known = cells.get(source)
            cells[source] = (
                reach if known is None else tuple(a if a == b else {*a, *b} for a, b in zip(known, reach, strict=True))
            )
        del cells[index]
    return cells.get(0)


def _within(part: Cells, size: int) -> Cells:
    return part if isinstance(part, range) else {at for at in part if 0 <= at < size}


def _below(node: Node, source: Node, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
    """What cells of a node read of one of its sources, along each dimension."""
    operation = node.operation
    every = tuple(range(size) for size in source.shape)
    if isinstance(operation, (ReLU, Identity)):
        return cells
    if isinstance(operation, (LocalResponseNorm, BatchNorm, Concatenation, ChannelShuffle)):
        return (*every[:1], *cells[1:])
    if isinstance(operation, (Convolution, MaxPool, AveragePool)):
        dilation = (1,) * len(operation.kernel) if isinstance(operation, AveragePool) else operation.dilation
        return (every[0], *_windows(cells[1:], operation.kernel, operation.stride, operation.padding, dilation))
    if isinstance(operation, Slice):
        cut = {operation.start + at * operation.step for at in cells[operation.dim]}
        return (*cells[: operation.dim], cut, *cells[operation.dim + 1 :])
    if isinstance(operation, Permutation):
        return tuple(cells[operation.order.index(dim)] for dim in range(len(every)))
    if isinstance(operation, Reshape):
        return _reshaped(node.shape, source.shape, cells)
    if isinstance(operation, GlobalAverage):
        return every
    if isinstance(operation, Other):
        return _other(operation, node, source, cells, every)
    if len(source.shape) == len(node.shape):  # sums and products, with broadcasting
        return tuple(
            part if a == b else whole for part, a, b, whole in zip(cells, node.shape, source.shape, every, strict=True)
        )
    return every


def _windows(
    cells: tuple[Cells, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[Cells, ...]:
    return tuple(
        {at * step - around + offset * between for at in part for offset in range(width)}
        for part, width, step, around, between in zip(cells, kernel, stride, padding, dilation, strict=True)
    )


def _reshaped(after: tuple[int, ...], before: tuple[int, ...], cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
    """Trailing dimensions of equal size keep their cells, all others are read whole."""
    kept = 0
    while kept < min(len(after), len(before)) and after[-1 - kept] == before[-1 - kept]:
        kept += 1
    return (*(range(size) for size in before[: len(before) - kept]), *cells[len(after) - kept :])


def _other(
    operation: Other, node: Node, source: Node, cells: tuple[Cells, ...], every: tuple[Cells, ...]
) -> tuple[Cells, ...]:
    same_rank = len(source.shape) == len(node.shape)
    if operation.window is not None and same_rank:
        return (every[0], *_windows(cells[1:], *operation.window, (1,) * len(operation.window[0])))
    if operation.pointwise and source.shape[1:] == node.shape[1:]:
        return (*every[:1], *cells[1:])
    if operation.kind.startswith("adaptive_") and same_rank:
        return (
            every[0],
            *(
                {row for at in part for row in range(at * size // count, -(-(at + 1) * size // count))}
                for part, size, count in zip(cells[1:], source.shape[1:], node.shape[1:], strict=True)
            ),
        )
    return every
