"""One sentence that says what changed between two networks, and where."""

from __future__ import annotations

from collections.abc import Sequence

from desali.comparison.ancestry import LayerLineage, share_span
from desali.comparison.tracing import SILENCED, SILENT, WOKEN, decided
from desali.evaluation.results import LEAST_PATIENTS

MANY = 0.1
"""Share of a layer's channels from which on silenced or woken ones are worth a word."""
REORDERED = 0.5
"""Share of channels with a mutual partner of any number from which on a layer is called put in another order."""


def verdict(
    first: LayerLineage, layers: Sequence[LayerLineage], strangers: bool, patients: int, unit: str = "patient"
) -> str:
    """The sentence.

    Args:
        first: the network's first layer, which may not be among those asked for.
        layers: those asked for, in forward order.
        strangers: whether the first layer says that there is no common ancestor.
        patients: that the images are of, or as many of what takes their place, which `unit` names.
    """
    if strangers:
        random = f", {share_span(first.null)} in networks with random weights" if first.null else ""
        return (
            f"These two networks share no ancestor: at {first.name} {_count(first)} of {first.channels} channels are "
            f"traceable{random}."
        )
    changed = [layer for layer in layers if not layer.equal]
    if not changed:
        return f"Nothing changed: the weights of {_names(layers)} and of everything below are equal, bit by bit."
    parts = []
    equal = [layer for layer in layers if layer.equal]
    if equal:
        names = [_names(part) if _together(part, layers) else _listed(part) for part in (equal, changed)]
        parts.append(f"{names[0]} {_are(equal)} equal bit by bit, and the change is in {names[1]}")
    parts += _undecided(patients, unit)
    related = [layer for layer in changed if not layer.strangers]
    parts += _shares(related)
    parts += _silence(changed)
    apart = [layer for layer in changed if layer.strangers]
    parts += [_apart(layer) for layer in apart[:2]]
    if len(apart) > 2:
        parts.append(f"so are those of {len(apart) - 2} more layers")
    same = [layer for layer in related if layer.no_difference]
    if same:
        parts.append(f"in that share no difference shown at {_listed(same)}: replicates differ as much")
    parts += _beyond(changed)
    return f"{'; '.join(parts)}."


def _undecided(patients: int, unit: str) -> list[str]:
    """What goes before every number of too few patients."""
    if decided(patients):
        return []
    many = f"{patients} {unit}{'s' if patients > 1 else ''}"
    return [f"undecided, since {many} are fewer than {LEAST_PATIENTS}, and what follows is found in these images alone"]


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


def _silence(layers: Sequence[LayerLineage]) -> list[str]:
    """The layer that lost most channels to silence, and the one that gained most."""
    found = []
    for state in (SILENCED, WOKEN):
        most = max(layers, key=lambda layer: layer.counts.get(state, 0) / layer.channels)
        count = most.counts.get(state, 0)
        if not most.strangers and count >= MANY * most.channels:
            found.append(f"{most.name} {state if state == SILENCED else 'woke'} {count} of {most.channels}")
    return found


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
    if len(layers) > 3:
        return f"{len(layers)} layers from {layers[0].name} to {layers[-1].name}"
    names = [layer.name for layer in layers]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
