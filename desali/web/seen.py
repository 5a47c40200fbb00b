"""What one network makes of one image, as a page and a figure show it: a picture beside its control, and numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison.controls import Likeness, likeness_null, one_size
from desali.comparison.views import View, class_layer, looks
from desali.errors import DesaliError
from desali.figures.captions import signed
from desali.figures.drawing.colours import coloured
from desali.figures.drawing.display import display_map, scale_text, to_grey
from desali.figures.drawing.mosaic import mosaic
from desali.figures.drawing.panel import COLORMAPS
from desali.figures.sources import in_rgb
from desali.figures.windows import contrast_map, cropped
from desali.reversal.seeds import Seed
from desali.web.answer import Refused
from desali.web.asked import State
from desali.web.pixels import data_url

if TYPE_CHECKING:
    from torch import Tensor

    from desali.figures.subjects import Shown
    from desali.reversal.recording import Recording
    from desali.web.networks import Networks, Recorded
    from desali.web.shelf import Entry

Field = tuple[int, int, int, int]
MOST_SCORES = 3
"""Classes whose scores a page names."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A map as pixels.

    Attributes:
        pixels: [h, w] or [h, w, 3] in [0, 1]; of a contrast with 0 at 0.5, for a colour map of two ends.
        scale: the magnitude that stands at the ends.
        clipped: share of the values beyond it.
        contrast: whether it is a class contrast.
        silent: whether the map is zero everywhere.
    """

    pixels: npt.NDArray[np.float64]
    scale: float
    clipped: float
    contrast: bool
    silent: bool

    @cached_property
    def url(self) -> str:
        """As PNG; a contrast in red and blue, white in the middle."""
        return data_url(coloured(self.pixels, COLORMAPS["contrast"]) if self.contrast else self.pixels)


@dataclass(frozen=True, eq=False)
class Projected:
    """A view, its first map as the window that is shown [h, w], its picture, and the probabilities of the classes."""

    key: tuple[Any, ...]
    view: View
    plane: npt.NDArray[np.float64]
    picture: Picture
    probabilities: Tensor | None
    colour: bool

    def drawn(self, scale: float) -> Picture:
        """Its picture by another scale."""
        return picture_of(self.view, self.colour, self.picture.contrast, scale)


@dataclass(frozen=True, eq=False)
class Seen:
    """One network on one image.

    Attributes:
        channel: what is shown of it; None for the whole layer, the strongest or a contrast.
        neuron: (channel, y, x) of a single neuron.
        value, place: the activation at the neuron, or the largest of what is projected, and where that is (y, x); None
            where the channel is the same everywhere, so that no place is the strongest.
        field: receptive field of the neuron, or of that place, in the network's input (top, left, height, width).
        control: None where the architecture cannot be drawn anew.
        likeness: of picture and control; None where one of them is constant, or several neurons are shown.
        null: what independent noise stays below in 95 %.
        neurons: of the strongest, each with its activation.
        scores: classes and probabilities, the largest first; empty where the output names no classes.
        shown, beside: what picture and control were drawn from.
    """

    index: int
    name: str
    layer: str
    channel: int | None
    neuron: tuple[int, ...] | None
    value: float
    place: tuple[int, int] | None
    field: Field | None
    picture: Picture
    control: Picture | None
    likeness: float | None
    null: float | None
    seed: Seed
    neurons: tuple[tuple[tuple[int, ...], float], ...]
    scores: tuple[tuple[str, float], ...]
    shown: Projected
    beside: Projected | None

    def drawn(self, scale: float) -> Seen:
        """Picture and control by another scale."""
        control = None if self.beside is None else self.beside.drawn(scale)
        return replace(self, picture=self.shown.drawn(scale), control=control)


@dataclass(frozen=True)
class Draws:
    """How alike a map is to those of several networks with random weights.

    Attributes:
        likeness: to each of them; None where one of the two maps is constant.
        silent: in how many of them nothing comes back.
    """

    likeness: tuple[float | None, ...]
    silent: int

    @property
    def ends(self) -> tuple[float, float] | None:
        """The lowest and the highest; None where there is none."""
        known = [one for one in self.likeness if one is not None]
        return (min(known), max(known)) if known else None

    @property
    def words(self) -> str:
        """The range, over how many, and how many say nothing."""
        count = f"{len(self.likeness)} draws" if len(self.likeness) > 1 else "1 draw"
        count += f", {self.silent} silent" if self.silent else ""
        if self.ends is None:
            return f"none ({count})"
        low, high = (signed(one) for one in self.ends)
        return f"{low if low == high else f'{low} to {high}'} ({count})"

    def to_dict(self) -> dict[str, Any]:
        """As a page and a record take it."""
        low, high = self.ends or (None, None)
        return {
            "networks": len(self.likeness), "likeness": list(self.likeness), "low": low, "high": high,
            "silent": self.silent, "words": self.words,
        }  # fmt: skip


def layer_of(state: State, recorded: Recorded, networks: Networks, index: int) -> str:
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


def see(networks: Networks, index: int, entry: Entry, state: State, channel: int | None, alike: Likeness) -> Seen:
    """Project what the state names in one network and in its twin with random weights.

    Args:
        channel: of this network; another than the state's where a partner is shown.
        alike: ranks a twin's map once for all networks that it stands beside.

    Raises:
        DesaliError: a layer, channel or class that it does not have; an image that does not fit it.
    """
    one = networks.shown[index]
    recorded = networks.recorded(index, entry, state.window)
    layer = layer_of(state, recorded, networks, index)
    colour = networks.input(index, entry, state.window).colour
    with recorded.lock:
        seed, place = _seed(recorded.recording, one, layer, state, channel)
        shown = _projected(networks, recorded, one, layer, seed, state, colour)
        view = shown.view
        field = _field(recorded.recording, layer, view, place)
    other = _beside(networks, index, entry, state, layer, seed, colour, 0)
    rho = null = None
    if other is not None and len(view.neurons) == 1:
        null = likeness_null(one_size(shown.plane, other.plane)[0].shape)
        rho = _alike(networks, shown, other, alike)
    values = view.activation
    neuron = view.neurons[0] if len(view.neurons) == 1 else None
    chosen = tuple((own, float(values[own])) for own in view.neurons if own is not None)
    return Seen(
        index=index,
        name=one.name,
        layer=layer,
        channel=view.channel if state.source in ("neuron", "channel") else None,
        neuron=neuron,
        value=_value(view, state),
        place=place,
        field=field,
        picture=shown.picture,
        control=None if other is None else other.picture,
        likeness=rho,
        null=null,
        seed=seed,
        neurons=chosen if state.source == "top" else (),
        scores=_scores(one, shown.probabilities),
        shown=shown,
        beside=other,
    )


def draws(
    networks: Networks, seen: Seen, entry: Entry, state: State, alike: Likeness, wanted: Callable[[], None]
) -> Draws | None:
    """How alike a map is to those of all networks with random weights; None where there are none, or several neurons.

    Args:
        wanted: is called before each; it raises where nobody waits any more.
    """
    if seen.beside is None or len(seen.shown.view.neurons) != 1:
        return None
    found: list[float | None] = []
    silent = 0
    for draw in range(networks.draws):
        wanted()
        other = _beside(networks, seen.index, entry, state, seen.layer, seen.seed, seen.shown.colour, draw)
        assert other is not None  # the first one could be drawn
        silent += other.picture.silent
        found.append(_alike(networks, seen.shown, other, alike))
    return Draws(tuple(found), silent)


def _beside(
    networks: Networks, index: int, entry: Entry, state: State, layer: str, seed: Seed, colour: bool, draw: int
) -> Projected | None:
    """The same in a network with random weights."""
    twin = networks.twin(index, draw)
    if twin is None:
        return None
    recorded = networks.recorded(index, entry, state.window, twin)
    with recorded.lock:
        return _projected(networks, recorded, networks.shown[index], layer, seed, state, colour)


def _projected(
    networks: Networks, recorded: Recorded, one: Shown, layer: str, seed: Seed, state: State, colour: bool
) -> Projected:
    """Made once for all that show it: a twin stands beside several networks."""
    key = (*recorded.key, layer, seed, state.method, state.source)

    def make() -> tuple[Projected, int]:
        look = in_rgb(looks(recorded.recording, [layer], seed, state.method)[0], one.rule)
        view = look.views[0]
        plane = to_grey(cropped(view.maps[0], view.fields[0]))
        picture = picture_of(view, colour, state.source == "contrast")
        size = view.maps.nbytes + view.activation.nbytes + plane.nbytes + picture.pixels.nbytes + len(picture.url)
        return Projected(key, view, plane, picture, look.probabilities, colour), size

    return networks.views.get(key, make)


def _alike(networks: Networks, one: Projected, other: Projected, alike: Likeness) -> float | None:
    """The likeness of two maps; None where nothing came back in one of them."""

    def make() -> float | None:
        first, second = one_size(one.plane, other.plane)
        return alike(first, second) if first.any() and second.any() else None

    return networks.likeness((one.key, other.key), make)


def _scores(one: Shown, probabilities: Tensor | None) -> tuple[tuple[str, float], ...]:
    """The most probable classes; none if NaN came out."""
    if probabilities is None or not bool(probabilities.isfinite().all()):
        return ()
    known = len(one.classes) == len(probabilities)
    places = probabilities.argsort(descending=True, stable=True)[:MOST_SCORES].tolist()
    return tuple((one.classes[k] if known else f"class {k}", float(probabilities[k])) for k in places)


def _seed(
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
    import torch

    count = shape[0]
    for name, given in (("a", state.a), ("b", state.b)):
        if given is not None and given >= count:
            raise Refused(404, f"class {name}={given}: the network has {count}, which count from 0")
    a = int(recording.activation(layer)[0].argmax()) if state.a is None else state.a
    if state.b is None:
        return Seed.contrast(a)
    if a == state.b:
        raise Refused(400, f"a and b are both class {a}: give two classes")
    signal = torch.zeros(1, count, dtype=recording.images.dtype, device=recording.images.device)
    signal[0, a], signal[0, state.b] = 1.0, -1.0
    return Seed.tensor(signal)


def largest(plane: Tensor) -> tuple[int, int] | None:
    """Where a map [h, w] is largest; None where it is the same everywhere, so that no place is."""
    if plane.numel() > 1 and bool(plane.max() == plane.min()):
        return None
    at = int(plane.argmax())
    return at // plane.shape[-1], at % plane.shape[-1]


def _field(recording: Recording, layer: str, view: View, place: tuple[int, int] | None) -> Field | None:
    own = view.fields[0] if len(view.fields) == 1 else None
    found = own if own is not None or place is None else recording.receptive_field(layer, place)
    return None if found is None or len(found) != 4 else (found[0], found[1], found[2], found[3])


def _value(view: View, state: State) -> float:
    values = view.activation
    if len(view.neurons) == 1 and view.neurons[0] is not None:
        return float(values[view.neurons[0]])
    if view.channel is not None and state.source == "channel":
        return float(values[view.channel].max())
    return float(values.max())


def picture_of(view: View, colour: bool, contrast: bool, scale: float | None = None) -> Picture:
    """A view's maps as pixels: a neuron's cut to its receptive field, several neurons' side by side on one scale.

    Args:
        scale: the magnitude that stands at the ends; None: the maps' own.
    """
    shown = [cropped(map, field) for map, field in zip(view.maps, view.fields, strict=True)]
    if contrast:
        pixels, own = contrast_map(shown[0], scale)
        beyond = float(((pixels <= 0) | (pixels >= 1)).mean())
        return Picture(pixels, abs(own), round(beyond, 4), True, own == 0)
    if len(shown) == 1:
        pixels, own = display_map(shown[0], colour=colour, scale=scale)
        values = np.asarray(shown[0], np.float64) if colour else to_grey(shown[0])
    else:
        pixels, own, values = _several(shown, colour, scale)
    silent = not values.any()
    beyond = float((np.abs(values) > abs(own)).mean()) if own else 0.0
    return Picture(pixels, 0.0 if silent else abs(own), round(beyond, 4), False, silent)


def _several(
    shown: list[Any], colour: bool, scale: float | None
) -> tuple[npt.NDArray[np.float64], float, npt.NDArray[np.float64]]:
    sizes = {map.shape[-2:] for map in shown}
    if len(sizes) > 1:
        raise DesaliError("the strongest neurons have receptive fields of several sizes")  # one layer has one
    planes = [np.asarray(map, np.float64) if colour else to_grey(map) for map in shown]
    values = np.stack(planes)
    own = scale or max(abs(display_map(np.asarray(map), colour=colour)[1]) for map in shown)
    tiles = [display_map(np.asarray(map), colour=colour, scale=own or None)[0] for map in shown]
    across = int(np.ceil(np.sqrt(len(tiles))))
    return mosaic(tiles, across, 1), own, values


def common_scale(seen: Sequence[Seen]) -> float:
    """The largest scale of all pictures and controls; 0 where all are silent."""
    pictures = [own for one in seen for own in (one.picture, one.control) if own is not None]
    return max((own.scale for own in pictures), default=0.0)


def words_of(seen: Seen) -> str:
    """What a picture shows, with its numbers, for a reader who hears the page."""
    what = f"channel {seen.channel}" if seen.channel is not None else seen.seed.describe()
    said = [f"{seen.name}, {seen.layer}, {what}"]
    if seen.place is not None and seen.neuron is not None and len(seen.neuron) == 3:
        said[0] += f" at {seen.neuron[1]}, {seen.neuron[2]}"
    said.append(f"activation {seen.value:.3g}")
    said.append("silent: the map is zero" if seen.picture.silent else scale_text("scale", seen.picture.scale))
    if seen.likeness is not None and seen.null is not None:
        said.append(
            f"likeness to the same network with random weights {seen.likeness:+.2f}, noise stays within {seen.null:.2f}"
        )
    return "; ".join(said)
