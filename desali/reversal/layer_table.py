"""What a network is made of: its layers by name, with their kind, size and receptive field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from desali.output.columns import columns
from desali.output.summary import shape
from desali.reversal.graph.network import Network
from desali.reversal.receptive_field import receptive_field


@dataclass(frozen=True)
class LayerFacts:
    """One layer.

    Attributes:
        name: what `--layers` and `Recording` call it.
        kind: what it does, as desali recognised it.
        rectifies: whether a method's ReLU bits act on it.
        channels: of its value.
        size: of its map; () after flattening.
        receptive_field: height and width, in the image's pixels, of what the neuron in the middle of the map sees;
            padding counts.
    """

    name: str
    kind: str
    rectifies: bool
    channels: int
    size: tuple[int, ...]
    receptive_field: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return asdict(self)


def layer_table(network: Network) -> list[LayerFacts]:
    """The layers of a captured network in forward order."""
    found = []
    for node in network.nodes:
        if node.name and node.operation is not None and node.shape:
            middle = tuple(size // 2 for size in node.shape[1:])
            seen = receptive_field(network, node, middle)
            found.append(
                LayerFacts(
                    node.name, node.operation.label, node.operation.rectifies, node.shape[0], node.shape[1:],
                    seen[len(seen) // 2 :],
                )
            )  # fmt: skip
    return found


def format_layers(layers: Sequence[LayerFacts]) -> str:
    """The layers as aligned text."""
    rows = [["layer", "kind", "channels", "size", "receptive field"]]
    for one in layers:
        rows.append(
            [one.name, one.kind, str(one.channels), shape(one.size) if one.size else "-", shape(one.receptive_field)]
        )
    return "\n".join(columns(rows))
