"""The explorer without a server: a state goes in, JSON and pictures come out.

Models, images and files are those that it was made with; what a page sends are places in them and numbers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from desali import __version__
from desali.data.roi import Roi
from desali.errors import DesaliError, NotFiniteWarning
from desali.figures.inputs import Plain, prepare
from desali.limits import IMAGE_PIXELS
from desali.reversal.methods import METHODS
from desali.web.explorer import address, commands, export, meaning
from desali.web.explorer.answer import PNG, RAW, SVG, Answer, Refused, of_error, of_json
from desali.web.explorer.dropped import UPLOAD, Decode, drop
from desali.web.explorer.facts import once
from desali.web.explorer.followed import Followed
from desali.web.explorer.networks import Networks
from desali.web.explorer.shelf import Entry, Shelf
from desali.web.explorer.state import state_of, whole
from desali.web.explorer.views import Params, Stale, Views
from desali.web.pictures import within
from desali.web.pixels import png


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
        self.views = Views(networks, shelf, followed, origin)
        self.notes = [*notes, *shelf.notes]
        self._decode = decode
        self._layers: dict[int, list[dict[str, Any]]] = {}
        self._unfit: dict[int, str] = {}
        self._asks: dict[str, Callable[[Params, Stale], Answer]] = {
            "session": self._session,
            "address": self._address,
            "image": self._image,
            "image-values": self._image_values,
            "export": self._export,
        }
        views = self.views
        self._views: dict[str, Callable[[Params, Stale], dict[str, Any]]] = {
            "activation": views.activation,
            "channels": views.channels,
            "view": views.view,
            "likeness": views.likeness,
            "contrast": lambda params, stale: views.view({**params, "from": "contrast"}, stale),
            "patches": views.search,
        }

    @property
    def known(self) -> list[str]:
        """What can be asked for."""
        return [*self._asks, *self._views, "images"]

    def answer(self, what: str, params: Params, body: bytes | None = None, stale: Stale = _never) -> Answer:
        """Answer a request; nothing that a page sends raises.

        Args:
            what: one of `known`.
            params: the state and what else it takes, all text.
            body: of "images" the bytes of a file.
            stale: whether nobody waits for the answer any more; it is asked between two networks.
        """
        try:
            if what == "images":
                return of_json(self._listed(drop(self.shelf, self._decode, params, body)))
            if what in self._views:
                return of_json(self._views[what](params, stale))
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
        groups = self.networks.groups
        for group in dict.fromkeys(groups):
            layers: list[dict[str, Any]] = []
            for index in (k for k, own in enumerate(groups) if own == group):
                if self._stopped():
                    return
                if entry is None:
                    self.networks.twin(index)
                    continue
                with contextlib.suppress(DesaliError):
                    layers = self._layers_of(index, entry)
            if not layers or entry is None:
                continue
            models = ",".join(str(k) for k, own in enumerate(groups) if own == group)
            spatial = [one["name"] for one in layers if one["spatial"] and one["rectifies"]] or [layers[0]["name"]]
            for layer in (spatial[0], spatial[-1]):
                for source in ("neuron", "channel"):
                    asked = {"image": entry.id, "layer": layer, "channel": "0", "from": source, "models": models}
                    self.answer("view", asked, None, self._stopped)
        if entry is not None:
            self.answer("contrast", {"image": entry.id}, None, self._stopped)

    def close(self) -> None:
        """End what goes on in the background, and begin nothing more of it."""
        self.views.patches.stopped = True
        self.views.hands.close()

    def _stopped(self) -> bool:
        return self.views.patches.stopped

    def _layers_of(self, index: int, entry: Entry | None) -> list[dict[str, Any]]:
        if index not in self._layers:
            self._layers[index] = self.networks.layers(index, entry)
        return self._layers[index]

    def _looked_at(self, index: int, first: Entry | None) -> tuple[list[dict[str, Any]], str]:
        """The layers of a network, and why it does not take the first image."""
        if index not in self._unfit:
            try:
                return self._layers_of(index, first), ""
            except DesaliError as error:
                self._unfit[index] = str(error).removeprefix(f"{self.networks.shown[index].name}: ")
        if index not in self._layers and first is None:
            return [], self._unfit.pop(index)
        if index not in self._layers:
            try:
                found = self.networks.layers_without(index)
            except DesaliError:
                found = []
            if not found:
                return [], self._unfit.pop(index)  # an image that comes may tell
            self._layers[index] = found
        return self._layers[index], self._unfit[index]

    def _session(self, params: Params, stale: Stale) -> Answer:
        entries = self.shelf.entries
        first = entries[0] if entries else None
        models = []
        for index in range(len(self.networks)):
            layers, unfit = self._looked_at(index, first)
            models.append({**self.networks.facts(index), "layers": layers, "unfit": unfit})
        notes = [*self.notes, *meaning.notes(self.networks, self.followed)]
        return of_json(
            {
                "version": __version__,
                "methods": list(METHODS),
                "controls": True,
                "models": models,
                "classes": self.networks.named_classes(),
                "images": [self._listed(entry) for entry in entries],
                "lineage": None if self.followed is None else self.followed.to_dict(),
                "patches": self.shelf.images is not None,
                "notes": notes,
                "meaning": meaning.words(self.networks.draws, self.followed),
                "keys": meaning.KEYS,
                "limits": {"upload_bytes": UPLOAD, "pixels": IMAGE_PIXELS.value},
            }
        )

    def _address(self, params: Params, stale: Stale) -> Answer:
        """What a page takes of the fragment of its address, and what it must say of the rest."""
        groups = list(dict.fromkeys(self.networks.groups))
        layers: list[list[dict[str, Any]]] = [[] for _ in groups]
        for index, group in enumerate(self.networks.groups):
            place = groups.index(group)
            layers[place] = layers[place] or self._layers.get(index, [])
        kept, problems = address.checked(params, self.networks, self.shelf, layers)
        return of_json(
            {"state": kept, "problems": [f"The address: {one}{'' if one.endswith('?') else '.'}" for one in problems]}
        )

    def _listed(self, entry: Entry) -> dict[str, Any]:
        window = self.networks.window(entry)
        return {
            "id": entry.id, "name": entry.name, "label": entry.label, "patient": entry.patient,
            "origin": entry.origin, "width": entry.size[1], "height": entry.size[0], "hu": entry.hu,
            "window": None if window is None else list(window),
        }  # fmt: skip

    def _image(self, params: Params, stale: Stale) -> Answer:
        state = state_of(params)
        entry = self.shelf[state.image]
        image = entry.load()
        rule: Any = Plain(None) if isinstance(image, Roi) else self.networks.shown[0].rule
        window = (state.window or self.networks.window(entry)) if entry.hu else None
        picture = prepare(image, rule, window).picture
        side = whole(params, "side", 16, 4096)
        return Answer(200, PNG, png(picture if side is None else within(picture, side)))

    def _image_values(self, params: Params, stale: Stale) -> Answer:
        entry = self.shelf[state_of(params).image]
        image = entry.load()
        if not isinstance(image, Roi) or not entry.hu:
            raise Refused(415, f"{entry.name}: holds display values, not HU")
        return Answer(200, RAW, np.clip(np.rint(image.pixels), -32768, 32767).astype("<i2").tobytes())

    def _export(self, params: Params, stale: Stale) -> Answer:
        kind = params.get("format", "png")
        if kind not in ("png", "svg", "json"):
            raise Refused(400, f"format={kind[:40]}: expected png, svg or json")
        state = state_of(params)
        numbers, seen, entry = self.views.numbers(state, stale, every=True)
        errors = [f"{one}." for one in once(numbers["models"])]
        if not seen:
            raise Refused(400, " ".join(errors) or "no model is shown")
        record = export.record_of(numbers, state, self.networks, entry, [one.index for one in seen])
        if kind == "json":
            return of_json(record)
        grid = export.grid_of(seen, state, self.networks, entry, numbers, errors)
        body = export.drawn(grid, record, kind)
        return Answer(200, PNG if kind == "png" else SVG, body)
