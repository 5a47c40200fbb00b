"""One sentence that says what changed between two networks, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from desali.comparison.ancestry import LayerLineage
from desali.comparison.lineage_table import share_span
from desali.comparison.tracing import SILENCED, SILENT, WOKEN, Units
from desali.evaluation.results import LEAST_PATIENTS
from desali.output.words import listed_layers

MANY = 0.1
"""Share of a layer's channels from which on silenced or woken ones are worth a word."""
REORDERED = 0.5
"""Share of channels with a mutual partner of any number from which on a layer is called put in another order."""


def verdict(first: LayerLineage, layers: Sequence[LayerLineage], strangers: bool, units: Units) -> str:
    """The sentence.

    Args:
        first: the network's first layer, which may not be among those asked for.
        layers: those asked for, in forward order.
        strangers: whether the first layer says that there is no common ancestor.
        units: that the images are of. Where they decide nothing that is said first, unless all weights are equal,
            which no image has a part in.
    """
    parts = _undecided(units)
    if strangers:
        random = f", {share_span(first.null)} in networks with random weights" if first.null else ""
        parts.append(
            f"{'these' if parts else 'These'} two networks share no ancestor: at {first.name} {_count(first)} of "
            f"{first.channels} channels are traceable{random}"
        )
        return f"{'; '.join(parts)}."
    changed = [layer for layer in layers if not layer.equal]
    if not changed:
        return f"Nothing changed: the weights of {_names(layers)} and of everything below are equal, bit by bit."
    equal = [layer for layer in layers if layer.equal]
    if equal:
        names = [_names(part) if _together(part, layers) else _listed(part) for part in (equal, changed)]
        parts.insert(0, f"{names[0]} {_are(equal)} equal bit by bit, and the change is in {names[1]}")
    related = [layer for layer in changed if not layer.strangers]
    parts += _shares(related)
    parts += _silence(changed, units)
    apart = [layer for layer in changed if layer.strangers]
    parts += [_apart(layer) for layer in apart[:2]]
    if len(apart) > 2:
        parts.append(f"so are those of {len(apart) - 2} more layers")
    same = [layer for layer in related if layer.no_difference]
    if same:
        parts.append(f"in that share no difference shown at {_listed(same)}: replicates differ as much")
    parts += _beyond(changed)
    return f"{'; '.join(parts)}."


def _undecided(units: Units) -> list[str]:
    """What goes before every number of too few patients, or of unknown ones."""
    if units.decided:
        return []
    why = "it is not known whose the images are"
    if units.count is not None:
        one = units.count == 1
        why = f"{units.count} {units.name}{' is' if one else 's are'} fewer than {LEAST_PATIENTS}"
    return [f"undecided, since {why}, and what follows is found in these images alone"]


def silent_most(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """The layer that lost the largest share of its channels to silence, and the one that gained most: state and row.

    Args:
        rows: of layers as `LayerLineage.row` gives them. Strangers have no states and are passed over, and so is a
            share that is not worth a word.
    """
    related = [row for row in rows if not row["strangers"]]
    found = []
    for state in (SILENCED, WOKEN) if related else ():
        most = max(related, key=lambda row: row[f"channels_{state}"] / row["channels"])
        if most[f"channels_{state}"] >= MANY * most["channels"]:
            found.append((state, most))
    return found


def _shares(layers: Sequence[LayerLineage]) -> list[str]:
    """Where most channels are traceable, and where fewest."""
    if not layers:
        return []
    most = max(layers, key=lambda layer: layer.traceable)
    least = min(layers, key=lambda layer: layer.traceable)
    if most.traceable - least.traceable < 0.05:
        span = share_span([layer.traceable for layer in layers])
        return [f"{span} of the channels of {_listed(layers)} are traceable"]
    first, second = sorted((most, least), key=layers.index)
    return [
        f"{first.traceable:.0%} of the channels of {first.name} are traceable, {second.traceable:.0%} of {second.name}"
    ]


def _beyond(layers: Sequence[LayerLineage]) -> list[str]:
    """Which numbers by layer differ between before and after by more than between replicates, and where."""
    found = []
    for words, name in (("similarity (CKA)", "similarity"), ("linear probe", "probe"), ("class purity", "purity")):
        numbers = [(layer, getattr(layer, name)) for layer in layers]
        beyond = [layer for layer, one in numbers if one is not None and one.no_difference is False]
        if beyond:
            found.append(f"{words} at {_listed(beyond)}")
    return [f"beyond what replicates differ by: {', '.join(found)}"] if found else []


def _silence(layers: Sequence[LayerLineage], units: Units) -> list[str]:
    return [
        f"{row['layer']} {state if state == SILENCED else 'woke'} {row[f'channels_{state}']} of "
        f"{row['channels']}{units.here}"
        for state, row in silent_most([layer.row() for layer in layers])
    ]


def _apart(layer: LayerLineage) -> str:
    """A layer in the middle whose channels do not correspond by number."""
    found = [f"{_count(layer)} of {layer.channels} traceable"]
    if layer.random.matched and layer.matched_correlation > max(layer.random.matched):
        order = ": they stand in another order" if layer.matched > REORDERED else ""
        found.append(
            f"but {layer.matched:.0%} have a mutual partner of any number, median r "
            f"{layer.matched_correlation:.2f}{order}"
        )
    silent = [int((firing < SILENT).sum()) for firing in (layer.firing_before, layer.firing_after)]
    if abs(silent[1] - silent[0]) >= MANY * layer.channels:
        found.append(f"{silent[0]} silent before, {silent[1]} after")
    return f"the channels of {layer.name} are strangers to themselves ({', '.join(found)})"


def _count(layer: LayerLineage) -> int:
    return round(layer.traceable * layer.channels)


def _are(layers: Sequence[LayerLineage]) -> str:
    return "is" if len(layers) == 1 else "are"


def _together(part: Sequence[LayerLineage], layers: Sequence[LayerLineage]) -> bool:
    start = layers.index(part[0])
    return list(layers[start : start + len(part)]) == list(part)


def _names(layers: Sequence[LayerLineage]) -> str:
    return layers[0].name if len(layers) == 1 else f"{layers[0].name} to {layers[-1].name}"


def _listed(layers: Sequence[LayerLineage]) -> str:
    return listed_layers([layer.name for layer in layers])
