"""What a page sees of a state: projections beside their controls, activations, the strongest channels, patches."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.comparison.controls import Likeness
from desali.errors import DesaliError
from desali.figures.captions import around_zero, listed, signed
from desali.figures.drawing.display import summarise_activation
from desali.figures.facts import method_words, seed_words
from desali.web import cards, commands
from desali.web.answer import Refused
from desali.web.asked import State, needed, state_of
from desali.web.followed import Followed
from desali.web.hands import Hands
from desali.web.networks import Networks
from desali.web.patches import Patches
from desali.web.seen import Picture, Seen, common_scale, draws, largest, layer_of, see, words_of
from desali.web.shelf import Entry, Shelf

if TYPE_CHECKING:
    from desali.figures.subjects import Shown

FACTS = {
    "state": "state", "r": "r", "r_null": "r, random", "firing": "firing", "partner": "partner",
    "purity_of_layer": "purity of layer", "purity_interval": "95 %", "purity_null": "purity, random",
}  # fmt: skip
"""What a lineage says of a channel -> what the page calls it, in this order."""
MOST_STRONGEST = 64
LOWEST = 0.005
"""A class score below it is not named, unless it is the largest."""
WAIT = 0.5
"""Seconds that a request waits for a search before it says how far that is."""

Stale = Callable[[], bool]
Params = Mapping[str, str]


class Views:
    """Views of some networks and images; see `Session` for the arguments."""

    def __init__(
        self, networks: Networks, shelf: Shelf, followed: Followed | None, origin: commands.Origin | None
    ) -> None:
        self.networks, self.shelf, self.followed = networks, shelf, followed
        self._origin = origin
        self.hands = Hands(len(networks))
        self.patches = Patches(networks, shelf, self.hands.begin)

    def activation(self, params: Params, stale: Stale) -> dict[str, Any]:
        state = state_of(params)
        entry = self.shelf[state.image]

        def of(index: int) -> dict[str, Any]:
            recorded = self.networks.recorded(index, entry, state.window)
            layer = layer_of(state, recorded, self.networks, index)
            one = self.networks.shown[index]
            with recorded.lock:
                network = recorded.recording.network
                values = recorded.recording.activation(layer)[0].cpu()
            channel = self._channel(state, index, network, layer, state.channel)
            if channel is not None and channel >= len(values):
                raise Refused(404, f"{one.name}: channel {channel} of {len(values)}, which count from 0")
            if channel is None:
                plane = summarise_activation(values)
            else:
                plane = np.asarray(values[channel].double().numpy()).reshape(values.shape[1:] or (1, 1))
            if plane.ndim != 2:
                raise Refused(400, f"{layer}: its maps are not planes")
            frame = entry.framed(one.rule, (0, 0, *recorded.recording.images.shape[-2:]))
            return {
                "index": index, "name": one.name, "height": plane.shape[0], "width": plane.shape[1],
                "values": [[round(float(value), 4) for value in row] for row in plane],
                "max": float(plane.max()), "channel": channel, "channels": len(values), "frame": frame,
            }  # fmt: skip

        return {"models": self._each(state, stale, of)}

    def channels(self, params: Params, stale: Stale) -> dict[str, Any]:
        state = state_of(params)
        entry = self.shelf[state.image]
        index = self.networks.chosen([needed(params, "model")])[0]
        recorded = self.networks.recorded(index, entry, state.window)
        layer = layer_of(state, recorded, self.networks, index)
        with recorded.lock:
            values = recorded.recording.activation(layer)[0].cpu()
        flat = values.reshape(len(values), -1)
        tops = flat.max(1).values
        found = []
        for k in tops.argsort(descending=True, stable=True).tolist()[:MOST_STRONGEST]:
            y, x = largest(values[k] if values.dim() == 3 else flat[k][:, None]) or (None, None)
            found.append({"channel": k, "value": float(tops[k]), "y": y, "x": x})
        return {"strongest": found, "channels": len(values)}

    def search(self, params: Params, stale: Stale) -> dict[str, Any]:
        state = state_of(params)
        index = self.networks.chosen([needed(params, "model")])[0]
        channel = needed(params, "channel")
        if not state.layer:
            raise Refused(400, "layer is missing: name one")
        if state.partner:
            network = self.networks.network(index, next(iter(self.shelf.entries), None))
            channel = self._channel(state, index, network, state.layer, channel) or 0
        return {"channel": channel, **self.patches.of(index, state.layer, channel, WAIT)}

    def view(self, params: Params, stale: Stale) -> dict[str, Any]:
        return self.numbers(state_of(params), stale)[0]

    def likeness(self, params: Params, stale: Stale) -> dict[str, Any]:
        """How alike each picture of a view is to those of all networks with random weights."""
        state = state_of(params)
        entry = self.shelf[state.image]
        seen, _ = self._looked(state, entry, stale)
        found = self._drawn(state, entry, seen, stale)
        return {"models": [{"index": index, "draws": one} for index, one in found.items()]}

    def numbers(self, state: State, stale: Stale, every: bool = False) -> tuple[dict[str, Any], list[Seen], Entry]:
        """The numbers of a view with its pictures.

        Args:
            every: with the likeness to all networks with random weights, which takes longer.
        """
        start = time.perf_counter()
        entry = self.shelf[state.image]
        seen, models = self._looked(state, entry, stale)
        if every:
            drawn = self._drawn(state, entry, seen, stale)
            models = [{**one, "draws": drawn.get(one["index"])} for one in models]
        command = commands.command(state, self.networks, entry, seen, self._origin)
        sentence = self._sentence(state, seen, models)
        latency = round(1000 * (time.perf_counter() - start), 2)
        answer = {"models": models, "latency_ms": latency, "command": command, "sentence": sentence}
        return answer, seen, entry

    def _drawn(self, state: State, entry: Entry, seen: Sequence[Seen], stale: Stale) -> dict[int, dict[str, Any] | None]:
        alike = Likeness()

        def wanted() -> None:
            if stale():
                raise Refused(409, "a newer click came")

        found = {one.index: draws(self.networks, one, entry, state, alike, wanted) for one in seen}
        return {index: None if one is None else one.to_dict() for index, one in found.items()}

    def _looked(self, state: State, entry: Entry, stale: Stale) -> tuple[list[Seen], list[dict[str, Any]]]:
        alike = Likeness()
        seen: dict[int, Seen] = {}
        facts: dict[int, dict[str, Any]] = {}
        targets = self._targets(state, entry) if state.source == "contrast" else {}

        def of(index: int) -> dict[str, Any]:
            channel = state.channel
            network = None
            if self.followed is not None and channel is not None and state.source in ("neuron", "channel"):
                network = self.networks.recorded(index, entry, state.window).recording.network
                channel = self._channel(state, index, network, state.layer, channel)
            elif state.partner and self.followed is None and state.source != "contrast":
                self._channel(state, index, None, state.layer, channel)
            own = targets.get(index, state)
            if isinstance(own, Refused):
                raise own
            one = see(self.networks, index, entry, own, channel, alike)
            seen[index] = one
            if self.followed is not None and network is not None:
                facts[index] = self.followed.facts(index, network, one.layer, one.channel, state.channel)
            return {"index": index}

        models = self._each(state, stale, of)
        ordered = [seen[one["index"]] for one in models if one["index"] in seen]
        if state.common:
            scale = common_scale(ordered)
            ordered = self.hands.each(lambda one: one.drawn(scale) if scale else one, ordered)
        beside = Counter(filter(None, map(_same, ordered)))
        shown = {
            one.index: self._shown(one, entry, state, targets.get(one.index), facts.get(one.index, {}), beside)
            for one in ordered
        }
        return ordered, [shown.get(one["index"], one) for one in models]

    def _each(self, state: State, stale: Stale, of: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
        """What each of the models says, or why it does not; the pair of a lineage stands first."""

        def one(index: int) -> dict[str, Any]:
            if stale():
                raise Refused(409, "a newer click came")
            try:
                return of(index)
            except DesaliError as error:
                name = self.networks.shown[index].name
                return {"index": index, "name": name, "error": str(error).removeprefix(f"{name}: ")}

        return self.hands.each(one, sorted(self.networks.chosen(state.models), key=self._place))

    def _place(self, index: int) -> int:
        pair = () if self.followed is None else (self.followed.before, self.followed.after)
        return pair.index(index) if index in pair else 2

    def _channel(self, state: State, index: int, network: Any, layer: str, channel: int | None) -> int | None:
        """The channel of a network that the state's stands for."""
        if channel is None or not state.partner:
            return channel
        if self.followed is None:
            raise Refused(400, "no lineage is known, so no partners; start with --lineage FILE")
        return self.followed.channel(index, network, layer, channel, self.networks.shown[index].name)

    def _targets(self, state: State, entry: Entry) -> dict[int, State | Refused]:
        """The state with the classes of a contrast in each model, or why it has none such; classes are one by name.

        Without a class it is the one that the first model predicts. A number is a place among the classes of all
        models (`Networks.classes`) or, where none has names, in the output.
        """
        places = self.networks.chosen(state.models)
        known = self.networks.classes
        for given in (state.a, state.b):
            if known and given is not None and given >= len(known):
                raise Refused(404, f"class {given}: there are {len(known)}, which count from 0")
        a = self._predicted(places, entry, state) if state.a is None else known[state.a] if known else state.a
        b = None if state.b is None else known[state.b] if known else state.b
        found: dict[int, State | Refused] = {}
        sizes = {index: self._outputs(index, entry, state) for index in places} if isinstance(a, int) else {}
        for index in places:
            try:
                numbers = [None if one is None else self._class(index, one, sizes) for one in (a, b)]
                found[index] = replace(state, a=numbers[0], b=numbers[1])
            except Refused as error:
                found[index] = error
        return found

    def _predicted(self, places: Sequence[int], entry: Entry, state: State) -> str | int:
        """The class that the first model predicts that takes the image: its name, or its place where it has no names."""
        why: DesaliError = Refused(400, "no model is shown")
        for index in places:
            try:
                recorded = self.networks.recorded(index, entry, state.window)
                layer = layer_of(state, recorded, self.networks, index)
            except DesaliError as error:
                why = error
                continue
            with recorded.lock:
                number = int(recorded.recording.activation(layer)[0].argmax())
            names = self.networks.shown[index].classes
            return names[number] if number < len(names) else number
        raise why

    def _outputs(self, index: int, entry: Entry, state: State) -> int:
        """How many classes a model has; 0 where it does not say."""
        try:
            recorded = self.networks.recorded(index, entry, state.window)
            return recorded.recording.shape(layer_of(state, recorded, self.networks, index))[0]
        except DesaliError:
            return 0  # said where it is shown

    def _class(self, index: int, target: str | int, sizes: Mapping[int, int]) -> int:
        """The place of a class in the output of a model.

        Raises:
            Refused: it has no such class, or nothing says which of its classes that is.
        """
        own = self.networks.shown[index].classes
        if isinstance(target, str):
            if target in own:
                return own.index(target)
            raise Refused(404, f"has no class {target}" if own else f"its classes have no names; which is {target}?")
        if own or len({size for size in sizes.values() if size}) > 1:
            raise Refused(404, f"which of its classes is class {target} of the others? Their names are not known")
        return target

    def _shown(
        self,
        one: Seen,
        entry: Entry,
        state: State,
        target: State | Refused | None,
        facts: dict[str, Any],
        beside: Mapping[Any, int],
    ) -> dict[str, Any]:
        shown = self.networks.shown[one.index]
        y, x = one.place or (None, None)
        control = None
        if one.control is not None and one.beside is not None:
            control = {
                **_picture(one.control, state.common), "shared": beside[_same(one)], "alt": control_words(one),
            }  # fmt: skip
        return {
            "index": one.index,
            "name": one.name,
            "layer": one.layer,
            "channel": one.channel,
            "picture": _picture(one.picture, state.common),
            "control": control,
            "value": one.value,
            "y": y,
            "x": x,
            "box": None if one.field is None else entry.framed(shown.rule, one.field),
            "neurons": [{"channel": own[0], "y": _at(own, 1), "x": _at(own, 2), "value": value}
                        for own, value in one.neurons],
            "likeness": one.likeness,
            "null": one.null,
            "facts": facts,
            "rows": rows_of(one, facts),
            "what": "reconstruction",
            "scores": [list(pair) for pair in one.scores],
            "scores_in_words": score_words(one, shown),
            "trained_on": cards.trained_on(shown),
            "doubts": cards.doubts(shown, entry, self.networks.input(one.index, entry, state.window)),
            "seed": seed_words(one.seed, shown.classes),
            "alt": words_of(one),
            **(_contrast(shown.classes, target) if isinstance(target, State) else {}),
        }  # fmt: skip

    def _sentence(self, state: State, seen: Sequence[Seen], models: Sequence[Mapping[str, Any]]) -> str:
        if not seen:
            return ""
        if state.source == "contrast":
            said = dict.fromkeys(one["contrast"] for one in models if "contrast" in one)
        else:
            said = dict.fromkeys(one["seed"] for one in models if "seed" in one)
        layers = list(dict.fromkeys(one.layer for one in seen))
        return f"{' / '.join(said)} of {listed(layers)}, by {method_words(state.method)}"


def _same(one: Seen) -> tuple[Any, str] | None:
    """What two controls agree in that are one draw: the network and the picture; None without a control."""
    return None if one.beside is None or one.control is None else (one.beside.key[0], one.control.url)


def control_words(seen: Seen) -> str:
    """What a control shows, for a reader who hears the page."""
    assert seen.control is not None
    silent = " Silent: nothing comes back." if seen.control.silent else ""
    likeness = "none" if seen.likeness is None else signed(seen.likeness)
    return f"Control: the same network with random weights.{silent} Likeness of the reconstruction to it: {likeness}."


def score_words(seen: Seen, shown: Shown) -> str:
    """The largest class scores, the classes in words where their names are codes."""
    said = [
        f"{cards.named(shown, name)} {share:.2f}"
        for k, (name, share) in enumerate(seen.scores)
        if not k or share >= LOWEST
    ]
    return f"score of class {' · '.join(said)}" if said else ""


def rows_of(seen: Seen, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a network as the page lists them, by the names that it gives them; None for none."""
    silent = seen.value == 0 and seen.place is None
    return {
        "channel": seen.channel,
        "value": "silent here" if silent else seen.value,
        "row, column": None if seen.place is None else f"{seen.place[0]}, {seen.place[1]}",
        "likeness": seen.likeness,
        "noise": None if seen.null is None else f"< {seen.null:.2f}",
        **{name: facts.get(key) for key, name in FACTS.items()},
    }


def once(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with models, each reason once with the names that it is of."""
    reasons: dict[str, list[str]] = {}
    for one in models:
        if "error" in one:
            reasons.setdefault(one["error"], []).append(one["name"])
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _contrast(classes: Sequence[str], target: State) -> dict[str, str]:
    """Which class a contrast is for and against which, under the picture and in a sentence."""
    a, b = (None if one is None else _class_name(classes, one) for one in (target.a, target.b))
    against = "" if b is None else f", against {b}"
    return {"what": f"for {a}{against}", "contrast": f"contrast of {a} against {b or 'the mean of the others'}"}


def _class_name(classes: Sequence[str], number: int) -> str:
    return classes[number] if number < len(classes) else f"class {number}"


def _picture(picture: Picture, common: bool) -> dict[str, Any]:
    ends = around_zero(picture.scale)
    words = "silent here" if picture.silent else f"{ends}, one scale" if common else f"ends {ends}"
    return {
        "png": picture.url, "height": picture.pixels.shape[0], "width": picture.pixels.shape[1], "scale": picture.scale,
        "clipped": picture.clipped, "contrast": picture.contrast, "silent": picture.silent, "words": words,
    }  # fmt: skip


def _at(neuron: Sequence[int], place: int) -> int | None:
    return neuron[place] if len(neuron) > place else None
