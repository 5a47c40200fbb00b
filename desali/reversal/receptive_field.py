"""Receptive fields by arithmetic: which window of the image a neuron can see."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from desali.errors import DesaliError, SeedError
from desali.reversal.graph.network import Network
from desali.reversal.layers.base import Node
from desali.reversal.layers.reach import Cells

_KNOWN: WeakKeyDictionary[Network, dict[tuple[int, tuple[int, ...]], tuple[int, ...]]] = WeakKeyDictionary()


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
    known = _KNOWN.setdefault(network, {})
    if (node.index, position) not in known:
        known[node.index, position] = _found(network, node, position)
    return known[node.index, position]


def _found(network: Network, node: Node, position: tuple[int, ...]) -> tuple[int, ...]:
    sizes = node.shape[1:]
    if len(position) != len(sizes) or any(not 0 <= at < size for at, size in zip(position, sizes, strict=True)):
        raise SeedError(f"position {list(position)} does not fit layer {node.name!r}, whose map is {list(sizes)}")
    start = (*(range(size) for size in node.shape[:1]), *((at,) for at in position))
    nominal = image_cells(network, node, start, inside=False)
    exact = image_cells(network, node, start, inside=True)
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


def image_cells(network: Network, node: Node, start: tuple[Cells, ...], inside: bool) -> tuple[Cells, ...] | None:
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
            operation = network.nodes[index].operation
            assert operation is not None
            reach = operation.reach(network.nodes[index], below, cells[index])
            if len(reach) != len(below.shape):
                raise DesaliError(
                    f"layer {network.nodes[index].name!r}: {operation.label}.reach gives cells of {len(reach)} "
                    f"dimensions for a source of shape {list(below.shape)}: one set for each, the channel first"
                )
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
