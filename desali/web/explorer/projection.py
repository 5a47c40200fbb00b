"""What one network makes of one image, as a page and a figure show it: a picture beside its control, and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison.controls import Likeness, likeness_null, one_size
from desali.comparison.views import View, looks
from desali.figures.drawing.display import to_grey
from desali.figures.sources import in_rgb
from desali.figures.windows import cropped
from desali.reversal.seeds import Seed
from desali.web.explorer.rendering import Picture, picture_of
from desali.web.explorer.seeding import Field, field_of, layer_of, seed_of, value_of
from desali.web.explorer.state import State

if TYPE_CHECKING:
    from torch import Tensor

    from desali.figures.subjects import Shown
    from desali.web.explorer.networks import LockedRecording, Networks
    from desali.web.explorer.shelf import Entry

MOST_SCORES = 3
"""Classes whose scores a page names."""


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
        value, measure: the activation at the neuron, or the largest of what is projected; of a contrast the logit of
            the class less that of the other or the mean of all others.
        place: of that value (y, x); None where the channel is the same everywhere, so that no place is the strongest.
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
    measure: str
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


def see(networks: Networks, index: int, entry: Entry, state: State, channel: int | None, alike: Likeness) -> Seen:
    """Project what the state names in one network and in its twin with random weights.

    Args:
        channel: of this network; another than the state's where a partner is shown.
        alike: ranks a twin's map once for all networks that it stands beside.

    Raises:
        DesaliError: a layer, channel or class that it does not have; an image that does not fit it.
    """
    one = networks.shown[index]
    recorded = networks.recorded(index, entry)
    layer = layer_of(state, recorded, networks, index)
    colour = networks.input(index, entry).colour
    with recorded.lock:
        seed, place = seed_of(recorded.recording, one, layer, state, channel)
        shown = _projected(networks, recorded, one, layer, seed, state, colour)
        view = shown.view
        field = field_of(recorded.recording, layer, view, place)
    other = beside(networks, index, entry, state, layer, seed, colour, 0)
    rho = null = None
    if other is not None and len(view.neurons) == 1:
        null = likeness_null(one_size(shown.plane, other.plane)[0].shape)
        rho = alike_to(networks, shown, other, alike)
    values = view.activation
    neuron = view.neurons[0] if len(view.neurons) == 1 else None
    chosen = tuple((own, float(values[own])) for own in view.neurons if own is not None)
    return Seen(
        index=index,
        name=one.name,
        layer=layer,
        channel=view.channel if state.source in ("neuron", "channel") else None,
        neuron=neuron,
        value=value_of(view, state),
        measure="logit difference" if state.source == "contrast" else "activation",
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


def beside(
    networks: Networks, index: int, entry: Entry, state: State, layer: str, seed: Seed, colour: bool, draw: int
) -> Projected | None:
    """The same in a network with random weights."""
    twin = networks.twin(index, draw)
    if twin is None:
        return None
    recorded = networks.recorded(index, entry, twin)
    with recorded.lock:
        return _projected(networks, recorded, networks.shown[index], layer, seed, state, colour)


def _projected(
    networks: Networks, recorded: LockedRecording, one: Shown, layer: str, seed: Seed, state: State, colour: bool
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


def alike_to(networks: Networks, one: Projected, other: Projected, alike: Likeness) -> float | None:
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


def common_scale(seen: Sequence[Seen]) -> float:
    """The largest scale of all pictures and controls; 0 where all are silent."""
    pictures = [own for one in seen for own in (one.picture, one.control) if own is not None]
    return max((own.scale for own in pictures), default=0.0)
