"""Some models ready to look at one image after the other: what `compare`, `grid`, `visualize` and the demo share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from desali.data.roi import Roi
from desali.errors import DataError, DesaliError, ImageError, SeedError
from desali.figures.facts import control_facts, method_words, model_facts, predicted, prediction_words, seed_words
from desali.figures.figure import KIND, Figure
from desali.figures.inputs import Input, image_facts, image_name, prepare, to_image
from desali.figures.options import FigureOptions
from desali.figures.rows import Block, Seen, table
from desali.figures.sources import RANDOM, Control, controls, default_layers, default_seed, in_rgb, provenance
from desali.figures.subjects import Classes, Models, Rules, Subject, check_different, check_one_architecture, subjects
from desali.models.checkpoint import versions
from desali.models.modules import input_channels
from desali.reversal.methods import Method
from desali.reversal.methods import method as find_method
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from desali.reversal.recording import Recording

Layers = Sequence[str] | Mapping[str, Sequence[str]]

NOTE = (
    "Activations: mean of |activation| over all channels, or the one channel that the caption names. rho: rank "
    "correlation, after a slight blur, with the map of the network that is named, of the same network with random "
    "weights, with the input, and (magnitudes) with the edge detector. A map that is like the input and like the "
    "random network's shows the image, not what was learned; two models' maps say little of what they share unless "
    "they are more alike than each is to its random control; a low rho alone shows nothing. No picture here explains "
    "a decision. Not a medical device."
)


@dataclass(frozen=True)
class Settings:
    """What is shown and how.

    Attributes:
        layers: names, for all models or for each by its name; None: the architecture's own choice.
        seed: what is projected.
        method: a name of `METHODS` or a `Method`.
        window: (level, width) in HU instead of the model's own; None keeps it.
        scale: "panel" or "row".
        random_seed: of the control's weights.
        device: "cpu", "cuda", "cuda:N" or "auto"; None: where the models are.
        preprocessing: of plain modules, one for all or by name.
        classes: names of the classes of plain modules, one list for all or by name.
    """

    layers: Layers | None = None
    seed: Seed = field(default_factory=default_seed)
    method: str | Method = FigureOptions.method
    window: tuple[float, float] | None = None
    scale: str = FigureOptions.scale
    random_seed: int = FigureOptions.seed
    backend: str = FigureOptions.backend
    device: str | torch.device | None = None
    preprocessing: Rules | None = None
    classes: Classes | None = None


class Viewer:
    """Models and their random twins, ready to look at one image after the other.

    Args:
        models: name -> a `torch.nn.Module` in evaluation mode, or what `desali.load` returns; none is changed.
        different: refuse one model or the same weights twice.

    Raises:
        UnknownNameError: a method or device that does not exist. DataError: no models, layers that do not fit them, or
            `different` and two are the same.
        DesaliError: training mode, or models on different devices.
    """

    def __init__(self, models: Models, settings: Settings | None = None, *, different: bool = False) -> None:
        settings = settings or Settings()
        find_method(settings.method)
        if settings.scale not in ("panel", "row"):
            raise DataError(f"scale must be 'panel' or 'row', got {settings.scale!r}")
        self.settings = settings
        self.seed = settings.seed
        if not isinstance(self.seed, Seed):
            raise SeedError(f"seed must be a desali.Seed (Seed.layer(), Seed.top(1), ...), got {self.seed!r}")
        self.subjects = subjects(
            models, preprocessing=settings.preprocessing, classes=settings.classes, device=settings.device
        )
        if different:
            check_different(self.subjects)
        self.architecture = check_one_architecture(self.subjects, isinstance(settings.layers, Mapping))
        self._layers = _layers_by_model(settings.layers, self.subjects)
        self.controls, self._missing = controls(self.subjects, settings.random_seed)

    @property
    def projection(self) -> tuple[str, str]:
        """The method and what is projected, in words for titles."""
        return method_words(self.settings.method), seed_words(self.seed, self.subjects[0].classes)

    @property
    def origins(self) -> str:
        """What the models were trained on, in sentences."""
        return provenance(self.subjects)

    @property
    def names(self) -> list[str]:
        """Of the models."""
        return [subject.name for subject in self.subjects]

    def layers(self, image: Roi | Tensor) -> dict[str, tuple[str, ...]]:
        """The layers of each model, as named or by default, for an image."""
        return self._layers or self._default_layers(self._input(self.subjects[0], image))

    def _default_layers(self, input: Input) -> dict[str, tuple[str, ...]]:
        first = self.subjects[0]
        with _explained(first, input.tensor):
            chosen = default_layers(first, self.seed, input.tensor)
        return {subject.name: chosen for subject in self.subjects}

    def look(self, image: Roi | Tensor, last: bool = False) -> Block:
        """Views of one image by every model and every network with random weights.

        Layers whose activations are the same in the same models are swept together, so that equal weights below give
        equal maps bit by bit: what else takes part in a sweep decides the last bits.

        Args:
            last: of the last layer alone.

        Raises:
            ImageError: the image does not fit a model. UnknownNameError: an unknown layer.
            SeedError: a seed that does not fit a layer.
        """
        from desali.comparison.views import looks
        from desali.reversal.graph.share import adopt

        inputs = {subject.name: self._input(subject, image) for subject in self.subjects}
        first = self.subjects[0]
        layers = self._layers or self._default_layers(inputs[first.name])
        if last:
            layers = {name: chosen[-1:] for name, chosen in layers.items()}
        recordings = {}
        for subject in self.subjects:
            adopt(subject.model, first.model)
            recordings[subject.name] = self._record(subject, subject.model, inputs[subject.name])
        rows = _swept_together([recordings[name].activations(layers[name]) for name in self.names], layers, self.names)
        seen: dict[str, Seen] = {}
        for subject in self.subjects:
            name = subject.name
            sweeps = [[layers[name][row] for row in together] for together in rows]
            (found,) = looks(recordings.pop(name), layers[name], self.seed, self.settings.method, sweeps)
            seen[name] = Seen(in_rgb(found, subject.rule), inputs[name])
        return Block(seen, *self._random(inputs, layers))

    def _random(
        self, inputs: Mapping[str, Input], layers: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, Seen], dict[str, str]]:
        """What networks with random weights make of the inputs, by label; and for each model the label of its own.

        Models of one architecture share one, unless they take the image in different ways.
        """
        from desali.comparison.views import looks
        from desali.reversal.graph.share import adopt

        shown: list[tuple[Control, Subject]] = []
        place: dict[str, int] = {}
        for subject in self.subjects:
            control = self.controls.get(subject.name)
            if control is None:
                continue
            for index, (other, of) in enumerate(shown):
                if other is control and _same(inputs[of.name], inputs[subject.name], layers, of.name, subject.name):
                    place[subject.name] = index
                    break
            else:
                place[subject.name] = len(shown)
                shown.append((control, subject))
        labels = [RANDOM if len(shown) == 1 else f"{RANDOM}, as {subject.name}" for _, subject in shown]
        seen = {}
        for label, (control, subject) in zip(labels, shown, strict=True):
            adopt(control.model, control.of.model)
            recording = self._record(subject, control.model, inputs[subject.name])
            (found,) = looks(recording, layers[subject.name], self.seed, self.settings.method)
            seen[label] = Seen(in_rgb(found, subject.rule), inputs[subject.name])
        return seen, {name: labels[index] for name, index in place.items()}

    def figure(self, image: Any, title: str = "", block: Block | None = None) -> Figure:
        """The figure of one image, with its record; `block` spares looking again.

        Raises:
            ImageError: the image does not fit a model. SeedError: several seeds for several models.
        """
        start = time.perf_counter()
        image = to_image(image)
        block = block or self.look(image)
        seeds = next(iter(block.models.values())).look.views[0].maps.shape[0]
        if seeds > 1 and len(self.subjects) > 1:
            raise SeedError(
                f"seed '{self.seed.describe()}' gives {seeds} maps per layer, but compare shows one: "
                "use visualize (desali.show), or top:1"
            )
        predictions = {one.name: predicted(one, block.models[one.name]) for one in self.subjects}
        notes = {name: prediction_words(found) for name, found in predictions.items()}
        made = table([block], self.settings.scale, notes)  # type: ignore[arg-type]
        rule = find_method(self.settings.method)
        layers = {one: tuple(view.layer for view in block.models[one].look.views) for one in self.names}
        name, words = self.projection
        heading = title or f"{image_name(image)}: {name} from {words}"
        footnote = self._footnote(image, block)
        record = {
            "kind": KIND,
            "title": heading,
            "image": image_facts(image, self.subjects[0].rule, self.settings.window),
            "models": {
                one.name: {**model_facts(one, block.models[one.name]), "prediction": predictions[one.name]}
                for one in self.subjects
            },
            "control": control_facts(self.settings.random_seed, self.architecture, block.control_of),
            "layers": list(layers[self.names[0]]) if len(set(layers.values())) == 1 else layers,
            "seed": self.seed.to_dict(),
            "seed_in_words": words,
            "method": rule.to_dict(),
            "method_in_words": name,
            "window": self.settings.window,
            "scale": self.settings.scale,
            "device": str(self.subjects[0].device),
            "backend": self.settings.backend,
            "rows": made.numbers,
            "note": footnote,
            "versions": versions(),
            "seconds": round(time.perf_counter() - start, 3),
        }
        return Figure(made.grid(heading, footnote), record)

    def _input(self, subject: Subject, image: Roi | Tensor) -> Input:
        try:
            return prepare(image, subject.rule, self.settings.window)
        except ImageError as error:
            raise ImageError(f"{subject.name}: {error}") from error

    def _record(self, subject: Subject, model: nn.Module, input: Input) -> Recording:
        from desali.reversal.recording import record

        with _explained(subject, input.tensor):
            images = input.tensor.to(subject.device).unsqueeze(0)
            return record(model, images, keep="activations", backend=self.settings.backend)

    def _footnote(self, image: Roi | Tensor, block: Block) -> str:
        said = [_shrunk(image, self.subjects[0])]
        if self.settings.scale == "row":
            said.append("The models' reconstructions of a row share one scale, and so do their activations.")
        plain = [one for one in self.subjects if one.plain]
        if isinstance(image, Roi) and plain and plain[0].rule_origin != "given":
            said.append(f"Input of {', '.join(one.name for one in plain)}: {plain[0].rule_origin}.")
        said += list(dict.fromkeys(seen.input.words for seen in block.models.values()))
        return " ".join(part for part in [*said, self.origins, self._missing, NOTE] if part)


def _swept_together(
    activations: Sequence[Mapping[str, Tensor]], layers: Mapping[str, Sequence[str]], names: Sequence[str]
) -> list[list[int]]:
    """Rows in groups: in each the activations are the same, bit by bit, in the same models."""
    import torch

    groups: dict[tuple[int, ...], list[int]] = {}
    for row in range(len(layers[names[0]])):
        values = [found[layers[name][row]] for name, found in zip(names, activations, strict=True)]
        pattern = tuple(
            next(index for index, other in enumerate(values) if other is value or torch.equal(other, value))
            for value in values
        )
        groups.setdefault(pattern, []).append(row)
    return list(groups.values())


def _same(one: Input, other: Input, layers: Mapping[str, Sequence[str]], name: str, other_name: str) -> bool:
    import torch

    alike = one.tensor.shape == other.tensor.shape and one.picture.shape == other.picture.shape
    return alike and torch.equal(one.tensor, other.tensor) and layers[name] == layers[other_name]


def _layers_by_model(layers: Layers | None, found: Sequence[Subject]) -> dict[str, tuple[str, ...]] | None:
    if layers is None:
        return None
    names = [subject.name for subject in found]
    if isinstance(layers, str):
        raise DataError(f"layers must be a list of names, got the string {layers!r}: write [{layers!r}]")
    if not isinstance(layers, Mapping):
        layers = dict.fromkeys(names, layer_names(layers))
    missing = [name for name in names if name not in layers]
    unknown = [name for name in layers if name not in names]
    if missing or unknown:
        what = f"none for {missing[0]!r}" if missing else f"some for {unknown[0]!r}, which is no model here"
        raise DataError(f"layers must name a list for each model ({', '.join(names)}): there are {what}")
    listed = {name: layer_names(layers[name], f" of {name}") for name in names}
    counts = {name: len(listed[name]) for name in names}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(f"layers must be equally many for each model, a row each; got {said}")
    return listed


def layer_names(layers: Any, whose: str = "") -> tuple[str, ...]:
    """Names of layers in their order.

    Raises:
        DataError: text, none, or something else than names.
    """
    if isinstance(layers, Iterable) and not isinstance(layers, str | bytes | Set):
        listed = tuple(layers)
        if listed and all(isinstance(layer, str) for layer in listed):
            return listed
        layers = list(listed)
    raise DataError(f"layers{whose} must be a list of at least one name, got {layers!r}")


@contextmanager
def _explained(subject: Subject, tensor: Tensor) -> Iterator[None]:
    """Say so where a module fails because the image has other channels than its first convolution takes."""
    try:
        yield
    except DesaliError as error:
        takes = input_channels(subject.model)
        if takes is None or takes == len(tensor):
            raise
        grey = ", or an array H x W, which is copied to all of them" if len(tensor) == 1 else ""
        raise ImageError(
            f"the image has {_count(len(tensor), 'channel')}, but {subject.name} takes {takes}: give an image of "
            f"{_count(takes, 'channel')}{grey}"
        ) from error


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _shrunk(image: Roi | Tensor, subject: Subject) -> str:
    """A sentence for an image that loses pixels on its way into the network, else nothing."""
    size = getattr(subject.rule, "size", None)
    if not isinstance(image, Roi) or size is None:
        return ""
    height, width = image.pixels.shape[:2]
    if max(height, width) <= size:
        return ""
    return f"The image of {height} x {width} pixels was shrunk to {size} x {size}; a box would keep its detail."
