"""Whether a method can be applied to a network."""

from __future__ import annotations

import warnings

from desali.errors import GradientWarning, MethodError, UnsupportedLayerError
from desali.reversal.context import rule_for
from desali.reversal.graph.network import Network
from desali.reversal.layers.base import Node
from desali.reversal.methods import Method
from desali.reversal.sweep import steps


def check_method(network: Network, rule: Method, nodes: list[Node]) -> None:
    """Refuse a method that does not fit the network below the seeded layers.

    Raises:
        UnsupportedLayerError: a layer without a rule lies on the way; the message names the opt-in.
        MethodError: no ReLU to act on.

    Warns:
        GradientWarning: layers that decide like a rectifier but are no ReLU, where the method is not the gradient.
        UnknownNameError: `only` names an unknown layer.
    """
    path = [network.nodes[index] for index in steps(network, [node.index for node in nodes])]
    smooth = [node for node in path if node.operation is not None and node.operation.smooth]
    for node in smooth if rule.smooth == "refuse" else []:
        raise UnsupportedLayerError(
            f"layer {node.name!r}: {_kind(node)} has no rule in the ReLU framework; to reverse it by its gradient "
            "pass a desali.Method(..., smooth='gradient')"
        )
    relus = network.relus()
    if not relus and not smooth:
        found = dict.fromkeys(_kind(node) for node in network.nodes[1:] if node.name)
        raise MethodError(
            f"method {rule.corner} acts on ReLUs and the network has none (found: {', '.join(found)}); "
            "for the plain gradient use torch.autograd"
        )
    if rule.smooth == "refuse" and (rule.relu_backward or not rule.relu_mask):
        bent = [node for node in path if rule_for(network, rule, node) is rule and _bends(network, node)]
        if bent:
            named = ", ".join(f"{node.name} ({_kind(node)})" for node in bent[:5]) + (", ..." if len(bent) > 5 else "")
            warnings.warn(
                f"{len(bent)} layer(s) decide like a rectifier but are no ReLU, and keep their gradient: {named}; "
                f"method {rule.corner} does not act on them. Method(..., smooth='gradient') says that this is wanted",
                GradientWarning,
                stacklevel=3,
            )
    if rule.only is not None:
        for name in rule.only:
            network.find(name)
        if not any(rule_for(network, rule, relu) is rule for relu in relus):
            raise MethodError(
                f"only={','.join(rule.only)} holds no ReLU; choose from {', '.join(r.name for r in relus)}"
            )


def _kind(node: Node) -> str:
    """What a node is, for messages."""
    return "" if node.operation is None else node.operation.label


def _bends(network: Network, node: Node) -> bool:
    return node.operation is not None and node.operation.bends(network.nodes, node)
