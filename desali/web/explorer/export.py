"""A view as a figure to hand on: every picture beside its control, and the record of all numbers."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from desali.comparison.controls import too_few
from desali.data.roi import Roi
from desali.figures.captions import around_zero
from desali.figures.drawing.panel import Cell, Column, Grid, Panel, Words
from desali.figures.facts import method_words
from desali.figures.figure import KIND
from desali.figures.footnote import CONTRAST
from desali.figures.inputs import image_facts
from desali.figures.sources import RANDOM, kept_words
from desali.figures.words import percent
from desali.models.checkpoint import versions
from desali.reversal.methods import method as find_method
from desali.web.explorer import cards
from desali.web.explorer.networks import Networks
from desali.web.explorer.projection import Seen
from desali.web.explorer.rendering import Picture
from desali.web.explorer.shelf import Entry
from desali.web.explorer.state import State

DPI = 150
NOTE = (
    "Beside each model stands the same network with random weights, and how alike its map is to those of several such "
    "draws (rank correlation after a slight blur): a map as like them as that shows the image, not what was learned. A "
    "class score is no probability of a finding. No picture here "
    "explains a decision. Not a medical device."
)
UNLIKE = "Unlike what it was trained on:"
"""Before what makes an image so."""
_DRAWING = threading.Lock()
"""matplotlib draws one figure at a time."""
PAGE = ("png", "rows", "words")
"""What a page shows and a record says otherwise."""
RECORD = "desali"
"""The key under which a PNG holds its record."""


def grid_of(
    seen: Sequence[Seen], state: State, networks: Networks, entry: Entry, numbers: Mapping[str, Any],
    errors: Sequence[str],
) -> Grid:  # fmt: skip
    """One row: the image, then every network beside its control."""
    first = seen[0]
    told = {one["index"]: one for one in numbers["models"]}
    input = networks.input(first.index, entry)
    fields = {one.field for one in seen if one.neuron is not None}
    box = (first.field,) if len(fields) == 1 and first.neuron is not None and first.field is not None else ()
    columns = [Column("input")]
    cells: list[Cell] = [Panel(input.picture, "receptive field" if box else "", "input", boxes=box)]
    for one in seen:
        own = told[one.index]
        head = f"{own['what']}, {own['role']}" if own["role"] else own["what"]
        columns += [Column(head, one.name), Column(RANDOM, one.name)]
        said = [] if one.channel is None else [f"channel {one.channel}"]
        said.append(f"{one.measure} {one.value:.3g}")
        said += _followed(own["facts"])
        cells.append(_panel(one.picture, said))
        drawn = own.get("draws")
        alike = f"likeness {drawn['words']}" if drawn else "likeness –"
        null = "" if one.null is None else f"noise within ±{one.null:.2f}"
        shared = own["control"]["shared"] if own["control"] else 1
        same = f"one draw for all {shared}" if shared > 1 else ""
        cells.append(Words("no control") if one.control is None else _panel(one.control, [alike, null, same]))
    layers = list(dict.fromkeys(one.layer for one in seen))
    contrast = CONTRAST if state.source == "contrast" else ""
    scale = "All pictures and controls have one scale." if state.common else ""
    source = f"Image of {entry.set}: {entry.origin or 'origin unknown'}." if entry.set else ""
    note = " ".join(part for part in (source, input.words, trained_words(networks, [one.index for one in seen]),
                                      *_doubts(numbers), kept_of(networks, seen), networks.without_control,
                                      too_few(networks.draws), contrast, scale, *errors, NOTE) if part)  # fmt: skip
    return Grid(["\n".join(layers)], columns, [cells], f"{entry.name}: {numbers['sentence']}", note)


def _followed(facts: Mapping[str, Any]) -> list[str]:
    """What a lineage says of a channel, in words."""
    state, r, firing = (facts.get(name) for name in ("state", "r", "firing"))
    known = [] if state is None else [str(state) if r is None else f"{state}, r {r:.2f}"]
    return known if firing is None else [*known, f"fires at {percent(firing)}"]


def trained_words(networks: Networks, indices: Sequence[int]) -> str:
    """What the models were trained on, each kind of data once."""
    names: dict[str, list[str]] = {}
    for index in indices:
        names.setdefault(cards.trained_on(networks.shown[index]), []).append(networks.shown[index].name)
    return "Trained on " + "; ".join(f"{words} ({', '.join(own)})" for words, own in names.items()) + "."


def kept_of(networks: Networks, seen: Sequence[Seen]) -> str:
    """What the networks with random weights keep, each sentence once."""
    said = dict.fromkeys(kept_words(networks.shown[one.index].model) for one in seen if one.beside is not None)
    return " ".join(one for one in said if one)


def _doubts(numbers: Mapping[str, Any]) -> list[str]:
    """What makes the image unlike those of the training, each reason once with the models that it is of."""
    names: dict[str, list[str]] = {}
    for one in numbers["models"]:
        if one.get("doubts"):
            names.setdefault("; ".join(one["doubts"]), []).append(one["name"])
    return [f"{UNLIKE} {words} ({', '.join(own)})." for words, own in names.items()]


def _panel(picture: Picture, said: Sequence[str]) -> Panel:
    words = [*said, around_zero(-picture.scale)] if picture.scale else [*said, "silent"]
    kind = "contrast" if picture.contrast else "reconstruction"
    return Panel(picture.pixels, "\n".join(word for word in words if word), kind)


def record_of(
    numbers: Mapping[str, Any], state: State, networks: Networks, entry: Entry, indices: Sequence[int]
) -> dict[str, Any]:
    """All that is known of the view, JSON-serialisable; no pictures."""
    image = entry.load()
    rule = networks.shown[indices[0]].rule if indices else networks.shown[0].rule
    facts = image_facts(image, rule, None)
    if isinstance(image, Roi) and image.path is None:
        facts |= {"name": entry.name, "label": entry.label or None, "patient": entry.patient or None}
    if entry.set:
        facts |= {"set": entry.set, "origin": entry.origin or None}
    return {
        "kind": KIND,
        "figure": "view",
        "state": str(state),
        "title": f"{entry.name}: {numbers['sentence']}",
        "scale": "common" if state.common else "own",
        "image": facts,
        "networks": {
            networks.shown[k].name: {
                **networks.shown[k].facts(), "spec": networks.specs[k] or None,
                "preprocessing": networks.shown[k].rule.to_dict(), **_of_card(networks, k),
            }
            for k in indices
        },
        "control": {"random_seed": networks.random_seed, "networks": networks.draws},
        "method": find_method(state.method).to_dict(),
        "method_in_words": method_words(state.method),
        "command": numbers.get("command") or None,
        "models": [
            {key: _bare(value) for key, value in one.items() if key not in PAGE} for one in numbers["models"]
        ],
        "note": " ".join(part for part in (too_few(networks.draws), NOTE) if part),
        "versions": versions(),
    }  # fmt: skip


def _of_card(networks: Networks, index: int) -> dict[str, Any]:
    """What the card of a network says of its training, in words and as it stands there."""
    one = networks.shown[index]
    data = one.card.get("data")
    return {
        "trained_on": cards.trained_on(one),
        "origin": one.card.get("origin"),
        "data": data.get("name") if isinstance(data, Mapping) else None,
        "lineage": one.card.get("lineage"),
        "classes": {name: cards.class_words(one).get(name) for name in one.classes},
    }


def _bare(value: Any) -> Any:
    return {key: own for key, own in value.items() if key not in PAGE} if isinstance(value, dict) else value


def drawn(grid: Grid, record: Mapping[str, Any], kind: str) -> bytes:
    """The figure as PNG or SVG, which holds the record too.

    Args:
        kind: "png" or "svg".
    """
    from desali.figures.drawing.grid import render

    buffer = io.BytesIO()
    stamp = {RECORD if kind == "png" else "Description": json.dumps(record, allow_nan=False)}
    with _DRAWING:
        render(grid, buffer, kind, DPI, stamp)
    return buffer.getvalue()
