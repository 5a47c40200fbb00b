"""Batch normalisation folded into the convolutions before it: an option, off by default, since it rounds anew.

Folding changes the last bits of every activation, and with them the masks of ReLUs whose input is near zero: errors of
1e-3 in a reconstruction are common. It is offered for comparison with programs that fold.
"""

from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali.ops.contents import EVERYTHING
from desali.reversal.graph.capture import LOCK, capture, clone
from desali.reversal.graph.freshness import Watch
from desali.reversal.graph.network import Network
from desali.reversal.graph.outputs import Output
from desali.reversal.graph.state import Key, State
from desali.reversal.layers.base import Node
from desali.reversal.layers.registry import registered_kinds

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class _Fold:
    """A folded copy, and what the model was like then."""

    structure: Key
    kinds: tuple[Any, ...]
    watch: Watch
    copy: nn.Module

    def holds(self, state: State) -> bool:
        same = self.structure == state.structure and self.kinds == registered_kinds()
        return same and self.watch.holds(state, whole=True)


_FOLDED: weakref.WeakKeyDictionary[nn.Module, _Fold] = weakref.WeakKeyDictionary()


def fold_batch_norm(model: nn.Module, images: Tensor, output: Output = None) -> nn.Module:
    """A copy of the model whose batch normalisations are folded into the convolution or linear layer before them.

    A folded normalisation passes its input on, and so is no layer of the copy. What does not directly follow a layer
    that is read by it alone stays as it is; where nothing can be folded, the model itself comes back. The copy is made
    anew when the model's parameters change, also by writes that PyTorch does not count.

    Args:
        model: a module in evaluation mode; it is not changed.
        images: [N, C, *spatial], of the size that it is used on.
        output: which of the model's outputs; None: the only one.

    Raises:
        CaptureError: the model cannot be captured.
    """
    state = State(model)
    with LOCK:
        known = _FOLDED.get(model)
    if known is not None and known.holds(state):
        return known.copy
    folded = _fold(model, capture(model, images, state, output))
    if folded is not model:  # else the entry would keep the model alive
        with LOCK:
            _FOLDED[model] = _Fold(state.structure, registered_kinds(), Watch(state, most=EVERYTHING), folded)
    return folded


def _fold(model: nn.Module, network: Network) -> nn.Module:
    import torch
    from torch import nn
    from torch.nn.utils import fusion

    uses = Counter(node.module for node in network.nodes if _role(node))
    copy = clone(model)
    count = 0
    for node in network.nodes:
        before = _foldable(network, node)
        if before is None or uses[node.module] != 1 or uses[before.module] != 1:
            continue
        layer, norm = copy.get_submodule(before.module), copy.get_submodule(node.module)
        if type(layer) not in (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear) or not isinstance(
            norm, nn.modules.batchnorm._BatchNorm
        ):
            continue
        with torch.no_grad():
            fuse: Any = fusion.fuse_linear_bn_eval if isinstance(layer, nn.Linear) else fusion.fuse_conv_bn_eval
            fused = fuse(layer, norm)
        _put(copy, before.module, fused.requires_grad_(False))
        _put(copy, node.module, nn.Identity().eval())
        count += 1
    return copy if count else model


def _foldable(network: Network, node: Node) -> Node | None:
    """The layer before a batch normalisation that alone reads it."""
    if _role(node) != "norm":
        return None
    before = network.nodes[node.inputs[0]]
    alone = network.consumers[before.index] == (node.index,) and before.index != network.output
    return before if alone and _role(before) == "affine" else None


def _role(node: Node) -> str:
    return "" if node.operation is None else node.operation.folding


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
