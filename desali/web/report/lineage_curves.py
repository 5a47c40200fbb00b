"""What changed between two networks, from the record of a lineage: the verdict in parts, curves by depth, a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desali.comparison import tracing
from desali.figures.lineage import endings
from desali.web.found import Source, damaged
from desali.web.report.charts import Chart
from desali.web.report.image_sets import Images, of_lineage
from desali.web.report.lineage_words import sentences

PURPOSE = {
    "shares": "Channels that are still themselves",
    "states": "What became of the channels",
    "similarity": "Similarity of layers (CKA, input removed)",
    "probe": "Linear probe (balanced accuracy)",
    "purity": "Class purity of the nine strongest images",
}
MEANING = {
    "shares": (
        "A channel counts if of all channels after the one of its own number answers most like it. Above the grey "
        "band something is left of the network before."
    ),
    "states": (
        "Kept and reshaped channels are still themselves; lost ones answer more like another channel; silenced ones "
        "stopped answering, woken ones began to."
    ),
    "similarity": "1: both networks find the same images alike. In the grey band: as with a network of random weights.",
    "probe": (
        "How well a simple rule names the class from this layer, on patients that it has not seen. Dashed: from "
        "brightness and contrast of the image alone."
    ),
    "purity": (
        "Of the nine images that excite a channel most, the share of one class. High by chance where classes are few: "
        "compare with the grey band."
    ),
}
"""How a chart is read."""
STATE_COLOURS = {
    "frozen": "frozen",
    "kept": "kept",
    "traceable": "kept",
    "reshaped": "reshaped",
    "lost": "lost",
    "silenced": "silenced",
    "woken": "woken",
    "silent throughout": "silent",
    "faint": "faint",
    "undecided": "undecided",
}
NUMBERS = ("similarity", "probe", "purity")


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names the rows."""

    head: list[str]
    rows: list[list[str]]
    caption: str = ""


@dataclass(frozen=True)
class Change:
    """A lineage as a page shows it.

    Attributes:
        title: which stage, or which networks.
        verdict: in words, a sentence or two for each number.
        said: the sentence as the command printed it.
        layers: names in forward order.
        strangers: those whose channels are strangers to themselves; all of two networks that share no ancestor.
        charts: curves by depth.
        table: every number of them.
        notes: what the numbers rest on.
        images: that the channels were followed on.
        key: of networks and images: equal for the same lineage in two files.
        before, after: SHA-256 of the weights of the two networks, "" if it is not known.
        record: as it lies on disk.
        path: where.
    """

    title: str
    verdict: list[str]
    said: str
    layers: list[str]
    strangers: frozenset[str]
    charts: list[Chart]
    table: Table
    notes: list[str]
    images: Images
    key: str
    before: str
    after: str
    record: dict[str, Any]
    path: Path


def change_of(source: Source) -> Change:
    """Read the record of a lineage.

    Raises:
        DataError: it lacks something.
    """
    try:
        return _change(source)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(source.path, error) from error


def arrows(title: str) -> str:
    """A title with arrows as signs."""
    return title.replace(" -> ", " → ")


def percent(value: float | None) -> str:
    """A share in per cent; a dash for None."""
    return "–" if value is None else f"{value:.0%}".replace("%", " %")


def _change(source: Source) -> Change:
    value = source.value
    layers: list[dict[str, Any]] = [dict(layer) for layer in value["layers"]]
    if not layers:
        raise ValueError("layers is empty")
    names = endings([str(layer["layer"]) for layer in layers])
    strangers = bool(value["strangers"])
    nets = value["networks"]
    before, after = (str(nets[name].get("weights_sha256") or "") for name in ("before", "after"))
    units = tracing.units_in(value["images"])
    charts = [_shares(names, layers)] + ([] if strangers else [_states(names, layers, units)])
    charts += [made for name in NUMBERS if (made := _numbers(name, names, layers)) is not None]
    title = str(value.get("title") or "before to after")
    return Change(
        title=arrows(title),
        verdict=sentences(value),
        said=str(value["verdict"]).removeprefix(f"{title}: "),
        layers=[str(layer["layer"]) for layer in layers],
        strangers=frozenset(str(layer["layer"]) for layer in layers if strangers or layer["strangers"]),
        charts=charts,
        table=_table(layers),
        notes=[str(note) for note in value["notes"]],
        images=of_lineage(value),
        key=f"{before} {after} {value['images']['sha256']}",
        before=before,
        after=after,
        record=value,
        path=source.path,
    )


def _ends(layer: dict[str, Any], low: str, high: str) -> tuple[float, float] | None:
    a, b = layer.get(low), layer.get(high)
    return None if a is None or b is None else (float(a), float(b))


def _column(layers: Sequence[dict[str, Any]], name: str) -> list[float | None]:
    return [None if layer.get(name) is None else float(layer[name]) for layer in layers]


def _known(values: Sequence[float | None]) -> bool:
    return any(value is not None for value in values)


def _shares(names: list[str], layers: list[dict[str, Any]]) -> Chart:
    said = []
    for layer in layers:
        ends = _ends(layer, "low", "high")
        interval = f" ({percent(ends[0])} to {percent(ends[1])})" if ends else ""
        said.append(f"{layer['layer']} {percent(float(layer['traceable']))}{interval}")
    chart = Chart(names, 0, 1.0, PURPOSE["shares"], f"Share of traceable channels: {', '.join(said)}.", percent)
    chart.note = MEANING["shares"]
    chart.band(_column(layers, "random_low"), _column(layers, "random_high"), "random", "networks with random weights")
    chart.line(_column(layers, "chance"), "chance", "chance, 1 / channels", "dots", dots=False)
    floor = _column(layers, "replicate_low")
    if _known(floor):
        chart.line(floor, "floor", "after to replicate: the noise floor", "dash")
    chart.line([float(layer["traceable"]) for layer in layers], "c0", "before to after, 95 % by patient")
    chart.whiskers([_ends(layer, "low", "high") for layer in layers], "c0")
    return chart


def _found(layer: dict[str, Any], state: str) -> int:
    return int(layer[f"channels_{state.replace(' ', '_')}"])


def _count(layer: dict[str, Any], word: str, decided: bool) -> int:
    """Channels whose state a reader is told by this word."""
    return sum(_found(layer, state) for state in tracing.STATES if tracing.shown(state, decided) == word)


def _states(names: list[str], layers: list[dict[str, Any]], units: tracing.Units) -> Chart:
    parts: list[tuple[str, str, list[float]]] = []
    said = []
    decided = units.decided
    for word in (*tracing.STATES, tracing.UNDECIDED):
        shares = [
            0.0 if layer["strangers"] else _count(layer, word, decided) / int(layer["channels"]) for layer in layers
        ]
        label = f"undecided: {units.lack}" if word == tracing.UNDECIDED else word
        parts.append((label, STATE_COLOURS[word], shares))
    for layer in layers:
        words = tracing.in_words({state: _found(layer, state) for state in tracing.STATES}, decided)
        said.append(f"{layer['layer']}: {'strangers' if layer['strangers'] else words}")
    apart = [1.0 if layer["strangers"] else 0.0 for layer in layers]
    chart = Chart(names, 0, 1.0, PURPOSE["states"], "; ".join(said), percent)
    chart.note = MEANING["states"]
    chart.stack([*parts, ("strangers: no channel has a counterpart", "strangers", apart)])
    return chart


def _numbers(name: str, names: list[str], layers: list[dict[str, Any]]) -> Chart | None:
    paired = name != "similarity"
    after, before = (f"{name}_after", f"{name}_before") if paired else (name, "")
    values = _column(layers, after)
    if not _known(values):
        return None
    drawn = [values, *(_column(layers, f"{name}_{end}") for end in ("random_low", "random_high", "replicate_low"))]
    drawn += [_column(layers, before)] if paired else []
    drawn += [_column(layers, f"{after}_{end}") for end in ("low", "high")]
    known = [value for column in drawn for value in column if value is not None]
    low = min(0.0, *known) if not paired else max(0.0, min([*known, *_levels(name, layers)]) - 0.05)
    said = ", ".join(
        f"{layer['layer']} {_span(value, _ends(layer, f'{after}_low', f'{after}_high'))}"
        for layer, value in zip(layers, values, strict=True)
    )
    chart = Chart(names, low, 1.0 if not paired else min(1.0, max(known) + 0.05), PURPOSE[name], said, "{:.1f}".format)
    chart.note = MEANING[name]
    random = [_column(layers, f"{name}_random_{end}") for end in ("low", "high")]
    chart.band(random[0], random[1], "random", "networks with random weights")
    floor = _column(layers, f"{name}_replicate_low")
    if _known(floor):
        chart.line(floor, "floor", "replicate of after" if paired else "after to replicate: the noise floor", "dash")
    if name == "probe":
        chart.level(float(layers[0]["probe_input"]), "ink", "the input's mean and deviation", "dash")
        chart.level(float(layers[0]["probe_chance"]), "chance", "chance")
    if paired:
        chart.line(_column(layers, before), "c1", "before")
        chart.whiskers([_ends(layer, f"{before}_low", f"{before}_high") for layer in layers], "c1")
    chart.line(values, "c0", "after, 95 % by patient" if paired else "before to after, 95 % by patient")
    chart.whiskers([_ends(layer, f"{after}_low", f"{after}_high") for layer in layers], "c0")
    return chart


def _levels(name: str, layers: list[dict[str, Any]]) -> list[float]:
    return [float(layers[0]["probe_input"]), float(layers[0]["probe_chance"])] if name == "probe" else []


def _span(value: float | None, ends: tuple[float, float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if ends is None else f"{value:.2f} ({ends[0]:.2f}–{ends[1]:.2f})"


def _table(layers: list[dict[str, Any]]) -> Table:
    head = ["layer", "channels", "traceable, 95 %", "random weights", "replicate", "median r"]
    more = [name for name in NUMBERS if _known(_column(layers, name if name == "similarity" else f"{name}_after"))]
    words = {
        "similarity": ["CKA, 95 %"],
        "probe": ["probe before", "probe after"],
        "purity": ["purity before", "purity after"],
    }
    for name in more:
        head += words[name]
    rows = []
    for layer in layers:
        ends = _ends(layer, "low", "high")
        own = [str(layer["layer"]), str(layer["channels"])]
        own.append(
            percent(float(layer["traceable"])) + (f" ({ends[0]:.0%}–{ends[1]:.0%})".replace("%", " %") if ends else "")
        )
        own += [_range(layer, "random"), _range(layer, "replicate")]
        own.append("–" if layer["correlation"] is None else f"{float(layer['correlation']):.2f}")
        for name in more:
            fields = [name] if name == "similarity" else [f"{name}_before", f"{name}_after"]
            own += [_span(_column([layer], one)[0], _ends(layer, f"{one}_low", f"{one}_high")) for one in fields]
        rows.append(own)
    return Table(head, rows, "Every layer in numbers, 95 % intervals by patient")


def _range(layer: dict[str, Any], name: str) -> str:
    ends = _ends(layer, f"{name}_low", f"{name}_high")
    if ends is None:
        return "–"
    low, high = percent(ends[0]), percent(ends[1])
    return low if low == high else f"{low} to {high}"
