"""What one model makes of one image, layer by layer: activations and reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desali.reversal.methods import Method
from desali.reversal.placing import Points, place
from desali.reversal.recording import Recording, record
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class View:
    """One layer of one model on one image, on the CPU wherever the network ran.

    Attributes:
        layer: the layer's name.
        activation: [C, *spatial].
        maps: reconstructions [K, C, H, W], one per seed.
        fields: for each single-neuron seed its receptive field in the image, (top, left, height, width); else None.
        neurons: for each single-neuron seed its (channel, *position); else None.
        channel: the one channel that all seeds are of; None where there are several, or the whole layer.
    """

    layer: str
    activation: Tensor
    maps: Tensor
    fields: tuple[tuple[int, ...] | None, ...]
    neurons: tuple[tuple[int, ...] | None, ...]
    channel: int | None


@dataclass(frozen=True, eq=False)
class Look:
    """All views of one model on one image.

    Attributes:
        views: in the order of the layers asked for.
        probabilities: softmax of the output, [classes]; None if the output is not [N, classes].
    """

    views: list[View]
    probabilities: Tensor | None


def look(
    model: nn.Module, image: Tensor, layers: Sequence[str], seed: Seed, method: str | Method, backend: str = "auto"
) -> Look:
    """Activations and reconstructions of one image [C, H, W] at every layer, from one forward pass and one sweep.

    Raises:
        UnknownNameError: an unknown layer or method. SeedError: a seed that does not fit a layer.
    """
    recording = record(model, image.unsqueeze(0), keep="activations", backend=backend)
    maps = recording.reconstruct(list(layers), seed, method)
    views = []
    for layer in layers:
        activation = recording.activation(layer)
        views.append(_view(recording, layer, seed, activation, maps[layer][0].cpu()))
    output = recording.output
    return Look(views, output[0].softmax(0).cpu() if output.dim() == 2 else None)


def _view(recording: Recording, layer: str, seed: Seed, activation: Tensor, maps: Tensor) -> View:
    placed = place(seed, layer, recording.shape(layer), 1, activation, activation)
    if not isinstance(placed, Points):
        none = (None,) * placed.shape[1]
        return View(
            layer, activation[0].cpu(), maps, none, none, seed.channel_index if seed.kind == "channel" else None
        )
    places = [tuple(position) for position in placed.position[0].tolist()]
    channels = placed.channel[0].tolist()
    fields = tuple(recording.receptive_field(layer, place) for place in places)
    neurons = tuple((channel, *place) for channel, place in zip(channels, places, strict=True))
    return View(layer, activation[0].cpu(), maps, fields, neurons, channels[0] if len(set(channels)) == 1 else None)
