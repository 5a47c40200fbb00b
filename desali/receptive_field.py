"""Receptive fields by arithmetic: which window of the image a neuron can see."""

from __future__ import annotations

from desali.errors import SeedError
from desali.graph.network import Network, Node
from desali.graph.operations import Convolution, Identity, LocalResponseNorm, MaxPool, Other, ReLU

Interval = tuple[int, int]


def _below(node: Node, source: Node, spans: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """The inclusive interval, per spatial dimension, of `source` that an interval of `node` reads."""
    operation = node.operation
    if isinstance(operation, (ReLU, LocalResponseNorm, Identity)):
        return spans
    if isinstance(operation, (Convolution, MaxPool)):
        reach = tuple(
            (low * stride - padding, high * stride - padding + (kernel - 1) * dilation)
            for (low, high), stride, padding, kernel, dilation in zip(
                spans, operation.stride, operation.padding, operation.kernel, operation.dilation, strict=True
            )
        )
        return reach
    if isinstance(operation, Other) and operation.window is not None:
        return tuple(
            (low * stride - padding, high * stride - padding + kernel - 1)
            for (low, high), kernel, stride, padding in zip(spans, *operation.window, strict=True)
        )
    if isinstance(operation, Other) and operation.pointwise and source.shape[1:] == node.shape[1:]:
        return spans
    name = getattr(node.call, "__name__", "")
    if name.startswith("adaptive_avg_pool") and len(spans) == len(source.shape) - 1:
        return tuple(
            (low * size // cells, -((-(high + 1) * size) // cells) - 1)
            for (low, high), size, cells in zip(spans, source.shape[1:], node.shape[1:], strict=True)
        )
    return tuple((0, size - 1) for size in source.shape[1:])


def receptive_field(network: Network, node: Node, position: tuple[int, ...]) -> tuple[int, ...]:
    """The window of the image that a neuron can see.

    Args:
        position: one coordinate per spatial dimension of the layer.

    Returns:
        The first coordinate per spatial dimension of the image, then the sizes: (top, left, height, width) for 2-D
        images. The window counts padding: it may reach outside the image.

    Raises:
        SeedError: the position does not fit the layer.
    """
    sizes = node.shape[1:]
    if len(position) != len(sizes) or any(not 0 <= at < size for at, size in zip(position, sizes, strict=True)):
        raise SeedError(f"position {list(position)} does not fit layer {node.name!r}, whose map is {list(sizes)}")
    spans: dict[int, tuple[Interval, ...]] = {node.index: tuple((at, at) for at in position)}
    for index in range(node.index, 0, -1):
        if index not in spans:
            continue
        current = network.nodes[index]
        for source in current.inputs:
            reach = _below(current, network.nodes[source], spans[index])
            known = spans.get(source)
            spans[source] = (
                reach
                if known is None
                else tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(known, reach, strict=True))
            )
    image = spans[0]
    return (*(low for low, _ in image), *(high - low + 1 for low, high in image))
