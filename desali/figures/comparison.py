"""The main figure: one image, rows of layers, and for each model its activations beside its reconstructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from desali.comparison.controls import likeness
from desali.comparison.views import Look, View
from desali.figures.drawing.crop import crop_map
from desali.figures.drawing.display import (
    display,
    display_map,
    display_positive,
    scale_text,
    summarise_activation,
    to_grey,
)
from desali.figures.drawing.edges import edge_map
from desali.figures.drawing.panel import Column, Grid, Panel

Scale = Literal["panel", "row"]
EDGES = "edge detector"
RANDOM = "random weights"


@dataclass
class Comparison:
    """What the figure shows.

    Attributes:
        image: the network's input as a picture, [h, w] or [h, w, 3] in [0, 1].
        looks: views by model, in the order of the columns.
        control: views of the same network with random weights.
        colour: whether the input is a colour image (else the three channels of a map are summed).
        numbers: filled by `grid`: the scales and rank correlations that the figure prints.
    """

    image: npt.NDArray[Any]
    looks: Mapping[str, Look]
    control: Look
    colour: bool
    numbers: list[dict[str, Any]] = field(default_factory=list)


def grid(comparison: Comparison, scale: Scale, title: str, footnote: str) -> Grid:
    """Lay the figure out: input, then activation and reconstruction of every model, then the two controls.

    Args:
        scale: "panel" normalises every panel by itself, "row" gives all models' reconstructions of a layer one scale,
            and all their activations another; the random network, whose magnitudes mean nothing, keeps its own.
    """
    edges = edge_map(comparison.image)
    columns = [Column("input")]
    several = max(look.views[0].maps.shape[0] for look in comparison.looks.values())
    for name in comparison.looks:
        columns.append(Column("activation", name))
        columns += [Column("reconstruction" if several == 1 else f"seed {k + 1}", name) for k in range(several)]
    columns += [Column(RANDOM, "controls"), Column(EDGES, "controls")]
    rows = []
    labels = []
    comparison.numbers.clear()
    for index, control in enumerate(comparison.control.views):
        views = {name: look.views[index] for name, look in comparison.looks.items()}
        rows.append(_row(comparison, views, control, edges, scale))
        labels.append(_label(control, comparison.control.views))
    return Grid(labels, columns, rows, title, footnote)


def _label(view: View, views: Sequence[View]) -> str:
    """The last part of the layer's name above the whole; the whole alone where several rows end alike."""
    shape = " x ".join(map(str, view.activation.shape))
    last = view.layer.rpartition(".")[2]
    alike = sum(other.layer.rpartition(".")[2] == last for other in views) > 1
    return f"{view.layer}\n{shape}" if alike or last == view.layer else f"{last}\n{view.layer}\n{shape}"


def _alike(comparison: Comparison, map: Any, random: Any, edges: Any) -> dict[str, float]:
    """How alike a map looks to the random network's, to the input and (its magnitude) to the edges."""
    image = np.asarray(comparison.image, np.float64)
    plane = to_grey(map)
    found = {} if random is None or not random.any() else {"random": likeness(plane, to_grey(random))}
    found["input"] = likeness(plane, image.mean(-1) if comparison.colour else image)
    found["edges"] = likeness(plane, edges, magnitude=True)
    return found


def _rho(alike: Mapping[str, float]) -> str:
    parts = [f"{name} {_signed(value)}" for name, value in alike.items()]
    lines = [parts] if len(parts) < 3 else [parts[:1], parts[1:]]
    return "\nrho " + "\n".join(", ".join(line) for line in lines)


def _cropped(map: Any, field: tuple[int, ...] | None) -> Any:
    """A single neuron's map cut to its receptive field, unless that is about the whole image."""
    if field is None or field[2] * field[3] > 0.5 * map.shape[-2] * map.shape[-1]:
        return map
    return crop_map(map, (field[0], field[1], field[2], field[3]))


def _row(
    comparison: Comparison, views: Mapping[str, View], control: View, edges: npt.NDArray[np.float64], scale: Scale
) -> list[Panel | None]:
    colour = comparison.colour
    activations = {name: _activation(view) for name, view in views.items()}
    common: tuple[float | None, float | None] = (None, None)
    if scale == "row":
        common = _common_scales(activations, list(views.values()), colour)
    random = control.maps[0]
    panels: list[Panel | None] = [_input(comparison, views)]
    record: dict[str, Any] = {"layer": control.layer, "models": {}}
    for name, view in views.items():
        pixels, top = display_positive(activations[name], common[0])
        what = "" if view.channel is None or view.activation.dim() < 3 else f"\nof channel {view.channel} alone"
        panels.append(Panel(pixels, scale_text("max", top) + what, "activation"))
        entries = []
        for map, region, neuron in zip(view.maps, view.fields, view.neurons, strict=True):
            shown, a = display_map(_cropped(map, region), colour=colour, scale=common[1])
            caption = scale_text("a", a)
            entry: dict[str, Any] = {"a": a}
            if neuron is not None:
                caption = f"{_neuron(neuron)}\n{caption}"
                entry["neuron"] = list(neuron)
            if not map.any():
                caption += "\nsilent on this image"
                entry["silent"] = True
            elif region is None:
                entry["rank_correlation"] = _alike(comparison, map, random, edges)
                caption += _rho(entry["rank_correlation"])
            else:
                corner = f"{region[0]}, {region[1]}".replace("-", "\N{MINUS SIGN}")
                caption += f"\nfield {region[2]} x {region[3]} px at {corner}"
                entry["receptive_field"] = list(region)
            panels.append(Panel(shown, caption, "reconstruction"))
            entries.append(entry)
        record["models"][name] = {"activation_max": top, "reconstructions": entries}
    shown, a = display_map(_cropped(control.maps[0], control.fields[0]), colour=colour)
    caption = scale_text("a", a)
    record["random"] = {"a": a}
    if not random.any():
        caption += "\nsilent on this image"
    elif control.fields[0] is None:
        record["random"]["rank_correlation"] = _alike(comparison, random, None, edges)
        caption += _rho(record["random"]["rank_correlation"])
    panels.append(Panel(shown, caption, "reconstruction"))
    pixels, top = display_positive(edges)
    panels.append(Panel(pixels, scale_text("max", top), "control"))
    comparison.numbers.append(record)
    return panels


def _activation(view: View) -> npt.NDArray[np.float64]:
    """What the activation panel shows: the seed's own channel where there is one, else the mean over all channels."""
    if view.channel is None or view.activation.dim() < 3:
        return summarise_activation(view.activation)
    return summarise_activation(view.activation[view.channel : view.channel + 1])


def _neuron(neuron: tuple[int, ...]) -> str:
    channel, *place = neuron
    return f"channel {channel}" + (f" at {', '.join(map(str, place))}" if place else "")


def _input(comparison: Comparison, views: Mapping[str, View]) -> Panel:
    """The input, with the receptive fields that the row's maps are cut to."""
    height, width = comparison.image.shape[:2]
    fields = dict.fromkeys(field for view in views.values() for field in view.fields if field is not None)
    boxes = tuple((top, left, h, w) for top, left, h, w in fields if 2 * h * w <= height * width)
    return Panel(comparison.image, "receptive fields" if boxes else "", "input", boxes=boxes)


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def _common_scales(
    activations: Mapping[str, npt.NDArray[np.float64]], views: Sequence[View], colour: bool
) -> tuple[float | None, float | None]:
    """One scale for a row: the largest activation, and the largest |a| of its reconstructions."""
    top = max(float(values.max()) for values in activations.values())
    scales = []
    for view in views:
        for map, region in zip(view.maps, view.fields, strict=True):
            values = np.asarray(_cropped(map, region), np.float64)
            scales.append(display(values if colour else to_grey(values))[1])
    a = min(scales)
    return top or None, a or None
