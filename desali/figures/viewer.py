"""Some models ready to look at one image after the other: what `compare`, `grid`, `visualize` and the demo share."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from desali.comparison.views import CONTRAST_METHOD
from desali.data.roi import Roi
from desali.errors import DataError, ImageError, SeedError
from desali.figures.block import Block
from desali.figures.facts import control_facts, method_words, model_facts, predicted, prediction_words, seed_words
from desali.figures.figure import KIND, Figure
from desali.figures.footnote import CHANNELS, CONTRAST, NOTE, WHOLE, about_input
from desali.figures.inputs import Input, image_facts, image_name, prepare, to_image
from desali.figures.kin import ancestry
from desali.figures.layers import layers_by_model
from desali.figures.lead import lead
from desali.figures.looking import Looking, explained
from desali.figures.rows import table
from desali.figures.settings import Channels, Settings
from desali.figures.sources import controls, default_layers, provenance
from desali.figures.subjects import Models, Shown, check_different, check_one_architecture, replicas, subjects
from desali.models.checkpoint import versions
from desali.reversal.methods import method as find_method
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    from torch import Tensor

    from desali.comparison.kinship import Kinship
    from desali.data.imageset import ImageSet

__all__ = ["Viewer"]
AUTOMATIC = "one channel of each layer"


class Viewer:
    """Models and their random twins, ready to look at one image after the other.

    Args:
        models: name -> a `torch.nn.Module` in evaluation mode, or what `desali.load` returns; none is changed.
        different: refuse one model or the same weights twice.
        replicates: name of a model -> a network of the same training with another seed, or several.
        images: to follow channels between the models; see `ancestry`.
        groups: the patient of each of these images.
        said: what must be said of them, "" for nothing.

    Raises:
        UnknownNameError: a method or device that does not exist. DataError: no models, layers that do not fit them, or
            `different` and two are the same.
        DesaliError: training mode, or models on different devices.
    """

    def __init__(
        self,
        models: Models,
        settings: Settings | None = None,
        *,
        different: bool = False,
        replicates: Mapping[str, Any] | None = None,
        images: Tensor | ImageSet | None = None,
        groups: Sequence[Any] | None = None,
        said: str = "",
    ) -> None:
        settings = settings or Settings()
        if settings.seed is not None and not isinstance(settings.seed, Seed):
            raise SeedError(f"seed must be a desali.Seed (Seed.layer(), Seed.top(1), ...), got {settings.seed!r}")
        find_method(settings.rule)
        if settings.scale not in ("panel", "row"):
            raise DataError(f"scale must be 'panel' or 'row', got {settings.scale!r}")
        self.settings = settings
        self.seed = settings.seed
        self.subjects = subjects(
            models, preprocessing=settings.preprocessing, classes=settings.classes, device=settings.device
        )
        if different:
            check_different(self.subjects)
        self.architecture = check_one_architecture(self.subjects, isinstance(settings.layers, Mapping))
        self.replicates, self._replicate_of = replicas(self.subjects, replicates or {}, settings.device)
        self._layers = layers_by_model(settings.layers, self.subjects)
        self.controls, self._missing = controls(self.subjects, settings.random_seed, settings.random_networks)
        self._images, self._groups, self._said = images, groups, said
        self._kin: dict[tuple[tuple[str, ...], ...], tuple[Kinship | None, dict[str, Any]]] = {}

    @property
    def projection(self) -> tuple[str, str]:
        """The method and what is projected, in words for titles."""
        words = AUTOMATIC if self.seed is None else seed_words(self.seed, self.subjects[0].classes)
        return method_words(self.settings.rule), words

    @property
    def key(self) -> list[Any]:
        """What its figures depend on beside the settings and the models, JSON-serialisable."""
        weights = [one.card.get("weights_sha256") for one in self.replicates]
        images = None if self._images is None else _fingerprint(self._images)
        return [weights, images, None if self._groups is None else list(map(str, self._groups))]

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
        with explained(first, input.tensor):
            chosen = default_layers(first, self.seed, input.tensor)
        return {subject.name: chosen for subject in self.subjects}

    def look(self, image: Roi | Tensor, last: bool = False, label: int | str | None = None) -> Block:
        """Views of one image by every model, every replicate and every network with random weights.

        Layers whose activations are the same in the same models are swept together, so that equal weights below give
        equal maps bit by bit: what else takes part in a sweep decides the last bits.

        Args:
            last: of the last layer alone.
            label: the image's own class, instead of that of the settings.

        Raises:
            ImageError: the image does not fit a model. UnknownNameError: an unknown layer.
            SeedError: a seed that does not fit a layer, or a class that is none.
        """
        everyone = [*self.subjects, *self.replicates]
        inputs = {one.name: self._input(one, image) for one in everyone}
        layers = dict(self._layers or self._default_layers(inputs[self.subjects[0].name]))
        layers |= {one.name: layers[self._replicate_of[one.name]] for one in self.replicates}
        settings = self.settings if label is None else replace(self.settings, label=label)
        if last:
            layers = {name: chosen[-1:] for name, chosen in layers.items()}
            if settings.channels is not None:
                settings = replace(settings, channels=replace(settings.channels, rows=settings.channels.rows[-1:]))
        looking = Looking(
            self.subjects, self.replicates, self.controls, settings, inputs, layers, lambda: self._followed(layers)[0]
        )
        block = looking.block()
        made = settings.channels
        if looking.rows is not None and made is None:
            made = Channels(looking.rows, self._followed(layers)[1])
        return replace(block, channels=made, true=settings.label)

    def _followed(self, layers: Mapping[str, Sequence[str]]) -> tuple[Kinship | None, dict[str, Any]]:
        key = tuple(tuple(chosen) for chosen in layers.values())
        if key not in self._kin:
            everyone = [*self.subjects, *self.replicates]
            found, facts = ancestry(everyone, layers, self._images, self._groups)
            words = " ".join(part for part in (facts["words"], self._said if found is not None else "") if part)
            self._kin[key] = found, {**facts, "words": words}
        return self._kin[key]

    def figure(self, image: Any, title: str = "", block: Block | None = None) -> Figure:
        """The figure of one image, with its record; `block` spares looking again.

        Raises:
            ImageError: the image does not fit a model. SeedError: several seeds for several models.
        """
        start = time.perf_counter()
        image = to_image(image, self.settings.colour)
        block = block or self.look(image)
        seeds = next(iter(block.models.values())).look.views[0].maps.shape[0]
        if seeds > 1 and len(self.subjects) > 1:
            assert self.seed is not None
            raise SeedError(
                f"seed '{self.seed.describe()}' gives {seeds} maps per layer, but compare shows one: "
                "use visualize (desali.show), or top:1"
            )
        predictions = {one.name: predicted(one, block.models[one.name]) for one in self.subjects}
        notes = {name: prediction_words(found) for name, found in predictions.items()}
        made = table([block], self.settings.scale, notes)  # type: ignore[arg-type]
        layers = {one: tuple(view.layer for view in block.models[one].look.views) for one in self.names}
        name, words = self.projection
        heading = title or f"{image_name(image)}: {name} from {words}"
        contrast = made.contrasts[0] if made.contrasts else None
        leading = lead(self.subjects, made.numbers, contrast, self._replicate_of)
        footnote = self._footnote(image, block)
        record = {
            "kind": KIND,
            "title": heading,
            "lead": leading,
            "image": image_facts(image, self.subjects[0].rule, self.settings.window),
            "models": {
                one.name: {**model_facts(one, block.models[one.name]), "prediction": predictions[one.name]}
                for one in self.subjects
            },
            "replicates": {
                one.name: {**model_facts(one, block.replicates[one.name]), "of": self._replicate_of[one.name]}
                for one in self.replicates
            },
            "control": control_facts(
                self.settings.random_seed, self.settings.random_networks, self.architecture, block.control_of
            ),
            "layers": list(layers[self.names[0]]) if len(set(layers.values())) == 1 else layers,
            "seed": None if self.seed is None else self.seed.to_dict(),
            "seed_in_words": words,
            "channels": None if block.channels is None else block.channels.to_dict(),
            "label": block.true,
            "method": find_method(self.settings.rule).to_dict(),
            "method_in_words": name,
            "method_given": self.settings.method is not None,
            "window": self.settings.window,
            "colour": self.settings.colour,
            "scale": self.settings.scale,
            "device": str(self.subjects[0].device),
            "backend": self.settings.backend,
            "contrast": None
            if contrast is None
            else {**contrast, "method": find_method(CONTRAST_METHOD).to_dict(), "method_in_words": CONTRAST_METHOD},
            "rows": made.numbers,
            "note": footnote,
            "versions": versions(),
            "seconds": round(time.perf_counter() - start, 3),
        }
        return Figure(made.grid(heading, footnote, leading), record)

    def _footnote(self, image: Roi | Tensor, block: Block) -> str:
        shared = "The models' reconstructions of a row share one scale, and so do their activations."
        said = about_input(image, block, self.subjects)
        said += [shared] if self.settings.scale == "row" else []
        said += [self.origins, self._missing]
        if block.channels is not None:
            said += [CHANNELS, str(block.channels.ancestry.get("words", ""))]
        if self.seed is not None and self.seed.kind == "layer":
            said.append(WHOLE)
        if any(seen.look.contrast is not None for seen in block.models.values()) or block.contrast:
            said.append(CONTRAST)
        return " ".join(part for part in [*said, NOTE] if part)

    def _input(self, subject: Shown, image: Roi | Tensor) -> Input:
        try:
            return prepare(image, subject.rule, self.settings.window, self.settings.colour)
        except ImageError as error:
            raise ImageError(f"{subject.name}: {error}") from error


def _fingerprint(images: ImageSet | Tensor) -> str:
    """Of the images' values, the same in another process."""
    if hasattr(images, "fingerprint"):
        return str(images.fingerprint)
    return hashlib.sha256(images.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
