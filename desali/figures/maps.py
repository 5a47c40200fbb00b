"""The arrays behind a figure, as numbers: activations, reconstructions and inputs, of the controls too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from desali.figures.block import Block, Seen
from desali.output.arrays import Array, name_of

if TYPE_CHECKING:
    from desali.comparison.sheet import Sheet
    from desali.comparison.views import View

MAP = ("seed", "channel", "row", "column")
ORDER = "Maps have their channels in the order red, green, blue; inputs in that of the network."
SEEDED = {
    "one": "signal at the network's input; the seed is 1",
    "activation": "signal at the network's input; the seed is the layer's activation",
}
CONTRAST = "signal at the network's input; the seed is 1 on the class and -1 / (K - 1) on the other K - 1"
SEED = SEEDED["one"].replace("1", "one over the channel's standard deviation")


def of_block(block: Block, seed: Any, image: str = "") -> Iterator[Array]:
    """The arrays of one image.

    Args:
        seed: of the rows; None where each row shows one channel.
        image: the first part of every name; "" for none.
    """
    before = [image] if image else []
    listed = seed if isinstance(seed, list | tuple) else [seed]
    values = {"activation" if one is None else "contrast" if one.kind == "contrast" else one.value for one in listed}
    unit = CONTRAST if values == {"contrast"} else "; ".join(SEEDED.get(one, CONTRAST) for one in sorted(values))
    groups = (("model", block.models), ("replicate", block.replicates), ("control", block.controls))
    here = {"image": image} if image else {}
    for what, networks in groups:
        for name, seen in networks.items():
            facts = {"network": name, "is": what, **here}
            yield from _of_network(seen, name, before, unit, facts)
    first = next(iter(block.models.values())).input
    unit = "strength of edges in the picture, which lies in [0, 1]"
    yield Array(
        name_of(*before, "edges"),
        first.edges,
        ("row", "column"),
        unit,
        {"network": None, "is": "edge detector", **here},
    )


def _of_network(seen: Seen, name: str, before: list[str], unit: str, facts: Mapping[str, Any]) -> Iterator[Array]:
    tensor = seen.input.tensor.detach().cpu().numpy()
    yield Array(
        name_of(*before, "input", name), tensor, MAP[1:], "as the network takes it, see its preprocessing", facts
    )
    for row, view in enumerate(seen.look.views):
        channel = view.channel if seen.channels is None else seen.channels[row].channel
        own = {**facts, "layer": view.layer, "channel": channel}
        yield _activation(view, name_of(*before, "activation", name, view.layer), own)
        more = {"neurons": [None if one is None else list(one) for one in view.neurons]}
        more["receptive_fields"] = [None if one is None else list(one) for one in view.fields]
        yield Array(name_of(*before, "map", name, view.layer), view.maps.detach().numpy(), MAP, unit, {**own, **more})
    against = seen.look.contrast
    if against is not None:
        own = {**facts, "layer": against.layer, "class": seen.contrasted}
        yield _activation(against, name_of(*before, "scores", name), own)
        yield Array(name_of(*before, "contrast", name), against.maps.detach().numpy(), MAP, CONTRAST, own)


def _activation(view: View, name: str, facts: Mapping[str, Any]) -> Array:
    values = view.activation.detach().numpy()
    axes = ("channel", *("row", "column", "depth")[: values.ndim - 1])
    return Array(name, values, axes, "the layer's output, without a physical unit", facts)


def of_sheet(made: Sheet) -> Iterator[Array]:
    """The reconstructions of a sheet's regions, one array for each network and channel."""
    for band in made.bands:
        for column, tiles in zip(made.columns, band.tiles, strict=True):
            channel = column.choice.channel
            regions = [
                {"image": tile.row, "position": list(tile.position), "value": tile.value, "window": list(tile.window)}
                for tile in tiles
            ]
            facts = {"network": band.name, "layer": made.layer.name, "channel": channel, "regions": regions}
            name = name_of("map", band.name, made.layer.name, f"channel-{channel}")
            yield Array(name, band.maps[[tile.map for tile in tiles]].numpy(), ("region", *MAP[1:]), SEED, facts)
