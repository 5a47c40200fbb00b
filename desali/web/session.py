"""The explorer without a server: a state goes in, JSON and pictures come out.

Models, images and files are those that it was made with; what a page sends are places in them and numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from desali import __version__
from desali.comparison.controls import Likeness
from desali.data.roi import Roi
from desali.errors import DesaliError, ImageError, NotFiniteWarning
from desali.figures.captions import listed
from desali.figures.facts import method_words, seed_words
from desali.figures.inputs import Plain, prepare
from desali.limits import IMAGE_PIXELS
from desali.reversal.methods import METHODS
from desali.web import commands, exported
from desali.web.answer import PNG, RAW, SVG, Answer, Refused, of_error, of_json
from desali.web.asked import State, needed, state_of, whole
from desali.web.followed import Followed
from desali.web.networks import Networks
from desali.web.patches import Patches
from desali.web.pixels import coloured, data_url, png
from desali.web.seen import Picture, Seen, layer_of, see, words_of
from desali.web.shelf import Entry, Shelf

MOST_STRONGEST = 64
UPLOAD = 64 * 2**20
"""Bytes of a dropped file."""
WAIT = 0.5
"""Seconds that a request waits for a search before it says how far that is."""

Stale = Callable[[], bool]
Decode = Callable[[bytes, str, int | None], Roi]


def _never() -> bool:
    return False


class Session:
    """One explorer.

    Args:
        networks, shelf: its models and images.
        followed: a lineage of two of the models.
        notes: what was passed over or refused at the start.
        origin: what the command line named, for the commands that a page copies; None: no command line did.
        decode: makes an image of a dropped file's bytes, its name, and a page of it; it must survive whatever they are.
    """

    def __init__(
        self,
        networks: Networks,
        shelf: Shelf,
        decode: Decode,
        followed: Followed | None = None,
        notes: Sequence[str] = (),
        origin: commands.Origin | None = None,
    ) -> None:
        self.networks, self.shelf, self.followed = networks, shelf, followed
        self.notes = [*notes, *shelf.notes]
        self._origin = origin
        self._decode = decode
        self._patches = Patches(networks, shelf)
        self._layers: dict[int, list[dict[str, Any]]] = {}
        self._asks: dict[str, Callable[[Mapping[str, str], Stale], Answer]] = {
            "session": self._session,
            "image": self._image,
            "image-values": self._image_values,
            "activation": self._activation,
            "channels": self._channels,
            "view": self._view,
            "contrast": lambda params, stale: self._view({**params, "from": "contrast"}, stale),
            "patches": self._of_patches,
            "export": self._export,
        }

    @property
    def known(self) -> list[str]:
        """What can be asked for."""
        return [*self._asks, "images"]

    def answer(self, what: str, params: Mapping[str, str], body: bytes | None = None, stale: Stale = _never) -> Answer:
        """Answer a request; nothing that a page sends raises.

        Args:
            what: one of `known`.
            params: the state and what else it takes, all text.
            body: of "images" the bytes of a file.
            stale: whether nobody waits for the answer any more; it is asked between two networks.
        """
        try:
            if what == "images":
                return self._drop(params, body)
            if what not in self._asks:
                raise Refused(404, f"{what[:40]}: nothing of that name can be asked for")
            return self._asks[what](params, stale)
        except Refused as error:
            return of_error(error)
        except (DesaliError, NotFiniteWarning) as error:
            return of_error(error)
        except MemoryError:
            return of_error(DesaliError("the machine has no memory left for this; show fewer or smaller models"), 503)
        except Exception as error:  # the page must go on whatever a module of others does
            return of_error(DesaliError(f"{type(error).__name__}: {error}"), 500)

    def warm(self) -> None:
        """Record the first image with every network and control, so that the first click finds them."""
        entry = next(iter(self.shelf.entries), None)
        for index in range(len(self.networks)):
            if self._patches.stopped:
                return
            if entry is None:
                self.networks.twin(index)
                continue
            try:
                layers = self._layers_of(index, entry)
            except DesaliError:
                continue
            spatial = [one["name"] for one in layers if one["spatial"] and one["rectifies"]] or [layers[0]["name"]]
            for layer in (spatial[0], spatial[-1]):
                for source in ("neuron", "channel"):
                    asked = {"image": entry.id, "layer": layer, "channel": "0", "from": source, "models": str(index)}
                    self.answer("view", asked, None, self._stopped)
        if entry is not None:
            self.answer("contrast", {"image": entry.id}, None, self._stopped)

    def close(self) -> None:
        """End what goes on in the background, and begin nothing more of it."""
        self._patches.stopped = True

    def _stopped(self) -> bool:
        return self._patches.stopped

    def _layers_of(self, index: int, entry: Entry | None) -> list[dict[str, Any]]:
        if index not in self._layers:
            self._layers[index] = self.networks.layers(index, entry)
        return self._layers[index]

    def _session(self, params: Mapping[str, str], stale: Stale) -> Answer:
        entries = self.shelf.entries
        first = entries[0] if entries else None
        models = []
        for index in range(len(self.networks)):
            facts = self.networks.facts(index)
            try:
                models.append({**facts, "layers": self._layers_of(index, first), "note": ""})
            except DesaliError as error:
                models.append({**facts, "layers": [], "note": str(error)})
        groups = set(self.networks.groups)
        notes = list(self.notes)
        if len(groups) > 1:
            notes.append(
                "The models are of different architectures: layers and channels are comparable within one alone, and "
                "each architecture has its own panels and its own network with random weights."
            )
        if self.networks.without_control:
            notes.append(self.networks.without_control)
        return of_json(
            {
                "version": __version__,
                "methods": list(METHODS),
                "controls": True,
                "models": models,
                "images": [self._listed(entry) for entry in entries],
                "lineage": None if self.followed is None else self.followed.to_dict(),
                "patches": self.shelf.images is not None,
                "notes": notes,
                "limits": {"upload_bytes": UPLOAD, "pixels": IMAGE_PIXELS.value},
            }
        )

    def _listed(self, entry: Entry) -> dict[str, Any]:
        window = self.networks.window(entry)
        return {
            "id": entry.id, "name": entry.name, "label": entry.label, "patient": entry.patient,
            "width": entry.size[1], "height": entry.size[0], "hu": entry.hu,
            "window": None if window is None else list(window),
        }  # fmt: skip

    def _image(self, params: Mapping[str, str], stale: Stale) -> Answer:
        state = state_of(params)
        entry = self.shelf[state.image]
        image = entry.load()
        rule: Any = Plain(None) if isinstance(image, Roi) else self.networks.shown[0].rule
        window = (state.window or self.networks.window(entry)) if entry.hu else None
        return Answer(200, PNG, png(prepare(image, rule, window).picture))

    def _image_values(self, params: Mapping[str, str], stale: Stale) -> Answer:
        entry = self.shelf[state_of(params).image]
        image = entry.load()
        if not isinstance(image, Roi) or not entry.hu:
            raise Refused(415, f"{entry.name}: holds display values, not HU")
        return Answer(200, RAW, np.clip(np.rint(image.pixels), -32768, 32767).astype("<i2").tobytes())

    def _channel(self, state: State, index: int, network: Any, layer: str, channel: int | None) -> int | None:
        """The channel of a network that the state's stands for."""
        if channel is None or not state.partner:
            return channel
        if self.followed is None:
            raise Refused(400, "no lineage is known, so no partners; start with --lineage FILE")
        return self.followed.channel(index, network, layer, channel, self.networks.shown[index].name)

    def _activation(self, params: Mapping[str, str], stale: Stale) -> Answer:
        state = state_of(params)
        entry = self.shelf[state.image]

        def of(index: int) -> dict[str, Any]:
            from desali.figures.drawing.display import summarise_activation

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

        return of_json({"models": self._each(state, stale, of)})

    def _channels(self, params: Mapping[str, str], stale: Stale) -> Answer:
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
        return of_json({"strongest": found, "channels": len(values)})

    def _each(self, state: State, stale: Stale, of: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
        """What each of the models says, or why it does not."""
        found = []
        for index in self.networks.chosen(state.models):
            if stale():
                raise Refused(409, "a newer click came")
            try:
                found.append(of(index))
            except DesaliError as error:
                found.append({"index": index, "name": self.networks.shown[index].name, "error": str(error)})
        return found

    def _looked(self, state: State, entry: Entry, stale: Stale) -> tuple[list[Seen], list[dict[str, Any]]]:
        alike = Likeness()
        seen: list[Seen] = []
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
            seen.append(one)
            facts: dict[str, Any] = {}
            if self.followed is not None and network is not None:
                facts = self.followed.facts(index, network, one.layer, one.channel, state.channel)
            return self._shown(one, entry, facts)

        return seen, self._each(state, stale, of)

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

    def _view(self, params: Mapping[str, str], stale: Stale) -> Answer:
        return of_json(self._numbers(state_of(params), stale)[0])

    def _numbers(self, state: State, stale: Stale) -> tuple[dict[str, Any], list[Seen], Entry]:
        start = time.perf_counter()
        entry = self.shelf[state.image]
        seen, models = self._looked(state, entry, stale)
        command = commands.command(state, self.networks, entry, seen, self._origin)
        sentence = self._sentence(state, seen)
        latency = round(1000 * (time.perf_counter() - start), 2)
        answer = {"models": models, "latency_ms": latency, "command": command, "sentence": sentence}
        return answer, seen, entry

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

    def _of_patches(self, params: Mapping[str, str], stale: Stale) -> Answer:
        state = state_of(params)
        index = self.networks.chosen([needed(params, "model")])[0]
        channel = needed(params, "channel")
        if not state.layer:
            raise Refused(400, "layer is missing: name one")
        if state.partner:
            network = self.networks.network(index, next(iter(self.shelf.entries), None))
            channel = self._channel(state, index, network, state.layer, channel) or 0
        return of_json({"channel": channel, **self._patches.of(index, state.layer, channel, WAIT)})

    def _export(self, params: Mapping[str, str], stale: Stale) -> Answer:
        kind = params.get("format", "png")
        if kind not in ("png", "svg", "json"):
            raise Refused(400, f"format={kind[:40]}: expected png, svg or json")
        state = state_of(params)
        numbers, seen, entry = self._numbers(state, stale)
        errors = [f"{one['name']}: {one['error']}." for one in numbers["models"] if "error" in one]
        if not seen:
            raise Refused(400, " ".join(errors) or "no model is shown")
        record = exported.record_of(numbers, state, self.networks, entry, [one.index for one in seen])
        if kind == "json":
            return of_json(record)
        grid = exported.grid_of(seen, state, self.networks, entry, numbers["sentence"], errors)
        body = exported.drawn(grid, record, kind)
        return Answer(200, PNG if kind == "png" else SVG, body)

    def _drop(self, params: Mapping[str, str], body: bytes | None) -> Answer:
        name = _name(params.get("name", ""))
        if not body:
            raise Refused(400, f"{name}: no bytes came; drop the file again")
        if len(body) > UPLOAD:
            raise Refused(413, f"{name}: {len(body) >> 20} MiB, more than the {UPLOAD >> 20} MiB accepted")
        try:
            image = self._decode(body, name, whole(params, "slice", 1))
        except ImageError as error:
            raise Refused(415, str(error)) from error
        return of_json(self._listed(self.shelf.drop(name, image)))


def _picture(picture: Picture) -> dict[str, Any]:
    pixels = coloured(picture)
    return {
        "png": data_url(pixels), "height": pixels.shape[0], "width": pixels.shape[1], "scale": picture.scale,
        "clipped": picture.clipped, "contrast": picture.contrast, "silent": picture.silent,
    }  # fmt: skip


def _at(neuron: Sequence[int], place: int) -> int | None:
    return neuron[place] if len(neuron) > place else None


def _name(given: str) -> str:
    """The name of a dropped file as a page may show it and a command may hold it."""
    last = given.replace("\\", "/").rpartition("/")[2][:200]
    return "".join(letter for letter in last if letter.isprintable()).strip() or "dropped image"
