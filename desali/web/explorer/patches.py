"""The nine images of the set that a channel answers to most, searched once for all channels of a layer."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from desali.comparison.answering import Answers, answers
from desali.comparison.networks import Subject
from desali.comparison.probe_set import ProbeSet, probe_set
from desali.comparison.relu_inputs import relu_inputs, resolve
from desali.comparison.tiles import Windows
from desali.errors import DesaliError, UnknownNameError
from desali.figures.drawing.mosaic import cut
from desali.output.words import listed
from desali.web.explorer.answer import Refused
from desali.web.explorer.memory import Memory
from desali.web.explorer.networks import Networks
from desali.web.explorer.shelf import Shelf
from desali.web.pixels import data_url

BUDGET = 64 * 2**20
"""Bytes of what was found that is kept."""


class Search:
    """One search, which may still run: `done` of `of` images are through."""

    def __init__(self, of: int, stopped: Callable[[], bool]) -> None:
        self.done, self.of = 0, of
        self.stopped = stopped
        self.found: Answers | None = None
        self.error = ""
        self.finished = threading.Event()

    def advance(self, count: int) -> None:
        """So many more images are about to be run.

        Raises:
            DesaliError: nobody waits for them any more.
        """
        if self.stopped():
            raise DesaliError("the search was stopped")
        self.done += count


class Patches:
    """Searches by network and layer; one runs at a time, the others wait.

    Args:
        begin: is called in the thread of each search.
    """

    def __init__(self, networks: Networks, shelf: Shelf, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._networks, self._shelf = networks, shelf
        self._turn = threading.Lock()
        self._searches: Memory[Search] = Memory(BUDGET)
        self._probes: dict[str, ProbeSet] = {}
        self.stopped = False

    def of(self, index: int, layer: str, channel: int, wait: float) -> dict[str, Any]:
        """The strongest patches of a channel, or how far the search is after `wait` seconds.

        Raises:
            Refused: there is no set of images, or no such layer or channel.
        """
        images = self._shelf.images
        one = self._networks.shown[index]
        if images is None or len(images) < 4:
            raise Refused(404, "there is no set of images to search; name one with --images DATASET")
        network = self._networks.network(index, self._shelf.entries[0])
        known = relu_inputs(network)
        names = [item.name for item in known]
        try:
            name = resolve(network, layer, names)
        except UnknownNameError:
            return {"patches": [], "searched": 0, "words": f"Images are searched at ReLU layers: {listed(names)}."}
        item = next(item for item in known if item.name == name)
        if channel >= item.channels:
            raise Refused(404, f"{one.name}: channel {channel} of {item.channels}, which count from 0")

        def make() -> tuple[Search, int]:
            search = Search(len(images), lambda: self.stopped)
            threading.Thread(target=self._run, args=(search, index, name)).start()
            return search, item.channels * 300

        search = self._searches.get((index, name), make)
        search.finished.wait(wait)
        if search.error:
            raise DesaliError(f"{one.name}: {search.error}")
        if search.found is None:
            return {"pending": True, "done": search.done, "of": search.of}
        return self._answer(search.found, index, channel, network)

    def _run(self, search: Search, index: int, layer: str) -> None:
        try:
            self._begin()
            with self._turn:
                if not self.stopped:
                    one = self._networks.shown[index]
                    found, _ = answers([one], self._probe(one), layer, advance=search.advance)
                    search.found = found[0]
        except DesaliError as error:
            search.error = str(error)
        except Exception as error:  # a thread of its own: whoever asks is told
            search.error = f"the search failed ({type(error).__name__}: {error})"
        finally:
            search.finished.set()

    def _probe(self, one: Subject) -> ProbeSet:
        rule = one.preprocessing
        key = repr(rule)
        if key not in self._probes:
            assert self._shelf.images is not None
            self._probes[key] = probe_set(self._shelf.images, preprocessing=rule)
        return self._probes[key]

    def _answer(self, found: Answers, index: int, channel: int, network: Any) -> dict[str, Any]:
        one = self._networks.shown[index]
        probe = self._probe(one)
        windows = Windows(network, found.layer)
        patches = []
        own = found.strongest.of(channel)
        size = windows(windows.middle)[2:]
        for value, place, at in own:
            position = (
                tuple(int(k) for k in np.unravel_index(at, found.layer.positions)) if found.layer.positions else ()
            )
            window = windows(position)
            entry = self._shelf[str(place)]
            picture = np.asarray(self._networks.input(index, entry, None).picture, np.float64)
            tile = cut(picture, window, (max(size[0], window[2]), max(size[1], window[3])))
            patches.append(
                {
                    "image": entry.id, "name": entry.name, "label": entry.label, "patient": entry.patient,
                    "value": value, "png": data_url(tile), "box": entry.framed(one.rule, window),
                    "alt": f"{entry.name}{f', {entry.label}' if entry.label else ''}",
                }
            )  # fmt: skip
        answer: dict[str, Any] = {"patches": patches, "searched": len(probe), "layer": found.layer.name}
        classes = ""
        if probe.labels is not None:
            answer["classes"] = dict(Counter(probe.labels[place] for _, place, _ in own))
            answer["classes_of_all"] = probe.class_counts
            classes = (
                f" Their classes: {_counted(answer['classes'])}; of all images: {_counted(answer['classes_of_all'])}."
            )
        what = f"hannel {channel} of {one.name}"
        answer["words"] = (
            f"The {len(patches)} regions of {len(probe)} images that c{what} answers to most strongly.{classes}"
            if patches
            else f"C{what} is silent on all {len(probe)} images."
        )
        return answer


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
