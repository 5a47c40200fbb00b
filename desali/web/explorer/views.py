"""What a page sees of a state: projections beside their controls, activations, the strongest channels, patches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from desali.comparison.controls import Likeness
from desali.errors import DesaliError, ImageError, NotFiniteWarning
from desali.figures.drawing.display import summarise_activation
from desali.figures.facts import method_words
from desali.output.words import listed
from desali.web.explorer import commands
from desali.web.explorer.answer import Refused
from desali.web.explorer.class_pairs import targets
from desali.web.explorer.draws import Draws, draws
from desali.web.explorer.facts import page_entries, with_draws
from desali.web.explorer.followed import Followed
from desali.web.explorer.hands import Hands
from desali.web.explorer.networks import Networks
from desali.web.explorer.patches import Patches
from desali.web.explorer.projection import Seen, common_scale, see
from desali.web.explorer.seeding import largest, layer_of
from desali.web.explorer.shelf import Entry, Shelf
from desali.web.explorer.state import State, needed, state_of

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
            recorded = self.networks.recorded(index, entry)
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
        recorded = self.networks.recorded(index, entry)
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
        seen, models = self._looked(state, entry, stale)
        found = self._drawn(state, entry, seen, stale)
        told = [with_draws(one, found.get(one["index"])) for one in models if "error" not in one]
        return {"models": [{name: one[name] for name in ("index", "draws", "alt", "control_alt")} for one in told]}

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
            models = [with_draws(one, drawn.get(one["index"])) for one in models]
        command = commands.command(state, self.networks, entry, seen, self._origin)
        sentence = self._sentence(state, seen, models)
        latency = round(1000 * (time.perf_counter() - start), 2)
        answer = {"models": models, "latency_ms": latency, "command": command, "sentence": sentence}
        return answer, seen, entry

    def _drawn(self, state: State, entry: Entry, seen: Sequence[Seen], stale: Stale) -> dict[int, Draws]:
        def wanted() -> None:
            if stale():
                raise Refused(409, "a newer click came")

        return draws(self.networks, seen, entry, state, self.hands, wanted)

    def _looked(self, state: State, entry: Entry, stale: Stale) -> tuple[list[Seen], list[dict[str, Any]]]:
        alike = Likeness()
        seen: dict[int, Seen] = {}
        facts: dict[int, dict[str, Any]] = {}
        after = None if self.followed is None else self.followed.after
        classes, by = targets(self.networks, state, entry, after) if state.source == "contrast" else ({}, None)

        def of(index: int) -> dict[str, Any]:
            channel = state.channel
            network = None
            if self.followed is not None and channel is not None and state.source in ("neuron", "channel"):
                network = self.networks.recorded(index, entry).recording.network
                channel = self._channel(state, index, network, state.layer, channel)
            elif state.partner and self.followed is None and state.source != "contrast":
                self._channel(state, index, None, state.layer, channel)
            own = classes.get(index, state)
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
        shown = page_entries(self.networks, ordered, entry, state, classes, facts)
        for index, one in shown.items():
            one["role"] = self._role(index, state)
        if by is not None and by in shown:
            name = self.networks.shown[by].name
            for one in shown.values():
                one["contrast"] += f" (the class that {name} names)"
        return ordered, [shown.get(one["index"], one) for one in models]

    def _each(self, state: State, stale: Stale, of: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
        """What each of the models says, or why it does not and whether that is the image; the pair stands first."""

        def one(index: int) -> dict[str, Any]:
            if stale():
                raise Refused(409, "a newer click came")
            try:
                return of(index)
            except (DesaliError, NotFiniteWarning) as error:
                name = self.networks.shown[index].name
                said = str(error).removeprefix(f"{name}: ")
                return {"index": index, "name": name, "error": said, "unfit": isinstance(error, ImageError)}

        return self.hands.each(one, sorted(self.networks.chosen(state.models), key=self._place))

    def _role(self, index: int, state: State) -> str:
        """What a network is in the lineage, and whether its channel is one by number alone; "" without a lineage."""
        if self.followed is None:
            return ""
        pair = {self.followed.before: "before", self.followed.after: "after"}
        return pair.get(index, "same number" if state.source in ("neuron", "channel") else "")

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

    def _sentence(self, state: State, seen: Sequence[Seen], models: Sequence[Mapping[str, Any]]) -> str:
        if not seen:
            return ""
        if state.source == "contrast":
            said = dict.fromkeys(one["contrast"] for one in models if "contrast" in one)
        else:
            said = dict.fromkeys(one["seed"] for one in models if "seed" in one)
        layers = list(dict.fromkeys(one.layer for one in seen))
        return f"{' / '.join(said)} of {listed(layers)}, by {method_words(state.method)}"
