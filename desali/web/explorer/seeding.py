"""What is put on a layer for a state, and the place of it that a page marks."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.comparison.views import View, class_layer
from desali.reversal.seeds import Seed
from desali.web.explorer.answer import Refused
from desali.web.explorer.state import State

if TYPE_CHECKING:
    from torch import Tensor

    from desali.figures.subjects import Shown
    from desali.reversal.recording import Recording
    from desali.web.explorer.networks import LockedRecording, Networks

Field = tuple[int, int, int, int]
_TURN = threading.Lock()


def layer_of(state: State, recorded: LockedRecording, networks: Networks, index: int) -> str:
    """The layer that is looked at: of a contrast the output of classes, else the one that is named.

    Raises:
        Refused: there is no such layer.
    """
    if state.source == "contrast":
        found = class_layer(recorded.recording.network)
        if found is None:
            raise Refused(400, f"{networks.shown[index].name}: its output names no classes, so there is no contrast")
        return found
    if not state.layer:
        raise Refused(400, "layer is missing: name one")
    networks.known_layer(recorded, state.layer, networks.shown[index])
    return state.layer


def channel_in(shape: tuple[int, ...], channel: int | None, name: str) -> int:
    """A channel that there is.

    Raises:
        Refused: none is given, or it is too large.
    """
    if channel is None:
        raise Refused(400, "channel is missing: give its number")
    if channel >= shape[0]:
        raise Refused(404, f"{name}: channel {channel} of {shape[0]}, which count from 0")
    return channel


def seed_of(
    recording: Recording, one: Shown, layer: str, state: State, channel: int | None
) -> tuple[Seed, tuple[int, int] | None]:
    """What is put on the layer, and the place that a page marks: the neuron's, or that of the largest activation."""
    shape = recording.shape(layer)
    if state.source == "contrast":
        return _contrast(shape, state, recording, layer), None
    if state.source == "top":
        seed = Seed.top(min(state.k, int(np.prod(shape))))
        return seed, None
    values = recording.activation(layer)[0]
    if state.source == "layer":
        return Seed.layer(), largest(values.amax(0)) if len(shape) == 3 else None
    number = channel_in(shape, channel, one.name)
    if state.source == "channel":
        return Seed.channel(number), largest(values[number]) if len(shape) == 3 else None
    if len(shape) == 1:
        return Seed.neuron(number), None
    if len(shape) != 3:
        raise Refused(400, f"{layer}: a neuron has two coordinates here, and the layer's map has {len(shape) - 1}")
    if state.y is None or state.x is None:
        place = largest(values[number])
        return Seed.neuron(number, *(place or (0, 0))), place
    place = (state.y, state.x)
    if place[0] >= shape[1] or place[1] >= shape[2]:
        raise Refused(404, f"{one.name}: y, x = {place[0]}, {place[1]} on a map of {shape[1]} x {shape[2]}")
    return Seed.neuron(number, *place), place


def _contrast(shape: tuple[int, ...], state: State, recording: Recording, layer: str) -> Seed:
    count = shape[0]
    for name, given in (("a", state.a), ("b", state.b)):
        if given is not None and given >= count:
            raise Refused(404, f"class {name}={given}: the network has {count}, which count from 0")
    a = int(recording.activation(layer)[0].argmax()) if state.a is None else state.a
    if state.b is None:
        return Seed.contrast(a)
    if a == state.b:
        raise Refused(400, f"a and b are both class {a}: give two classes")
    with _TURN:  # else two threads make two seeds, and what hangs on the first is made again
        return _one_against(count, a, state.b, recording.images.dtype, recording.images.device)


@lru_cache(maxsize=1024)
def _one_against(count: int, a: int, b: int, dtype: Any, device: Any) -> Seed:
    """1 on class a, -1 on class b: the same seed each time, since seeds of tensors are equal by their object."""
    import torch

    signal = torch.zeros(1, count, dtype=dtype, device=device)
    signal[0, a], signal[0, b] = 1.0, -1.0
    return Seed.tensor(signal)


def largest(plane: Tensor) -> tuple[int, int] | None:
    """Where a map [h, w] is largest; None where it is the same everywhere, so that no place is."""
    if plane.numel() > 1 and bool(plane.max() == plane.min()):
        return None
    at = int(plane.argmax())
    return at // plane.shape[-1], at % plane.shape[-1]


def field_of(recording: Recording, layer: str, view: View, place: tuple[int, int] | None) -> Field | None:
    own = view.fields[0] if len(view.fields) == 1 else None
    if place is None and len(view.neurons) == 1 and len(view.neurons[0] or ()) == 3:
        return None  # a neuron of a channel that is the same everywhere stands for no place
    found = own if own is not None or place is None else recording.receptive_field(layer, place)
    return None if found is None or len(found) != 4 else (found[0], found[1], found[2], found[3])


def value_of(view: View, state: State) -> float:
    """The number of what is projected: see `Seen.measure`.

    Args:
        state: of a contrast with its class in this network, see `class_pairs.targets`.
    """
    values = view.activation
    if state.source == "contrast":
        a = int(values.argmax()) if state.a is None else state.a
        rest = values[state.b] if state.b is not None else (values.sum() - values[a]) / (len(values) - 1)
        return float(values[a] - rest)
    if len(view.neurons) == 1 and view.neurons[0] is not None:
        return float(values[view.neurons[0]])
    if view.channel is not None and state.source == "channel":
        return float(values[view.channel].max())
    return float(values.max())
