"""What one model makes of images, layer by layer: activations and reconstructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desali.errors import DataError
from desali.reversal.methods import Method
from desali.reversal.placing import Placed, Points
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    from torch import Tensor

    from desali.reversal.graph.network import Network
    from desali.reversal.recording import Recording, Seeds

CONTRAST_METHOD = "gradient"
"""Of class contrasts, unless another is named."""


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
        probabilities: of the classes, the softmax of the output unless the model's own output is one; None if the
            output is not [N, classes] with two classes at least.
        contrast: the network's output, and what speaks for one class and against the others; None unless asked for.
    """

    views: list[View]
    probabilities: Tensor | None
    contrast: View | None = None


def looks(
    recording: Recording,
    layers: Sequence[str],
    seed: Seeds | Mapping[str, Seeds],
    method: str | Method,
    sweeps: Sequence[Sequence[str]] | None = None,
    contrast: Seed | None = None,
    contrast_method: str | Method = CONTRAST_METHOD,
) -> list[Look]:
    """What the recorded model makes of every recorded image; the seed is placed once.

    Args:
        seed: of every layer, or by layer.
        sweeps: the layers that are swept together. None: all. The last bits of a map depend on what is swept with it.
        contrast: is put on the network's output, if that names classes.

    Raises:
        DataError: images that are not two-dimensional. UnknownNameError: an unknown layer or method.
        SeedError: a seed that does not fit a layer.
    """
    size = recording.images.shape[2:]
    if len(size) != 2:
        raise DataError(f"figures show two-dimensional images [N, C, H, W]; these have {len(size)} spatial dimensions")
    activations = recording.activations(layers)
    seeds = seed if isinstance(seed, Mapping) else dict.fromkeys(layers, seed)
    placed = Placed({})
    for one in layers:
        placed.signals.update(recording.place([one], seeds[one], activations).signals)
    maps: dict[str, Tensor] = {}
    for together in [layers] if sweeps is None else sweeps:
        maps |= recording.reconstruct(list(together), placed, method)
    activations, maps = ({layer: value.cpu() for layer, value in found.items()} for found in (activations, maps))
    contrasts = _contrasts(recording, contrast, contrast_method)
    output = _probabilities(recording.output.cpu())
    found = []
    for image in range(len(recording.images)):
        views = [
            _view(recording, layer, seeds[layer], placed, activations[layer][image], maps[layer][image], image)
            for layer in layers
        ]
        against = None if contrasts is None else contrasts[image]
        found.append(Look(views, None if output is None else output[image], against))
    return found


def class_layer(network: Network) -> str | None:
    """The layer that holds a number for each class: the output, before a softmax; None where there is no such layer."""
    node = network.nodes[network.output]
    while node.operation is not None and "softmax" in getattr(node.operation, "kind", "") and len(node.inputs) == 1:
        node = network.nodes[node.inputs[0]]
    one = node.name and node.batched and len(node.shape) == 1 and node.shape[0] > 1
    return node.name if one else None


def _contrasts(recording: Recording, seed: Seed | None, method: str | Method) -> list[View] | None:
    layer = None if seed is None else class_layer(recording.network)
    if seed is None or layer is None:
        return None
    values = recording.activation(layer)
    placed = recording.place([layer], seed, {layer: values})
    maps = recording.reconstruct(layer, placed, method).cpu()
    return [
        View(layer, activation, map, (None,), (None,), None) for activation, map in zip(values.cpu(), maps, strict=True)
    ]


def _probabilities(output: Tensor) -> Tensor | None:
    if output.dim() != 2 or output.shape[1] < 2:
        return None
    sums = output.sum(1)
    if bool((output >= 0).all()) and bool(((sums - 1).abs() < 1e-4).all()):
        return output
    return output.softmax(1)


def _view(
    recording: Recording, layer: str, seed: Seeds, placed: Placed, activation: Tensor, maps: Tensor, image: int
) -> View:
    neurons: list[tuple[int, ...] | None] = []
    channels: set[int | None] = set()
    for signal in placed.signals[layer]:
        if isinstance(signal, Points):
            places = signal.position[image].tolist()
            own = signal.channel[image].tolist()
            neurons += [(channel, *position) for channel, position in zip(own, places, strict=True)]
            channels |= set(own)
        else:
            neurons += [None] * signal.shape[1]
    for one in [seed] if isinstance(seed, Seed) else seed:
        if one.kind in ("channel", "layer", "tensor"):
            channels.add(one.channel_index if one.kind == "channel" else None)
    fields = tuple(None if neuron is None else recording.receptive_field(layer, neuron[1:]) for neuron in neurons)
    activation = activation if activation.dim() else activation.reshape(1)  # one number an image is one channel
    return View(layer, activation, maps, fields, tuple(neurons), channels.pop() if len(channels) == 1 else None)


def twins(views: Mapping[str, View]) -> dict[str, str]:
    """For each model whose activation and maps are bitwise those of an earlier one, the first such."""
    import torch

    found: dict[str, str] = {}
    names = list(views)
    for index, name in enumerate(names):
        for earlier in names[:index]:
            one, other = views[earlier], views[name]
            if (
                earlier not in found
                and one.activation.shape == other.activation.shape
                and one.maps.shape == other.maps.shape
                and torch.equal(one.activation, other.activation)
                and torch.equal(one.maps, other.maps)
            ):
                found[name] = earlier
                break
    return found
