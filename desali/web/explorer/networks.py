"""The networks of the explorer with their random twins, and recordings of them, kept by network and image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali.data.preprocess import Preprocessing
from desali.data.roi import Roi
from desali.errors import DesaliError, ImageError, UnknownNameError
from desali.figures.inputs import Input, prepare, windowed
from desali.figures.looking import explained, record_one
from desali.figures.settings import Settings
from desali.figures.sources import controls
from desali.figures.subjects import Models, Shown, subjects
from desali.models.modules import kind_of, shapes_of
from desali.web.explorer import cards
from desali.web.explorer.answer import Refused
from desali.web.explorer.fitting import Fitting
from desali.web.explorer.layers import layers_of, unknown_layer
from desali.web.explorer.memory import Memory
from desali.web.explorer.shelf import Entry
from desali.web.options import DRAWS, MOST_DRAWS

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from desali.reversal.recording import Recording
    from desali.web.explorer.projection import Projected

BUDGET = 2**30
"""Bytes of recordings that are kept."""
INPUTS = 128 * 2**20
"""Bytes of prepared images that are kept."""
VIEWS = 64 * 2**20
"""Bytes of maps that are kept."""
LIKENESSES = 2**20
"""Bytes of likenesses that are kept, about a KiB each with what they are kept by."""


@dataclass(frozen=True, eq=False)
class LockedRecording:
    """A recording, what it is kept by, and the lock under which one thread at a time reads it."""

    key: tuple[Any, ...]
    recording: Recording
    lock: threading.Lock


class Networks:
    """Networks in their order; each brings its own preprocessing, and its architecture twins with random weights.

    Args:
        models: name -> a `torch.nn.Module` in evaluation mode, or what `desali.load` returns.
        specs: what the command line calls each; "" where it cannot.
        random_seed: of the first twin's weights, as the figures take it; the next one's is one more.
        budget: bytes of recordings that are kept.
        draws: twins of each architecture; all but the first are drawn when their numbers are asked for.
    """

    def __init__(
        self,
        models: Models,
        specs: Mapping[str, str] | None = None,
        device: str | torch.device | None = None,
        random_seed: int = Settings.random_seed,
        budget: int = BUDGET,
        draws: int = DRAWS,
    ) -> None:
        if isinstance(draws, bool) or not isinstance(draws, int) or not 1 <= draws <= MOST_DRAWS:
            raise DesaliError(f"random_networks must be a whole number from 1 to {MOST_DRAWS}, got {draws!r}")
        self.shown = subjects(models, device=device)
        self.specs = [(specs or {}).get(one.name, "") for one in self.shown]
        kinds = [(kind_of(one.model), shapes_of(one.model)) for one in self.shown]
        known = list(dict.fromkeys(kinds))
        self.groups = [known.index(kind) for kind in kinds]
        self.classes = list(dict.fromkeys(name for one in self.shown for name in one.classes))
        self.random_seed, self.draws = random_seed, draws
        self._settings = Settings()
        self._lock = threading.Lock()
        self._twins: dict[Any, nn.Module | None] = {}
        self._fitting = Fitting(self.shown)
        self.without_control = ""
        self._inputs: Memory[Input] = Memory(INPUTS)
        self.recordings: Memory[LockedRecording] = Memory(budget)
        self.views: Memory[Projected] = Memory(VIEWS)
        self._likenesses: Memory[float | None] = Memory(LIKENESSES)
        self._capturing = threading.Lock()
        self._captured: set[tuple[Any, ...]] = set()

    def __len__(self) -> int:
        return len(self.shown)

    def chosen(self, models: Sequence[int] | None) -> list[int]:
        """The places that were asked for; None: all.

        Raises:
            Refused: a place that is none.
        """
        if models is None:
            return list(range(len(self)))
        for index in models:
            if index >= len(self):
                raise Refused(404, f"model {index}: there are {len(self)}, from 0")
        return list(models)

    def twin(self, index: int, draw: int = 0) -> nn.Module | None:
        """A network with random weights beside a network; None where there cannot be one.

        Networks of one architecture share it. With another number of classes it has another last layer, and the same
        weights before that, which are drawn first.

        Args:
            draw: which of them, from 0.
        """
        one = self.shown[index]
        shapes = tuple((name, tuple(own.shape)) for name, own in one.model.named_parameters())
        key = (self.groups[index], shapes, draw)
        with self._lock:
            if key not in self._twins:
                made, missing = controls([one], (self.random_seed + draw) % 2**63, 1)
                self._twins[key] = made[one.name][0].model if one.name in made else None
                if not draw:
                    self.without_control = f"{self.without_control} {missing}".strip()
            return self._twins[key]

    def input(self, index: int, entry: Entry) -> Input:
        """An image as a network takes it; HU through the network's own window.

        Raises:
            ImageError: it does not fit.
        """
        one = self.shown[index]

        def make() -> tuple[Input, int]:
            try:
                made = prepare(entry.load(), one.rule)
            except ImageError as error:
                raise ImageError(f"{one.name}: {error}") from error
            return made, made.tensor.nbytes + made.picture.nbytes

        return self._inputs.get((index, entry.digest), make)

    def window(self, entry: Entry) -> tuple[float, float] | None:
        """(centre, width) in HU that a page shows the image with unless told otherwise; None for display values."""
        image = entry.load()
        if not (isinstance(image, Roi) and entry.hu):
            return None
        level, width = windowed(image, self.shown[0].rule, None).window
        return float(level), float(width)

    def recorded(self, index: int, entry: Entry, twin: nn.Module | None = None) -> LockedRecording:
        """The recording of an image by a network, or by its twin; made once.

        Raises:
            DesaliError: the image does not fit, or the network cannot be captured.
        """
        one = self.shown[index]
        model = one.model if twin is None else twin
        seen = self.input(index, entry)
        key = (id(model), repr(one.rule), entry.digest)

        def make() -> tuple[LockedRecording, int]:
            with self._fitting.of(index, seen.tensor):
                self._capture(index, model, seen)
                made = record_one(one, model, seen, self._settings)
            return LockedRecording(key, made, threading.Lock()), made.nbytes

        return self.recordings.get(key, make)

    def _capture(self, index: int, model: nn.Module, seen: Input) -> None:
        """One export for all networks of an architecture, whichever thread comes first."""
        from desali.reversal.graph.capture import capture
        from desali.reversal.graph.share import adopt

        with self._capturing:
            key = (id(model), seen.tensor.shape)
            if key in self._captured:
                return
            for other in (self.shown[k].model for k in range(len(self)) if self.groups[k] == self.groups[index]):
                adopt(model, other)
            one = self.shown[index]
            with explained(one, seen.tensor):
                capture(model, seen.tensor.unsqueeze(0).to(one.device))
            self._captured.add(key)

    def likeness(self, key: tuple[Any, ...], make: Callable[[], float | None]) -> float | None:
        """That of two maps, made once."""
        return self._likenesses.get(key, lambda: (make(), 2**10))

    def layers(self, index: int, entry: Entry | None) -> list[dict[str, Any]]:
        """The layers of a network in forward order.

        Args:
            entry: an image, for a module that takes images of any size.
        """
        return layers_of(self.network(index, entry))

    def network(self, index: int, entry: Entry | None) -> Any:
        """The captured network."""
        import torch

        one = self.shown[index]
        if entry is not None:
            return self._captured_on(index, self.input(index, entry).tensor)
        if not isinstance(one.rule, Preprocessing):
            raise DesaliError(f"{one.name}: takes images of any size; drop an image to see its layers")
        return self._captured_on(index, torch.zeros(one.rule.channels, one.rule.size, one.rule.size))

    def _captured_on(self, index: int, values: Tensor) -> Any:
        from desali.reversal.graph.capture import capture
        from desali.reversal.graph.share import adopt

        one = self.shown[index]
        for other in self.shown[:index]:
            adopt(one.model, other.model)
        with self._fitting.of(index, values), explained(one, values):
            return capture(one.model, values.unsqueeze(0).to(one.device))

    def layers_without(self, index: int) -> list[dict[str, Any]]:
        """The layers of a network that the first image does not fit, for images of a size that it runs on."""
        import torch

        side = self._fitting.side(index)
        if side is None:
            return []
        return layers_of(self._captured_on(index, torch.zeros(self.shown[index].rule.channels or 3, side, side)))

    def facts(self, index: int) -> dict[str, Any]:
        """What a page says of a network, without its layers."""
        one = self.shown[index]
        rule = one.rule
        size = rule.size if isinstance(rule, Preprocessing) else None
        return {
            "index": index, "name": one.name, "spec": self.specs[index], "architecture": one.architecture,
            "group": self.groups[index], "classes": list(one.classes), "trained_on": cards.trained_on(one),
            "input": {"height": size, "width": size, "channels": rule.channels},
        }  # fmt: skip

    def named_classes(self) -> list[str]:
        """The classes of all networks by name, each once, with the words of those that are codes."""
        words = {name: cards.named(one, name) for one in reversed(self.shown) for name in one.classes}
        return [words[name] for name in self.classes]

    def known_layer(self, recorded: LockedRecording, layer: str, one: Shown) -> None:
        """Refuse a layer that a network does not have.

        Raises:
            Refused: with the nearest names.
        """
        try:
            recorded.recording.network.find(layer)
        except UnknownNameError:
            raise Refused(404, f"{one.name}: {unknown_layer(layer, recorded.recording.network.layers)}") from None
