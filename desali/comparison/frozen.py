"""Which channels cannot have changed: their weights and everything below are equal, bit by bit.

Every number of a parameter that differs between the two networks is replaced by NaN, and the network is run once. NaN
passes every sum and product, also with 0, so that a channel without NaN depends on no weight that differs. This follows
joined, grouped and depthwise layers channel by channel and needs to know no kind of layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from desali.comparison.channel_statistics import Moments
from desali.comparison.relu_inputs import ReluInput, parameters_of

if TYPE_CHECKING:
    from torch import Tensor

    from desali.reversal.graph.network import Network
    from desali.reversal.layers.base import Node

Bools = npt.NDArray[np.bool_]
ROUNDING = 1e-6
"""Sums that differ by less, relative to their size, count as equal."""


def frozen_channels(
    before: Network,
    before_tensors: Mapping[str, Tensor],
    after: Network,
    after_tensors: Mapping[str, Tensor],
    layers: Sequence[ReluInput],
    images: Tensor,
) -> dict[str, Bools]:
    """Channels [C] of each layer whose weights and everything below are bitwise equal in both networks.

    Args:
        layers: of the network after.
        images: any batch that it can be run on.
    """
    import torch

    from desali.reversal.graph.quiet import quiet
    from desali.reversal.graph.run import run

    marked = {name: _marked(before_tensors.get(name), tensor) for name, tensor in after_tensors.items()}
    constants = {name: _marked(before.constants.get(name), tensor) for name, tensor in after.constants.items()}
    nothing = {layer.name: np.zeros(layer.channels, bool) for layer in layers}
    if any(tensor is None for tensor in constants.values()):  # whole numbers, which cannot hold NaN
        return nothing
    network = replace(after, constants={name: tensor for name, tensor in constants.items() if tensor is not None})
    values = {layer.source: layer.name for layer in layers}
    relus = {node.index for node in after.relus()}
    found: dict[str, Bools] = {}

    def observe(node: Node, value: Tensor) -> None:
        if node.index in values:
            clean = ~value.isnan().transpose(0, 1).flatten(1).any(1)
            found[values[node.index]] = clean.cpu().numpy()

    def execute(node: Node, x: Tensor, writable: bool) -> Tensor | None:
        # a ReLU that is written as a choice by comparison would choose 0 in the place of NaN
        return torch.relu(x) if node.index in relus else None

    whole = {name for name, tensor in marked.items() if tensor is None}
    if any(parameters_of(node) & whole for node in after.nodes):
        return nothing
    usable = {name: after_tensors[name] if tensor is None else tensor for name, tensor in marked.items()}
    with quiet(images.device):
        run(network, usable, images, execute, observe, max(values))
    return found


def same_signal(before: Moments, after: Moments) -> Bools:
    """Channels [C] whose signals have the same sums in both networks, in every block.

    Equal weights are not all that decides: pooling, a setting, a hook or a choice by comparison can differ. Where they
    do, the signals do, and nothing is called frozen.
    """
    found = np.ones(before.total.shape[1], bool)
    for mine, theirs in ((before.total, after.total), (before.square, after.square)):
        size = np.sqrt(np.maximum(before.square, after.square) * before.count[:, None])
        size = size if mine is before.total else np.maximum(before.square, after.square)
        found &= (np.abs(mine - theirs) <= ROUNDING * size).all(0)
    return found


def _marked(before: Tensor | None, after: Tensor) -> Tensor | None:
    """A tensor with NaN wherever it differs; itself where nothing does; None if it differs and cannot hold NaN."""
    import torch

    after = after.detach()
    differs = torch.ones(after.numel(), dtype=torch.bool, device=after.device)
    if before is not None and before.shape == after.shape and before.dtype == after.dtype:
        bits = [
            tensor.detach().to(after.device).reshape(-1).view(torch.uint8).reshape(after.numel(), -1)
            for tensor in (before, after)
        ]
        differs = (bits[0] != bits[1]).any(1)
    if not bool(differs.any()):
        return after
    return after.masked_fill(differs.reshape(after.shape), float("nan")) if after.is_floating_point() else None
