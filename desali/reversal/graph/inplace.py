"""Writing in place, undone: an exported program's in-place calls as calls without side effects."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from desali.errors import UnsupportedLayerError
from desali.reversal.graph import names

if TYPE_CHECKING:
    from torch.fx import Node as FxNode

_VIEWS = {
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "t", "slice",
    "select", "narrow", "unbind", "expand", "expand_as", "view_as", "getitem", "chunk", "split",
    "split_with_sizes", "tensor_split", "detach", "alias", "contiguous", "dropout", "feature_dropout",
    "alpha_dropout", "adaptive_avg_pool2d", "to",
}  # fmt: skip


def functional(node: FxNode) -> Any:
    """The call without its side effect: aten.relu for aten.relu_.

    Raises:
        UnsupportedLayerError: there is no such call.
    """
    import torch

    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload) or not target._schema.is_mutable:
        return target
    name, overload = target._schema.name.split("::")[1], target._overloadname
    packet = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    if packet is None or overload not in packet.overloads():
        raise UnsupportedLayerError(
            f"module {names.module_of(node)[0]!r}: {name} writes in place and has no counterpart without side effects; "
            "use its form that returns a new tensor"
        )
    return getattr(packet, overload)


class Aliases:
    """Which node holds a tensor's present value.

    Args:
        nodes: all nodes of the program in order.
    """

    def __init__(self, nodes: list[FxNode]) -> None:
        self._nodes = nodes
        self._order = {node: position for position, node in enumerate(nodes)}
        self._next: dict[FxNode, FxNode] = {}

    def current(self, node: FxNode) -> FxNode:
        """The node whose value a reader of `node` sees now."""
        while node in self._next:
            node = self._next[node]
        return node

    def written(self, node: FxNode) -> None:
        """Note that `node` wrote into its first argument.

        Raises:
            UnsupportedLayerError: a later call reads the same memory through another view.
        """
        target: Any = self.current(node.args[0])  # type: ignore[arg-type]
        base = _base(target)
        for later in self._nodes[self._order[node] + 1 :]:
            if later.op not in ("call_function", "output"):
                continue
            for source in later.all_input_nodes:
                seen = self.current(source)
                if seen is target or seen is node or _base(seen) is not base or _derives(seen, node):
                    continue
                if self._order[seen] < self._order[node] and not _disjoint(seen, target):
                    raise UnsupportedLayerError(
                        f"module {names.module_of(node)[0]!r}: {names.kind_of(node)} writes in place into a tensor "
                        "that is read again through a view; use its form without side effects (inplace=False)"
                    )
        if target is not node:
            self._next[target] = node


def _is_view(node: FxNode) -> bool:
    return node.op == "call_function" and names.kind_of(node) in _VIEWS and bool(node.all_input_nodes)


def _base(node: FxNode) -> FxNode:
    while _is_view(node):
        node = node.all_input_nodes[0]
    return node


def _derives(node: FxNode, ancestor: FxNode) -> bool:
    while node is not ancestor and _is_view(node):
        node = node.all_input_nodes[0]
    return node is ancestor


def _disjoint(first: FxNode, second: FxNode) -> bool:
    """Whether two views are different pieces of one split."""
    pieces = [_piece(first), _piece(second)]
    if pieces[0] is None or pieces[1] is None:
        return False
    return pieces[0][0] is pieces[1][0] and pieces[0][1] != pieces[1][1]


def _piece(node: FxNode) -> tuple[Any, Any] | None:
    while _is_view(node):
        if node.target is operator.getitem:
            return node.args[0], node.args[1]
        node = node.all_input_nodes[0]
    return None
