"""One row of a figure: what stands in its panels, and the numbers that it prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from desali.comparison.controls import Likeness
from desali.comparison.views import View, twins
from desali.figures import captions
from desali.figures.alike import MODEL, RANDOM, REPLICATE, Alike
from desali.figures.block import Block, Seen
from desali.figures.drawing.display import display, display_map, display_positive, scale_text, to_grey
from desali.figures.drawing.panel import Bars, Cell, Panel, Words
from desali.figures.windows import activation_map, contrast_map, cropped
from desali.output.words import listed

Scale = Literal["panel", "row"]
MOST_BARS = 7


class Row:
    """One layer of one image, or its class contrast.

    Args:
        index: of the layer; None for the class contrast.
        several: how many maps the figure's rows have room for.
    """

    def __init__(self, block: Block, index: int | None, scale: Scale, likeness: Likeness, several: int) -> None:
        self.block, self.index, self.several = block, index, several
        self.contrast = index is None or block.contrast
        self.views = _views(block.models, index)
        self.others = {**_views(block.replicates, index), **_views(block.controls, index)}
        self.seen: dict[str, Seen] = {**block.models, **block.replicates, **block.controls}
        self.twins = twins(self.views)
        kinds = {
            **dict.fromkeys(block.models, MODEL),
            **dict.fromkeys(block.replicates, REPLICATE),
            **dict.fromkeys(block.controls, RANDOM),
        }
        shown = {**self.views, **self.others}
        classes = {name: seen.contrasted for name, seen in self.seen.items()} if self.contrast else {}
        self.alike = Alike(shown, {name: kinds[name] for name in shown}, self.twins, likeness, classes)
        self.scale = scale if index is not None else "panel"
        self.first = next(iter(block.models.values()))
        self.layers = {name: view.layer for name, view in self.views.items()}
        self.one_name = len(set(self.layers.values())) == 1
        self.numbers: dict[str, Any] = {
            "layer": next(iter(self.layers.values())) if self.one_name else dict(self.layers),
            "models": {},
            "pairs": self.alike.pairs(),
            "random": self.alike.random(),
            "equal": dict(self.twins),
            "replicates": {},
            "controls": {},
        }
        if block.label:
            self.numbers["image"] = block.label

    def label(self) -> str:
        """The last part of the layer's name above the whole, or the whole alone where several rows end alike."""
        if self.index is None:
            own = [seen for seen in self.block.models.values() if seen.against is not None]
            words = {seen.class_name(int(seen.against)) for seen in own if seen.against is not None}
            against = f"of {words.pop()}\nagainst the others" if len(words) == 1 else "of each one's class"
            return f"{self.block.label}\nclass contrast\n{against}".strip()
        if not self.one_name:
            return f"{self.block.label}\nrow {self.index + 1}".strip()
        view = next(iter(self.views.values()))
        layer = view.layer
        last = layer.rpartition(".")[2]
        alike = sum(other.layer.rpartition(".")[2] == last for other in self.first.look.views) > 1
        shape = " x ".join(map(str, view.activation.shape))
        if any(other.activation.shape != view.activation.shape for other in self.views.values()):
            shape = ""
        head = layer if alike or last == layer or self.block.label else f"{last}\n{layer}"
        return "\n".join(part for part in (self.block.label, head, shape) if part)

    def panels(self, first: bool) -> list[Cell]:
        """A cell a column; fills the numbers.

        Args:
            first: of its image; the input and its edges stand there alone.
        """
        common = self._common() if self.scale == "row" else {}
        cells: list[Cell] = [self._input(first)]
        everywhere = len(self.block.models) > 1 and len(self.twins) == len(self.block.models) - 1
        for place, name in enumerate(self.block.models):
            if name not in self.views:
                cells += [Words("no output of classes", 1 + self.several), *[None] * self.several]
                continue
            drawn = self._model(name, common.get("activation"), common.get(self._colour(name)))
            if name not in self.twins:
                cells += drawn
                continue
            said = ""
            if not everywhere:
                said = f"equal bit by bit to {self.twins[name]}"
            elif place == 1:
                said = f"equal bit by bit in {listed(list(self.views))}"
            span = len(drawn) * (len(self.views) - 1 if everywhere else 1)
            cells += [Words(said, span) if said else None, *[None] * (len(drawn) - 1)]
        cells += [self._other(label, "replicates") for label in self.block.replicates]
        cells += [self._other(label, "controls") for label in self.block.controls]
        if not first:
            return [*cells, None]
        pixels, top = display_positive(self.first.input.edges)
        return [*cells, Panel(pixels, scale_text("max", top), "control")]

    def _colour(self, name: str) -> str:
        return "colour" if self.seen[name].input.colour else "grey"

    def _model(self, name: str, top: float | None, a: float | None) -> list[Cell]:
        view = self.views[name]
        cell, entry = self._activation(name, view, top)
        cells: list[Cell] = [cell]
        entry["reconstructions"] = []
        for seed in range(len(view.maps)):
            panel, made = self._map(name, view, seed, a)
            cells.append(panel)
            entry["reconstructions"].append(made)
        self.numbers["models"][name] = entry
        return cells + [None] * (self.several - len(view.maps))

    def _activation(self, name: str, view: View, top: float | None) -> tuple[Cell, dict[str, Any]]:
        """What the layer held: a picture, or of an output of classes its numbers by name."""
        seen = self.seen[name]
        values = view.activation.double()
        if self.contrast or (values.dim() == 1 and len(values) == len(seen.classes)):
            strongest = values.argsort(descending=True, stable=True).tolist()[:MOST_BARS]
            marked = seen.against if self.contrast else view.channel
            if marked is not None and marked not in strongest:
                strongest[-1] = marked
            numbers = [float(values[index]) for index in strongest]
            place = None if marked is None else strongest.index(marked)
            more = f"{len(strongest)} of {len(values)} outputs" if len(values) > len(strongest) else "outputs"
            bars = Bars([seen.class_name(index) for index in strongest], numbers, place, more)
            return bars, {"activation_max": float(values.abs().max()), "output": [float(value) for value in values]}
        pixels, highest = display_positive(activation_map(view), top)
        caption = scale_text("max", highest)
        if not self.one_name:
            caption = f"{view.layer}\n{' x '.join(map(str, view.activation.shape))}\n{caption}"
        entry: dict[str, Any] = {"activation_max": highest}
        if seen.channels is not None and self.index is not None:
            chosen = seen.channels[self.index]
            caption += f"\n{chosen.words if len(self.block.models) > 1 else f'channel {chosen.channel}, the strongest'}"
            entry["channel"] = chosen.to_dict()
        elif view.channel is not None and view.activation.dim() == 3:
            caption += f"\nof channel {view.channel} alone"
        return Panel(pixels, caption, "activation"), entry

    def _map(self, name: str, view: View, seed: int, a: float | None = None) -> tuple[Panel, dict[str, Any]]:
        """A reconstruction and its numbers."""
        seen, plane, region, neuron = self.seen[name], view.maps[seed], view.fields[seed], view.neurons[seed]
        if self.contrast:
            shown, used = contrast_map(plane)
        else:
            shown, used = display_map(cropped(plane, region), colour=seen.input.colour, scale=a)
        caption = captions.around_zero(used)
        entry: dict[str, Any] = {"a": used}
        if neuron is not None:
            caption = f"{captions.neuron_words(neuron)}\n{caption}"
            entry["neuron"] = list(neuron)
        if self.contrast and seen.against is not None:
            entry["class"] = seen.against
            caption = f"for {seen.class_name(seen.against)}\n{caption}"
        if not plane.any():
            caption += f"\n{captions.SILENT}"
            entry["silent"] = True
        elif region is None:
            entry["rank_correlation"] = self.alike.to_image(name, seed, seen.input)
            caption += "" if self.contrast else captions.image_rho(entry["rank_correlation"])
        else:
            corner = f"{region[0]}, {region[1]}".replace("-", "\N{MINUS SIGN}")
            entry["receptive_field"] = list(region)
            caption += f"\nfield {region[2]} x {region[3]} px at {corner}"
        random = self._to_random(name) if seed == 0 and name in self.views else []
        if random:
            entry.setdefault("rank_correlation", {})["random"] = random
        return Panel(shown, caption, "contrast" if self.contrast else "reconstruction"), entry

    def _to_random(self, name: str) -> list[float]:
        """The likeness to each of the model's own random networks."""
        values = [
            self.alike.between(name, label) for label in self.block.control_of.get(name, ()) if label in self.others
        ]
        return [value for value in values if value is not None]

    def _other(self, label: str, group: str) -> Cell:
        """A replicate's or a random network's map."""
        view = self.others.get(label)
        if view is None:
            return None
        panel, entry = self._map(label, view, 0)
        chosen = self.seen[label].channels
        caption = panel.caption
        if chosen is not None and self.index is not None:
            own = chosen[self.index]
            entry["channel"] = own.to_dict()
            said = own.words if group == "replicates" else f"channel {own.channel}, its own strongest"
            caption = f"{said}\n{caption}"
        self.numbers[group][label] = entry
        return Panel(panel.image, caption, panel.kind)

    def _input(self, first: bool) -> Panel | None:
        """The input, with the receptive fields that the row's maps are cut to."""
        picture = self.first.input.picture
        height, width = picture.shape[:2]
        fields = dict.fromkeys(field for view in self.views.values() for field in view.fields if field is not None)
        alike = all(seen.input.picture.shape == picture.shape for seen in self.block.models.values())
        boxes = tuple((top, left, h, w) for top, left, h, w in fields if alike and 2 * h * w <= height * width)
        if not first and not boxes:
            return None
        said = [self.block.predicts, "receptive fields" if boxes else ""]
        return Panel(picture, "\n".join(part for part in said if part), "input", boxes=boxes)

    def _common(self) -> dict[str, float]:
        """One scale for a row: the largest activation, and the largest |a| of its reconstructions."""
        found = {"activation": max(float(activation_map(view).max()) for view in self.views.values())}
        for name, view in self.views.items():
            colour = self.seen[name].input.colour
            for map, region in zip(view.maps, view.fields, strict=True):
                values = np.asarray(cropped(map.cpu(), region), np.float64)
                a = display(values if colour else to_grey(values))[1]
                found[self._colour(name)] = min(found.get(self._colour(name), 0.0), a)
        return {key: value for key, value in found.items() if value}


def _views(seen: Mapping[str, Seen], index: int | None) -> dict[str, View]:
    if index is not None:
        return {name: one.look.views[index] for name, one in seen.items()}
    return {name: one.look.contrast for name, one in seen.items() if one.look.contrast is not None}
