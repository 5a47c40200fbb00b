"""What a sheet of channels says of itself: the sentences under it, and its record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from desali.comparison import nulls
from desali.comparison.ancestry import LayerLineage
from desali.comparison.networks import Subject
from desali.comparison.notes import seen_in_training
from desali.comparison.probe_set import ProbeSet
from desali.comparison.strongest import NINE
from desali.comparison.tiles import Tile, class_counts, patients_of

if TYPE_CHECKING:
    from desali.comparison.sheet import Asked, Sheet


def notes(
    networks: Sequence[Subject],
    replicates: bool,
    chosen_on: ProbeSet,
    drawn_from: ProbeSet,
    why_whole: str,
    named: bool,
    place: LayerLineage | None,
) -> list[str]:
    """What the sheet rests on and what it lacks.

    Args:
        networks: all but the random one.
        replicates: whether there are any.
        why_whole: why the choice was not made on other images than those shown.
        named: whether the channels were named by the user.
        place: the lineage at the layer; None for a single network.
    """
    found = []
    if named or chosen_on is drawn_from:
        found.append(f"Drawn from {_counted(drawn_from)}.")
        if not named:
            found.append(f"Chosen on the same images: {why_whole}, so the choice flatters what is shown.")
    else:
        found.append(f"Chosen on {_counted(chosen_on)}, drawn from {_counted(drawn_from)} that the choice did not see.")
    if drawn_from.treatment:
        found.append(drawn_from.treatment)
    counts = drawn_from.class_counts
    if counts is not None:
        found.append(f"Classes of the images drawn from: {', '.join(f'{name} {n}' for name, n in counts.items())}.")
    unit = drawn_from.unit
    if drawn_from.units.count is None:
        found.append("Patients are not known: several of a channel's images may be of one.")
    elif drawn_from.known and drawn_from.count_of_patients == 1:
        found.append(f"All images shown are of one {unit}, so r has no interval.")
    elif drawn_from.known and drawn_from.count_of_patients < NINE:
        found.append(
            f"At most one image a {unit}, as far as {drawn_from.count_of_patients} {unit}s go: one each first, then "
            "the next strongest."
        )
    elif drawn_from.known:
        found.append(f"At most one image a {unit}, unless a channel answers to fewer than {NINE} {unit}s.")
    if place is not None:
        why = chosen_on.units.why
        if why:
            found.append(why)
        if not replicates:
            found.append(
                "No replicates (the same stage from the same parent with another seed): kept and reshaped channels are "
                "not told apart."
            )
        beside = span(place.random.correlation, "+.2f")
        if beside:
            found.append(
                f"Median r of the layer {place.own_correlation:+.2f}, of {len(place.random.correlation)} networks with "
                f"random weights {beside}."
            )
        if place.strangers:
            found.append(
                f"AT THIS LAYER the channels are no more alike to themselves than those of two unrelated networks "
                f"({round(place.traceable * place.channels)} of {place.channels} traceable): one number need not be "
                "one channel."
            )
    return found + seen_in_training(drawn_from, networks)


def _counted(probe: ProbeSet) -> str:
    many = probe.count_of_patients
    return f"{len(probe)} images" + (f" of {many} {probe.unit}{'s' if many > 1 else ''}" if probe.known else "")


def span(values: Sequence[float], form: str = ".2f") -> str:
    """The range of the values that are not NaN; "" if none is."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return ""
    low, high = format(min(known), form), format(max(known), form)
    return low if low == high else f"{low} to {high}"


def record(
    made: Sheet,
    networks: Sequence[Subject],
    probe: ProbeSet,
    chosen_on: ProbeSet,
    place: LayerLineage | None,
    asked: Asked,
) -> dict[str, Any]:
    """JSON-serialisable: the networks, images, channels, the neuron of every tile, and the seeds."""
    drawn_from = made.drawn_from

    def tile(one: Tile) -> dict[str, Any]:
        return {
            "image": one.row,
            "sha256": drawn_from.hashes[one.place],
            "patient": str(drawn_from.patients[one.place]) if drawn_from.known else None,
            "class": None if drawn_from.labels is None else drawn_from.labels[one.place],
            "position": list(one.position),
            "value": one.value,
            "receptive_field": list(one.window),
        }

    columns = []
    for k, column in enumerate(made.columns):
        shown = {}
        for band in made.bands:
            mean, interval = band.relevance[k] if band.relevance else (None, None)
            shown[band.name] = {
                "firing": band.firing[k],
                "classes": class_counts(band.tiles[k], drawn_from),
                "patients": patients_of(band.tiles[k], drawn_from) if drawn_from.known else None,
                **({"relevance": mean, "relevance_interval": interval} if band.relevance else {}),
                "strongest": [tile(one) for one in band.tiles[k]],
            }
        own = {"channel": column.choice.channel, "why": column.choice.why}
        if column.state is not None:
            own |= {
                "state": column.state,
                "r": column.r,
                "r_interval": column.interval,
                "shared": column.shared,
                "shared_with_others": column.others,
            }
        columns.append({**own, "shown": shown})

    def images(part: ProbeSet) -> dict[str, Any]:
        return {
            "count": len(part),
            "sha256": part.fingerprint,
            "patients": part.count_of_patients if part.known else None,
            "units": part.units.count,
            "unit": part.units.name,
            "classes": part.class_counts,
        }

    return {
        "networks": {one.name: one.facts() for one in networks},
        "layer": made.layer.name,
        "channels": made.layer.channels,
        "by": asked.by,
        "rule": made.rule,
        "images": {
            **images(probe),
            "preprocessing": None if probe.preprocessing is None else probe.preprocessing.to_dict(),
            "chosen_on": images(chosen_on),
            "drawn_from": images(drawn_from),
        },
        "random": {"seed": asked.seed, "seeds": nulls.random_seeds(asked.random_networks, asked.seed)},
        "lineage": None if place is None else place.row(),
        "tile": list(made.size),
        "columns": columns,
        "notes": made.notes,
    }
