"""Looking at one image: every model, replicate and random control is run once, and all maps are read off that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from desali.comparison.one_channel import Chosen, choose, strongest
from desali.comparison.views import Look, class_layer, looks
from desali.errors import DesaliError, ImageError, SeedError
from desali.figures.block import Block, Seen
from desali.figures.inputs import Input
from desali.figures.layers import same_input, swept_together
from desali.figures.settings import Settings
from desali.figures.sources import RANDOM, Control, in_rgb
from desali.figures.subjects import Shown
from desali.models.modules import input_channels
from desali.reversal.seeds import Seed

if TYPE_CHECKING:
    from torch import Tensor, nn

    from desali.comparison.kinship import Kinship
    from desali.reversal.recording import Recording

LayersBy = Mapping[str, Sequence[str]]


class Looking:
    """One image, seen by all networks of a figure.

    Args:
        models, replicates: in the order of their columns.
        controls: for each model its networks with random weights.
        inputs: of every model and replicate.
        layers: of every model and replicate.
        kin: which channels of them are the same; None: not measured. Asked for only if channels are to be chosen.
    """

    def __init__(
        self,
        models: Sequence[Shown],
        replicates: Sequence[Shown],
        controls: Mapping[str, Sequence[Control]],
        settings: Settings,
        inputs: Mapping[str, Input],
        layers: LayersBy,
        kin: Callable[[], Kinship | None],
    ) -> None:
        self._models, self._replicates, self._controls = models, replicates, controls
        self._settings, self._inputs, self._layers = settings, inputs, layers
        self._everyone = [*models, *replicates]
        self._kin = kin
        self._targets: dict[str, int | None] = {}
        self.rows: list[dict[str, Chosen]] | None = None

    def block(self) -> Block:
        """What all networks made of the image.

        Raises:
            UnknownNameError: an unknown layer. SeedError: a seed that does not fit a layer.
        """
        from desali.reversal.graph.share import adopt

        recordings = {}
        for one in self._everyone:
            adopt(one.model, self._models[0].model)
            recordings[one.name] = record_one(one, one.model, self._inputs[one.name], self._settings)
        activations = {name: made.activations(self._layers[name]) for name, made in recordings.items()}
        if self._settings.seed is None:
            self.rows = self._chosen(activations)
        names = [one.name for one in self._models]
        together = swept_together([activations[name] for name in names], self._layers, names)
        self._targets = self._contrast_targets(recordings)
        seen = {}
        for one in self._everyone:
            name = one.name
            sweeps = [[self._layers[name][row] for row in rows] for rows in together]
            chosen = None if self.rows is None else [row[name] for row in self.rows]
            look = self._look(recordings.pop(name), self._layers[name], chosen, self._targets[name], sweeps)
            seen[name] = Seen(in_rgb(look, one.rule), self._inputs[name], one.classes, self._targets[name], chosen)
        random, random_of = self._random()
        return Block(
            {one.name: seen[one.name] for one in self._models},
            random,
            random_of,
            {one.name: seen[one.name] for one in self._replicates},
            contrast=self._settings.seed is not None and self._settings.seed.kind == "contrast",
        )

    def _chosen(self, activations: Mapping[str, Mapping[str, Tensor]]) -> list[dict[str, Chosen]]:
        given = self._settings.channels
        names = [one.name for one in self._everyone]
        count = len(self._layers[names[0]])
        if given is not None:
            if len(given.rows) != count or any(set(row) != set(names) for row in given.rows):
                raise SeedError(f"channels must be named for {count} layers of each of {', '.join(names)}")
            return [dict(row) for row in given.rows]
        kin = self._kin()
        rows = []
        for row in range(count):
            layers = {name: self._layers[name][row] for name in names}
            rows.append(choose({name: activations[name][layers[name]][0] for name in names}, layers, kin))
        return rows

    def _look(
        self,
        recording: Recording,
        layers: Sequence[str],
        chosen: Sequence[Chosen] | None,
        target: int | None,
        sweeps: Sequence[Sequence[str]] | None = None,
    ) -> Look:
        one = self._settings.seed
        if one is not None:
            seeds = dict.fromkeys(layers, self._true(one, target))
        else:
            assert chosen is not None
            seeds = {layer: Seed.channel(own.channel) for layer, own in zip(layers, chosen, strict=True)}
        contrast = Seed.contrast(target) if target is not None and self._settings.contrast_row else None
        return looks(recording, layers, seeds, self._settings.rule, sweeps, contrast, self._settings.contrast_rule)[0]

    def _true(self, seed: Seed, target: int | None) -> Seed:
        if seed.target != "true":
            return seed
        if self._settings.label is None or target is None:
            raise SeedError("the contrast of the true class needs the image's own class: name it (label=)")
        return Seed.contrast(target)

    def _contrast_targets(self, recordings: Mapping[str, Recording]) -> dict[str, int | None]:
        """The class whose contrast each shows: the image's own, else for all the one that the first model predicts."""
        values = {}
        for name, recording in recordings.items():
            layer = class_layer(recording.network)
            values[name] = None if layer is None else recording.activation(layer)[0]
        leader = next((one for one in self._everyone if values[one.name] is not None), None)
        first = None if leader is None else values[leader.name]
        found: dict[str, int | None] = {}
        for one in self._everyone:
            value = values[one.name]
            if value is None or not bool(value.isfinite().all()):
                found[one.name] = None
            elif self._settings.label is not None:
                found[one.name] = class_index(self._settings.label, one, len(value))
            else:
                shared = first is not None and len(first) == len(value) and bool(first.isfinite().all())
                top = int((first if shared and first is not None else value).argmax())
                known = leader is not None and min(len(leader.classes), len(one.classes)) == len(value)
                if shared and known and leader is not None:
                    name = leader.classes[top]  # by name, since the order of two models' classes may differ
                    top = one.classes.index(name) if name in one.classes else int(value.argmax())
                found[one.name] = top
        return found

    def _random(self) -> tuple[dict[str, Seen], dict[str, list[str]]]:
        """What networks with random weights make of the inputs, by label; and for each model the labels of its own.

        Models of one architecture share them, unless they take the image in different ways.
        """
        from desali.reversal.graph.share import adopt

        shown: list[tuple[list[Control], Shown]] = []
        place: dict[str, int] = {}
        for one in self._models:
            own = list(self._controls.get(one.name, []))
            if not own:
                continue
            for index, (others, of) in enumerate(shown):
                alike = same_input(self._inputs[of.name], self._inputs[one.name], self._layers, of.name, one.name)
                if others[0] is own[0] and alike:
                    place[one.name] = index
                    break
            else:
                place[one.name] = len(shown)
                shown.append((own, one))
        seen: dict[str, Seen] = {}
        labels: list[list[str]] = []
        for controls, of in shown:
            own_labels = []
            for number, control in enumerate(controls, 1):
                label = RANDOM if len(controls) == 1 else f"{RANDOM} {number}"
                label = label if len(shown) == 1 else f"{label}, as {of.name}"
                adopt(control.model, control.of.model)
                recording = record_one(of, control.model, self._inputs[of.name], self._settings)
                layers = self._layers[of.name]
                chosen = None
                if self.rows is not None:
                    activations = recording.activations(layers)
                    chosen = [Chosen(strongest(activations[layer][0])) for layer in layers]
                look = in_rgb(self._look(recording, layers, chosen, self._targets[of.name]), of.rule)
                seen[label] = Seen(look, self._inputs[of.name], of.classes, self._targets[of.name], chosen)
                own_labels.append(label)
            labels.append(own_labels)
        return seen, {name: labels[index] for name, index in place.items()}


def class_index(label: int | str, shown: Shown, count: int) -> int:
    """The number of a class that is named or numbered.

    Raises:
        SeedError: the model has no such class.
    """
    if isinstance(label, str) and label in shown.classes:
        return shown.classes.index(label)
    number = label if isinstance(label, int) else int(label) if label.strip().isdigit() else -1
    if isinstance(label, bool) or not 0 <= number < count:
        names = f": {', '.join(shown.classes[:20])}" if shown.classes else ""
        raise SeedError(f"label {label!r} is no class of {shown.name}, which has {count}{names}")
    return number


def record_one(shown: Shown, model: nn.Module, input: Input, settings: Settings) -> Recording:
    """Run a network on one image.

    Raises:
        ImageError: the image has other channels than it takes.
    """
    from desali.reversal.recording import record

    with explained(shown, input.tensor):
        images = input.tensor.to(shown.device).unsqueeze(0)
        return record(
            model,
            images,
            keep="activations",
            backend=settings.backend,
            fold_batch_norm=settings.fold_batch_norm,
        )


@contextmanager
def explained(shown: Shown, tensor: Tensor) -> Iterator[None]:
    """Say so where a module fails because the image has other channels than its first convolution takes."""
    try:
        yield
    except DesaliError as error:
        takes = input_channels(shown.model)
        if takes is None or takes == len(tensor):
            raise
        grey = ", or an array H x W, which is copied to all of them" if len(tensor) == 1 else ""
        raise ImageError(
            f"the image has {_count(len(tensor), 'channel')}, but {shown.name} takes {takes}: give an image of "
            f"{_count(takes, 'channel')}{grey}"
        ) from error


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
