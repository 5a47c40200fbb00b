"""The layers of a network as a page lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from desali.errors import nearest_of

NEAREST = 3
"""Names that stand beside one that is unknown."""


def unknown_layer(layer: str, known: Sequence[str]) -> str:
    """What to say of a layer that there is not: the nearest names, and how many there are."""
    near = nearest_of(layer, known, NEAREST)
    return f"unknown layer {layer[:80]!r}; the nearest of {len(known)} are {', '.join(near)}"


def layers_of(network: Any) -> list[dict[str, Any]]:
    """The layers of a captured network in forward order."""
    found = []
    for node in network.nodes:
        if node.name and node.operation is not None and node.batched and len(node.shape) in (1, 3):
            height, width = node.shape[1:] or (1, 1)
            found.append(
                {
                    "name": node.name, "kind": node.operation.label, "rectifies": node.operation.rectifies,
                    "channels": node.shape[0], "height": height, "width": width, "spatial": len(node.shape) == 3,
                }
            )  # fmt: skip
    return found
