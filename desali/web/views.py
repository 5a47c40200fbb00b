"""What a page sees of a state: projections beside their controls, activations, the strongest channels, patches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from desali.comparison.controls import Likeness
from desali.errors import DesaliError
from desali.figures.captions import listed
from desali.figures.drawing.display import summarise_activation
from desali.figures.facts import method_words, seed_words
from desali.web import commands
from desali.web.answer import Refused
from desali.web.asked import State, needed, state_of
from desali.web.followed import Followed
from desali.web.hands import Hands
from desali.web.networks import Networks
from desali.web.patches import Patches
from desali.web.seen import Picture, Seen, layer_of, see, words_of
from desali.web.shelf import Entry, Shelf

MOST_STRONGEST = 64
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
        tops, places = flat.max(1)
        order = tops.argsort(descending=True, stable=True).tolist()[:MOST_STRONGEST]
        wide = values.shape[-1] if values.dim() == 3 else 1
        found = [
            {"channel": k, "value": float(tops[k]), "y": int(places[k]) // wide, "x": int(places[k]) % wide}
            for k in order
        ]
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

    def numbers(self, state: State, stale: Stale) -> tuple[dict[str, Any], list[Seen], Entry]:
        start = time.perf_counter()
        entry = self.shelf[state.image]
        seen, models = self._looked(state, entry, stale)
        command = commands.command(state, self.networks, entry, seen, self._origin)
        sentence = self._sentence(state, seen)
        latency = round(1000 * (time.perf_counter() - start), 2)
        answer = {"models": models, "latency_ms": latency, "command": command, "sentence": sentence}
        return answer, seen, entry

    def _looked(self, state: State, entry: Entry, stale: Stale) -> tuple[list[Seen], list[dict[str, Any]]]:
        alike = Likeness()
        seen: dict[int, Seen] = {}
        targets = self._targets(state, entry) if state.source == "contrast" else {}

        def of(index: int) -> dict[str, Any]:
            channel = state.channel
            network = None
            if self.followed is not None and channel is not None and state.source in ("neuron", "channel"):
                network = self.networks.recorded(index, entry, state.window).recording.network
                channel = self._channel(state, index, network, state.layer, channel)
            elif state.partner:
                self._channel(state, index, None, state.layer, channel)
            own = targets.get(index, state)
            one = see(self.networks, index, entry, own, channel, alike)
            seen[index] = one
            facts: dict[str, Any] = {}
            if self.followed is not None and network is not None:
                facts = self.followed.facts(index, network, one.layer, one.channel, state.channel)
            return self._shown(one, entry, facts)

        models = self._each(state, stale, of)
        return [seen[one["index"]] for one in models if one["index"] in seen], models

    def _each(self, state: State, stale: Stale, of: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
        """What each of the models says, or why it does not."""

        def one(index: int) -> dict[str, Any]:
            if stale():
                raise Refused(409, "a newer click came")
            try:
                return of(index)
            except DesaliError as error:
                return {"index": index, "name": self.networks.shown[index].name, "error": str(error)}

        return self.hands.each(one, self.networks.chosen(state.models))

    def _channel(self, state: State, index: int, network: Any, layer: str, channel: int | None) -> int | None:
        """The channel of a network that the state's stands for."""
        if channel is None or not state.partner:
            return channel
        if self.followed is None:
            raise Refused(400, "no lineage is known, so no partners; start with --lineage FILE")
        return self.followed.channel(index, network, layer, channel, self.networks.shown[index].name)

    def _targets(self, state: State, entry: Entry) -> dict[int, State]:
        """The state with the classes of a contrast in each model: of the first one, by name where there are names.

        Without a class it is the one that the first model predicts.
        """
        places = self.networks.chosen(state.models)
        names = [self.networks.shown[index].classes for index in places]
        a = state.a
        if a is None:
            recorded = self.networks.recorded(places[0], entry, state.window)
            layer = layer_of(state, recorded, self.networks, places[0])
            with recorded.lock:
                a = int(recorded.recording.activation(layer)[0].argmax())
        given = [a, *([] if state.b is None else [state.b])]
        found = {}
        for index, own in zip(places, names, strict=True):
            known = all(number < len(names[0]) and names[0][number] in own for number in given)
            there = [own.index(names[0][number]) if known else number for number in given]
            found[index] = replace(state, a=there[0], b=there[1] if len(there) > 1 else None)
        return found

    def _shown(self, one: Seen, entry: Entry, facts: dict[str, Any]) -> dict[str, Any]:
        rule = self.networks.shown[one.index].rule
        classes = self.networks.shown[one.index].classes
        y, x = one.place or (None, None)
        return {
            "index": one.index,
            "name": one.name,
            "layer": one.layer,
            "channel": one.channel,
            "picture": _picture(one.picture),
            "control": None if one.control is None else _picture(one.control),
            "value": one.value,
            "y": y,
            "x": x,
            "box": None if one.field is None else entry.framed(rule, one.field),
            "neurons": [{"channel": own[0], "y": _at(own, 1), "x": _at(own, 2), "value": value}
                        for own, value in one.neurons],
            "likeness": one.likeness,
            "null": one.null,
            "facts": facts,
            "answer": [list(pair) for pair in one.answer],
            "seed": seed_words(one.seed, classes),
            "alt": words_of(one),
        }  # fmt: skip

    def _sentence(self, state: State, seen: Sequence[Seen]) -> str:
        if not seen:
            return ""
        said = list(dict.fromkeys(seed_words(one.seed, self.networks.shown[one.index].classes) for one in seen))
        if state.source == "contrast" and state.b is not None:
            classes = self.networks.shown[seen[0].index].classes
            names = [classes[k] if k < len(classes) else f"class {k}" for k in (state.a or 0, state.b)]
            said = [f"contrast of {names[0]} against {names[1]}"]
        layers = list(dict.fromkeys(one.layer for one in seen))
        return f"{' / '.join(said)} of {listed(layers)}, by {method_words(state.method)}"


def _picture(picture: Picture) -> dict[str, Any]:
    return {
        "png": picture.url, "height": picture.pixels.shape[0], "width": picture.pixels.shape[1], "scale": picture.scale,
        "clipped": picture.clipped, "contrast": picture.contrast, "silent": picture.silent,
    }  # fmt: skip


def _at(neuron: Sequence[int], place: int) -> int | None:
    return neuron[place] if len(neuron) > place else None
