"""The main figure: one image, rows of layers, and for each model its activations beside its reconstructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from desali.analysis.sanity import rank_correlation
from desali.analysis.views import Look, View
from desali.figures.display import display, display_map, display_positive, scale_text, summarise_activation, to_grey
from desali.figures.edges import edge_map
from desali.figures.panel import Column, Grid, Panel

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
        scale: "panel" normalises every panel by itself, "row" gives all reconstructions of a layer one scale, and all
            its activations another.
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
        labels.append(_label(control))
    return Grid(labels, columns, rows, title, footnote)


def _label(view: View) -> str:
    shape = " x ".join(map(str, view.activation.shape))
    return f"{view.layer.rpartition('.')[2]}\n{view.layer}\n{shape}"


def _flat(map: Any, colour: bool) -> npt.NDArray[np.float64]:
    """A map as one plane, to compare it with others."""
    return np.abs(np.asarray(map, np.float64)).max(0) if colour else to_grey(map)


def _row(
    comparison: Comparison, views: Mapping[str, View], control: View, edges: npt.NDArray[np.float64], scale: Scale
) -> list[Panel | None]:
    colour = comparison.colour
    activations = {name: summarise_activation(view.activation) for name, view in views.items()}
    common = _common_scales(activations, [*views.values(), control], colour) if scale == "row" else (None, None)
    random = _flat(control.maps[0], colour)
    panels: list[Panel | None] = [Panel(comparison.image, "", "input")]
    record: dict[str, Any] = {"layer": control.layer, "models": {}}
    for name, view in views.items():
        pixels, top = display_positive(activations[name], common[0])
        panels.append(Panel(pixels, scale_text("max", top), "activation"))
        entries = []
        for map in view.maps:
            shown, a = display_map(map, colour=colour, scale=common[1])
            plane = _flat(map, colour)
            likeness = rank_correlation(plane, random), rank_correlation(plane, edges)
            caption = f"{scale_text('a', a)}\n|rho| random {likeness[0]:.2f}, edges {likeness[1]:.2f}"
            panels.append(Panel(shown, caption, "reconstruction"))
            entries.append({"a": a, "rank_correlation": {"random": likeness[0], "edges": likeness[1]}})
        record["models"][name] = {"activation_max": top, "reconstructions": entries}
    shown, a = display_map(control.maps[0], colour=colour, scale=common[1])
    likeness = rank_correlation(random, edges)
    panels.append(Panel(shown, f"{scale_text('a', a)}\n|rho| edges {likeness:.2f}", "reconstruction"))
    record["random"] = {"a": a, "rank_correlation": {"edges": likeness}}
    pixels, top = display_positive(edges)
    panels.append(Panel(pixels, scale_text("max", top), "control"))
    comparison.numbers.append(record)
    return panels


def _common_scales(
    activations: Mapping[str, npt.NDArray[np.float64]], views: Sequence[View], colour: bool
) -> tuple[float | None, float | None]:
    """One scale for a row: the largest activation, and the largest |a| of its reconstructions."""
    top = max(float(values.max()) for values in activations.values())
    scales = []
    for view in views:
        for map in view.maps:
            values = np.asarray(map, np.float64)
            scales.append(display(values if colour else to_grey(values))[1])
    a = min(scales)
    return top or None, a or None
