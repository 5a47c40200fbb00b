"""Some models ready to look at one image after the other: what `compare`, `grid`, `visualize` and the demo share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from desali.data.roi import Roi
from desali.errors import DataError, DesaliError, ImageError, SeedError
from desali.figures.block import Block, Seen
from desali.figures.facts import control_facts, method_words, model_facts, predicted, prediction_words, seed_words
from desali.figures.figure import KIND, Figure
from desali.figures.footnote import NOTE, about_input
from desali.figures.inputs import Input, image_facts, image_name, prepare, to_image
from desali.figures.layers import Layers, layers_by_model, same_input, swept_together
from desali.figures.options import FigureOptions
from desali.figures.rows import table
from desali.figures.sources import RANDOM, Control, controls, default_layers, default_seed, in_rgb, provenance
from desali.figures.subjects import Classes, Models, Rules, Shown, check_different, check_one_architecture, subjects
from desali.models.checkpoint import versions
from desali.models.modules import input_channels
from desali.reversal.methods import Method
from desali.reversal.methods import method as find_method
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from desali.reversal.recording import Recording


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
        self._layers = layers_by_model(settings.layers, self.subjects)
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
        rows = swept_together([recordings[name].activations(layers[name]) for name in self.names], layers, self.names)
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

        shown: list[tuple[Control, Shown]] = []
        place: dict[str, int] = {}
        for subject in self.subjects:
            control = self.controls.get(subject.name)
            if control is None:
                continue
            for index, (other, of) in enumerate(shown):
                if other is control and same_input(
                    inputs[of.name], inputs[subject.name], layers, of.name, subject.name
                ):
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
        shared = "The models' reconstructions of a row share one scale, and so do their activations."
        scale = [shared] if self.settings.scale == "row" else []
        said = [*about_input(image, block, self.subjects), *scale, self.origins, self._missing, NOTE]
        footnote = " ".join(part for part in said if part)
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

    def _input(self, subject: Shown, image: Roi | Tensor) -> Input:
        try:
            return prepare(image, subject.rule, self.settings.window)
        except ImageError as error:
            raise ImageError(f"{subject.name}: {error}") from error

    def _record(self, subject: Shown, model: nn.Module, input: Input) -> Recording:
        from desali.reversal.recording import record

        with _explained(subject, input.tensor):
            images = input.tensor.to(subject.device).unsqueeze(0)
            return record(model, images, keep="activations", backend=self.settings.backend)


@contextmanager
def _explained(subject: Shown, tensor: Tensor) -> Iterator[None]:
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
