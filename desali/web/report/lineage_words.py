"""A lineage in words for a reader who trains no networks: each number with what it means, its interval and its null."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from desali.comparison import tracing
from desali.comparison.verdict import silent_most
from desali.output.words import MINUS, listed_layers

Row = Mapping[str, Any]
INTERVAL = "95 % interval"
_NEGATIVE = re.compile(r"(?<=[ (])-(?=\d)")
SCORES = {
    "similarity": (
        "Similarity of a layer before and after (CKA: 1, both find the same images alike; 0, nothing in common)",
        "two networks, one of them with random weights, reach",
    ),
    "probe": (
        "How well the classes can be read off a layer by a simple rule (linear probe; balanced accuracy: 1, always)",
        "networks with random weights reach",
    ),
    "purity": (
        "Class purity: of the nine images that excite a channel most, the share that is of one class",
        "networks with random weights reach",
    ),
}


def sentences(record: Mapping[str, Any]) -> list[str]:
    """What the record of a lineage says, a sentence or two for each number.

    Raises:
        KeyError, TypeError, ValueError: it lacks something.
    """
    rows: list[Row] = list(record["layers"])
    units = tracing.units_in(record["images"])
    if record["strangers"]:
        return [one for one in (units.why, *_strangers(rows, units)) if one]
    changed = [row for row in rows if not row["equal"]]
    if not changed:
        return ["Nothing changed: all weights shown here are equal before and after, bit by bit."]
    found = [units.why]
    if len(changed) < len(rows):
        found.append(f"The weights of {_listed([row for row in rows if row['equal']])} are equal, bit by bit.")
    related = [row for row in changed if not row["strangers"]]
    found += [_kept(related, units), *_silent(related, units), *(_apart(row) for row in changed if row["strangers"])]
    found += [_floor(related, rows), *(_score(name, changed, units) for name in SCORES)]
    return [_NEGATIVE.sub(MINUS, one) for one in found if one]


def span(values: Sequence[float]) -> str:
    """The range of some shares in per cent."""
    low, high = f"{min(values):.0%}", f"{max(values):.0%}"
    return (low if low == high else f"{low} to {high}").replace("%", " %")


def _share(row: Row) -> str:
    """The share of traceable channels with its interval and what random networks reach."""
    beside = [f"{INTERVAL} {span([row['low'], row['high']])}"] if row.get("low") is not None else ["no interval"]
    if row.get("random_low") is not None:
        beside.append(f"random weights {span([row['random_low'], row['random_high']])}")
    return f"{span([row['traceable']])} ({'; '.join(beside)})"


def _kept(rows: Sequence[Row], units: tracing.Units) -> str:
    if not rows:
        return ""
    most, least = max(rows, key=_traceable), min(rows, key=_traceable)
    shown = sorted({rows.index(most), rows.index(least)})
    said = ", ".join(f"{_share(rows[k])} of the channels of {rows[k]['layer']}" for k in shown)
    other = ", the two layers with most and fewest" if len(shown) > 1 and len(rows) > 2 else ""
    return f"Still more like their old selves than like any other channel (traceable{units.here}): {said}{other}."


def _traceable(row: Row) -> float:
    return float(row["traceable"])


def _silent(rows: Sequence[Row], units: tracing.Units) -> list[str]:
    words = {
        tracing.SILENCED: "answered before and hardly answer to any image now",
        tracing.WOKEN: "hardly answered to any image before and do now",
    }
    found = []
    for state, most in silent_most(rows):
        told = tracing.shown(state, units.decided)
        told = state if told == state else f"{told}; {state}{units.here}"
        count, channels = most[f"channels_{state}"], most["channels"]
        found.append(f"{count} of the {channels} channels of {most['layer']} {words[state]} ({told}).")
    return found


def _apart(row: Row) -> str:
    """A layer whose channels are strangers to themselves."""
    count = round(row["traceable"] * row["channels"])
    text = (
        f"At {row['layer']} a channel's number no longer says which channel it is (strangers): {count} of "
        f"{row['channels']} are still most like themselves, {_share(row)}; so there are no states, and no channel has "
        "a counterpart."
    )
    high = row.get("random_matched_correlation_high")
    r = row.get("matched_correlation")
    if high is None or r is None or r <= high:
        return text
    return (
        f"{text} {span([row['matched']])} find each other under any number: a channel before and one after that are "
        f"each other's nearest, with a median correlation r of {r:.2f} (1: the same signal, 0: unrelated; random "
        f"weights up to {high:.2f}; no interval)."
    )


def _floor(rows: Sequence[Row], every: Sequence[Row]) -> str:
    if all(row.get("replicate_low") is None for row in every):
        return (
            "There is no second training of this stage with another random seed (replicate), so that what such a seed "
            "alone would change is not known."
        )
    same = [row for row in rows if row.get("no_difference")]
    if not same:
        return ""
    return (
        f"At {_listed(same)} as many channels are traceable as between two trainings of this stage that differ in the "
        "random seed alone (replicates): no difference shown."
    )


def _score(name: str, rows: Sequence[Row], units: tracing.Units) -> str:
    """Where a number by layer changes most beyond what replicates differ by."""
    beyond = [row for row in rows if row.get(f"{name}_no_difference") is False and not _may_be_nothing(row, name)]
    if not beyond:
        return ""
    words, null = SCORES[name]
    after = name if name == "similarity" else f"{name}_after"
    most = (
        min(beyond, key=lambda row: row[name])
        if name == "similarity"
        else max(beyond, key=lambda row: abs(_gain(row, name)))
    )
    value = f"{most[after]:.2f}{_ends(most, after)}"
    if name != "similarity":
        value = f"from {most[f'{name}_before']:.2f}{_ends(most, f'{name}_before')} to {value}"
    beside = []
    if most.get(f"{name}_difference_low") is not None:
        beside.append(f"difference {_as(_gain(most, name), ':+.2f')}{_ends(most, f'{name}_difference', ':+.2f')}")
    if most.get(f"{name}_random_low") is not None:
        beside.append(f"{null} {_range(most, f'{name}_random')}")
    if name == "probe":
        beside.append(f"brightness and contrast of the image alone {most['probe_input']:.2f}, guessing "
                      f"{most['probe_chance']:.2f}")  # fmt: skip
    if most.get(f"{name}_replicate_low") is not None:
        own = "after against another seed" if name == "similarity" else "another seed"
        beside.append(f"{own} {_range(most, f'{name}_replicate')}")
    tail = f" ({'; '.join(beside)})" if beside else ""
    return f"{words}: at {most['layer']} {value}{tail}. {_beyond(name, most, beyond, units)}"


def _beyond(name: str, most: Row, beyond: Sequence[Row], units: tracing.Units) -> str:
    """In which direction, at which layers, and whether it is worth anything."""
    if not units.decided:
        return "Whether that is more than another random seed changes is undecided."
    if name == "similarity":
        return f"Less alike than replicates are at {_listed(beyond)}."
    parts = [
        f"{word} at {_listed(own)}"
        for word, own in (
            ("higher", [row for row in beyond if _gain(row, name) > 0]),
            ("lower", [row for row in beyond if _gain(row, name) <= 0]),
        )
        if own
    ]
    said = f"After the stage {' and '.join(parts)}, by more than between replicates."
    reached = [words for words, high in (("networks with random weights reach", most.get(f"{name}_random_high")),
                                         ("brightness and contrast alone reach", most.get(f"{name}_input")))
               if high is not None and most[f"{name}_after"] <= high]  # fmt: skip
    return f"{said} At {most['layer']} it is no more than {' and '.join(reached)}." if reached else said


def _may_be_nothing(row: Row, name: str) -> bool:
    """Whether the interval of the difference holds 0, which older records do not ask."""
    low, high = row.get(f"{name}_difference_low"), row.get(f"{name}_difference_high")
    return low is not None and high is not None and low <= 0 <= high


def _gain(row: Row, name: str) -> float:
    return float(row[f"{name}_after"]) - float(row[f"{name}_before"])


def _ends(row: Row, name: str, form: str = ":.2f") -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return "" if low is None or high is None else f" ({INTERVAL} {_as(low, form)} to {_as(high, form)})"


def _as(value: float, form: str) -> str:
    """With more digits where two would make it 0."""
    finer = form.replace(".2f", ".3f") if value and abs(value) < 0.005 else form
    return f"{{{finer}}}".format(value)


def _range(row: Row, name: str) -> str:
    low, high = f"{row[f'{name}_low']:.2f}", f"{row[f'{name}_high']:.2f}"
    return low if low == high else f"{low} to {high}"


def _strangers(rows: Sequence[Row], units: tracing.Units) -> list[str]:
    row = rows[0]
    return [
        "These two networks share no ancestor (strangers): their channels are no more alike than those of unrelated "
        "networks, so that nothing is said of single channels.",
        f"Still more like their old selves than like any other channel (traceable{units.here}): {_share(row)} of the "
        f"channels of {row['layer']}.",
        *(one for one in (_score("probe", rows, units), _score("purity", rows, units)) if one),
    ]


def _listed(rows: Sequence[Row]) -> str:
    return listed_layers([str(row["layer"]) for row in rows])
