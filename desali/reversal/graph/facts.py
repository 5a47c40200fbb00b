"""What of an exported program depends on the image's values, and where the batch is."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from desali.reversal.graph.inplace import functional

if TYPE_CHECKING:
    from torch.fx import Node as FxNode


class Facts:
    """Facts about the values of a program.

    Args:
        image: the node of the network's input.
        calls: all calls in order.

    Attributes:
        moving: nodes with tensor values that depend on the image's values.
    """

    def __init__(self, image: FxNode, calls: list[FxNode]) -> None:
        import torch

        self._batch = str(image.meta["val"].shape[0])
        self.moving = {image}
        holder: dict[Any, Any] = {}
        for node in calls:
            sources = set()
            for source in node.all_input_nodes:
                while source in holder:
                    source = holder[source]
                sources.add(source)
            if isinstance(node.meta.get("val"), (torch.Tensor, tuple, list)) and sources & self.moving:
                self.moving.add(node)
                if functional(node) is not node.target and node.args[0] is not node:
                    holder[node.args[0]] = node

    def is_map(self, node: FxNode) -> bool:
        """Whether a value is a float tensor that depends on the image: signals pass it."""
        import torch

        value = node.meta.get("val")
        return isinstance(value, torch.Tensor) and value.is_floating_point() and node in self.moving

    def has_batch(self, node: FxNode) -> bool:
        """Whether dimension 0 of a tensor is the batch."""
        value = node.meta["val"]
        return value.dim() > 0 and str(value.shape[0]) == self._batch

    def batched(self, node: FxNode, sources: list[Any]) -> bool:
        """Whether dimension 0 of the value and of each image-dependent tensor read is the batch."""
        import torch

        if node.target is operator.getitem:
            sources = [source for inner in node.all_input_nodes for source in inner.all_input_nodes]
        values = [node.meta.get("val"), *(source.meta.get("val") for source in sources if source in self.moving)]
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        return all(value.dim() > 0 and str(value.shape[0]) == self._batch for value in tensors)
