"""The main figure: rows of layers, and for each model its activations beside its reconstructions, then the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from desali.comparison.controls import Likeness, one_size
from desali.comparison.views import Look, View, twins
from desali.figures.drawing.crop import crop_map
from desali.figures.drawing.display import (
    display,
    display_map,
    display_positive,
    scale_text,
    summarise_activation,
    to_grey,
)
from desali.figures.drawing.panel import Cell, Column, Grid, Panel, Words
from desali.figures.inputs import Input

Scale = Literal["panel", "row"]
EDGES = "edge detector"


@dataclass(frozen=True, eq=False)
class Seen:
    """One model (or control) on one image.

    Attributes:
        look: its views, a row each.
        input: the image as it got it.
    """

    look: Look
    input: Input


@dataclass(frozen=True, eq=False)
class Block:
    """One image: a row a layer.

    Attributes:
        models: by name, in the order of the columns.
        controls: networks with random weights, by the label of their column.
        control_of: for each model the label of its control; models without one are missing.
        label: goes before the layers' names, "" for nothing.
        predicts: under the input, "" for nothing.
    """

    models: Mapping[str, Seen]
    controls: Mapping[str, Seen]
    control_of: Mapping[str, str]
    label: str = ""
    predicts: str = ""


@dataclass
class Table:
    """Rows and columns of a figure, and the numbers that it prints, a dictionary a row."""

    rows: list[str] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    panels: list[list[Cell]] = field(default_factory=list)
    numbers: list[dict[str, Any]] = field(default_factory=list)

    def grid(self, title: str, footnote: str) -> Grid:
        """To be drawn."""
        return Grid(self.rows, self.columns, self.panels, title, footnote)


def table(blocks: Sequence[Block], scale: Scale, notes: Mapping[str, str] | None = None) -> Table:
    """Lay the figure out: input, then activation and reconstruction of every model, then the controls.

    Args:
        blocks: of the same models and controls.
        scale: "panel" normalises every panel by itself, "row" gives all models' reconstructions of a layer one scale,
            and all their activations another; a random network, whose magnitudes mean nothing, keeps its own.
        notes: under the models' names, by model.
    """
    first = blocks[0]
    made = Table()
    made.columns.append(Column("input"))
    several = max(seen.look.views[0].maps.shape[0] for seen in first.models.values())
    for name in first.models:
        note = (notes or {}).get(name, "")
        made.columns.append(Column("activation", name, note))
        labels = ["reconstruction"] if several == 1 else [f"seed {k + 1}" for k in range(several)]
        made.columns += [Column(label, name, note) for label in labels]
    which = "" if several == 1 else ", seed 1"
    made.columns += [Column(f"{label}{which}", "controls") for label in first.controls]
    made.columns.append(Column(EDGES, "controls"))
    likeness = Likeness()
    for block in blocks:
        for index in range(len(next(iter(block.models.values())).look.views)):
            row = _Row(block, index, scale, likeness)
            made.panels.append(row.panels())
            made.numbers.append(row.numbers)
            made.rows.append(row.label())
    return made


class _Row:
    """One layer of one image."""

    def __init__(self, block: Block, index: int, scale: Scale, likeness: Likeness) -> None:
        self.block = block
        self.views = {name: seen.look.views[index] for name, seen in block.models.items()}
        self.controls = {label: seen.look.views[index] for label, seen in block.controls.items()}
        self.activations = {name: _activation(view) for name, view in self.views.items()}
        self.twins = twins(self.views)
        self.likeness = likeness
        self.planes: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
        self.scale = scale
        self.first = next(iter(block.models.values()))
        self.layers = {name: view.layer for name, view in self.views.items()}
        self.one_name = len(set(self.layers.values())) == 1
        self.numbers: dict[str, Any] = {
            "layer": next(iter(self.layers.values())) if self.one_name else dict(self.layers),
            "models": {},
            "pairs": self._pairs(),
            "equal": dict(self.twins),
            "controls": {},
        }
        if block.label:
            self.numbers["image"] = block.label

    def label(self) -> str:
        """The last part of the layer's name above the whole, or the whole alone where several rows end alike."""
        if not self.one_name:
            number = [view.layer for view in self.first.look.views].index(next(iter(self.layers.values()))) + 1
            return f"{self.block.label}\nrow {number}".strip()
        view = next(iter(self.views.values()))
        layer = view.layer
        last = layer.rpartition(".")[2]
        alike = sum(other.layer.rpartition(".")[2] == last for other in self.first.look.views) > 1
        shape = " x ".join(map(str, view.activation.shape))
        if any(other.activation.shape != view.activation.shape for other in self.views.values()):
            shape = ""
        head = layer if alike or last == layer or self.block.label else f"{last}\n{layer}"
        return "\n".join(part for part in (self.block.label, head, shape) if part)

    def panels(self) -> list[Cell]:
        """A cell a column; fills the numbers."""
        common = self._common() if self.scale == "row" else {}
        cells: list[Cell] = [self._input()]
        everywhere = len(self.views) > 1 and len(self.twins) == len(self.views) - 1
        for place, name in enumerate(self.views):
            drawn = self._model(name, common.get("activation"), common.get(self._colour(name)))
            if name not in self.twins:
                cells += drawn
                continue
            said = ""
            if not everywhere:
                said = f"equal bit by bit to {self.twins[name]}"
            elif place == 1:
                said = f"equal bit by bit in {_listed(list(self.views))}"
            span = len(drawn) * (len(self.views) - 1 if everywhere else 1)
            cells += [Words(said, span) if said else None, *[None] * (len(drawn) - 1)]
        cells += [self._control(label) for label in self.controls]
        pixels, top = display_positive(self.first.input.edges)
        return [*cells, Panel(pixels, scale_text("max", top), "control")]

    def _colour(self, name: str) -> str:
        return "colour" if self.block.models[name].input.colour else "grey"

    def _model(self, name: str, top: float | None, a: float | None) -> list[Cell]:
        view = self.views[name]
        pixels, highest = display_positive(self.activations[name], top)
        caption = scale_text("max", highest)
        if not self.one_name:
            caption = f"{view.layer}\n{' x '.join(map(str, view.activation.shape))}\n{caption}"
        if view.channel is not None and view.activation.dim() == 3:
            caption += f"\nof channel {view.channel} alone"
        cells: list[Cell] = [Panel(pixels, caption, "activation")]
        entries = []
        control = self.controls.get(self.block.control_of.get(name, ""))
        for seed, (plane, region, neuron) in enumerate(zip(view.maps, view.fields, view.neurons, strict=True)):
            shown, used = display_map(_cropped(plane, region), colour=self.block.models[name].input.colour, scale=a)
            caption = scale_text("a", used)
            entry: dict[str, Any] = {"a": used}
            if neuron is not None:
                caption = f"{_neuron(neuron)}\n{caption}"
                entry["neuron"] = list(neuron)
            pair = self._against(name) if seed == 0 else {}
            if not plane.any():
                caption += "\nsilent on this image"
                entry["silent"] = True
            elif region is None:
                entry["rank_correlation"] = self._alike(self.block.models[name].input, view, seed, control)
                caption += _rho({**pair, **entry["rank_correlation"]})
            else:
                corner = f"{region[0]}, {region[1]}".replace("-", "\N{MINUS SIGN}")
                entry["receptive_field"] = list(region)
                random = None if control is None or seed > 0 else self._of_pair(view, control)
                if random is not None:
                    entry["rank_correlation"] = {"random": random}
                caption += f"\nfield {region[2]} x {region[3]} px at {corner}"
                caption += _rho({**pair, **entry.get("rank_correlation", {})})
            cells.append(Panel(shown, caption, "reconstruction"))
            entries.append(entry)
        self.numbers["models"][name] = {"activation_max": highest, "reconstructions": entries}
        return cells

    def _control(self, label: str) -> Panel:
        seen, view = self.block.controls[label], self.controls[label]
        shown, a = display_map(_cropped(view.maps[0], view.fields[0]), colour=seen.input.colour)
        neuron = view.neurons[0]
        caption = scale_text("a", a) if neuron is None else f"{_neuron(neuron)}\n{scale_text('a', a)}"
        entry: dict[str, Any] = {"a": a}
        if not view.maps[0].any():
            caption += "\nsilent on this image"
        elif view.fields[0] is None:
            entry["rank_correlation"] = self._alike(seen.input, view, 0, None)
            caption += _rho(entry["rank_correlation"])
        self.numbers["controls"][label] = entry
        return Panel(shown, caption, "reconstruction")

    def _pairs(self) -> list[dict[str, Any]]:
        """How alike the maps of every two models are; without those where one is silent or the windows differ."""
        names = list(self.views)
        found = []
        for index, one in enumerate(names):
            for other in names[index + 1 :]:
                value = self._of_pair(self.views[one], self.views[other])
                if value is not None:
                    found.append({"first": one, "second": other, "rank_correlation": value})
        return found

    def _of_pair(self, one: View, other: View) -> float | None:
        """Of the first maps of two views; None if one is silent, or they are of different neurons."""
        if one.neurons[0] != other.neurons[0] or not one.maps[0].any() or not other.maps[0].any():
            return None
        return self.likeness(*one_size(self._plane(one, 0), self._plane(other, 0)))

    def _alike(self, input: Input, view: View, seed: int, random: View | None) -> dict[str, float]:
        """How alike a map looks to the random network's, to the input and (its magnitude) to the edges."""
        plane = self._plane(view, seed)
        found: dict[str, float | None] = {}
        if random is not None and random.neurons[0] is None and random.maps[0].any():
            found["random"] = self.likeness(plane, self._plane(random, 0))
        found["input"] = self.likeness(plane, input.grey)
        found["edges"] = self.likeness(plane, input.edges, magnitude=True)
        return {name: value for name, value in found.items() if value is not None}

    def _plane(self, view: View, seed: int) -> npt.NDArray[np.float64]:
        """A view's map as [h, w], in the window that is shown; that of an equal view for its twin."""
        for name, earlier in self.twins.items():
            view = self.views[earlier] if view is self.views[name] else view
        key = (id(view), seed)
        if key not in self.planes:
            self.planes[key] = to_grey(_cropped(view.maps[seed], view.fields[seed]))
        return self.planes[key]

    def _against(self, name: str) -> dict[str, float]:
        """The likeness to the other of two models, or to the first of several."""
        names = list(self.views)
        other = names[1] if len(names) == 2 and name == names[0] else names[0]
        for pair in self.numbers["pairs"]:
            if {pair["first"], pair["second"]} == {name, other} and not {name, other} & set(self.twins):
                return {other: pair["rank_correlation"]}
        return {}

    def _input(self) -> Panel:
        """The input, with the receptive fields that the row's maps are cut to."""
        picture = self.first.input.picture
        height, width = picture.shape[:2]
        fields = dict.fromkeys(field for view in self.views.values() for field in view.fields if field is not None)
        alike = all(seen.input.picture.shape == picture.shape for seen in self.block.models.values())
        boxes = tuple((top, left, h, w) for top, left, h, w in fields if alike and 2 * h * w <= height * width)
        said = [self.block.predicts, "receptive fields" if boxes else ""]
        return Panel(picture, "\n".join(part for part in said if part), "input", boxes=boxes)

    def _common(self) -> dict[str, float]:
        """One scale for a row: the largest activation, and the largest |a| of its reconstructions."""
        found = {"activation": max(float(values.max()) for values in self.activations.values())}
        for name, view in self.views.items():
            colour = self.block.models[name].input.colour
            for map, region in zip(view.maps, view.fields, strict=True):
                values = np.asarray(_cropped(map.cpu(), region), np.float64)
                a = display(values if colour else to_grey(values))[1]
                found[self._colour(name)] = min(found.get(self._colour(name), 0.0), a)
        return {key: value for key, value in found.items() if value}


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _rho(alike: Mapping[str, float]) -> str:
    """A line for each network, another for the image and its edges."""
    if not alike:
        return ""
    parts = {name: f"{name} {_signed(value)}" for name, value in alike.items()}
    image = [parts.pop(name) for name in ("input", "edges") if name in parts]
    return "\nrho " + "\n".join([*parts.values(), *([", ".join(image)] if image else [])])


def _cropped(map: Any, field: tuple[int, ...] | None) -> Any:
    """A single neuron's map cut to its receptive field, unless that is about the whole image."""
    if field is None or field[2] * field[3] > 0.5 * map.shape[-2] * map.shape[-1]:
        return map
    return crop_map(map, (field[0], field[1], field[2], field[3]))


def _activation(view: View) -> npt.NDArray[np.float64]:
    """What the activation panel shows: the seed's own channel where there is one, else the mean over all channels."""
    if view.channel is None or view.activation.dim() < 3:
        return summarise_activation(view.activation)
    return summarise_activation(view.activation[view.channel : view.channel + 1])


def _neuron(neuron: tuple[int, ...]) -> str:
    channel, *place = neuron
    return f"channel {channel}" + (f" at {', '.join(map(str, place))}" if place else "")


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
