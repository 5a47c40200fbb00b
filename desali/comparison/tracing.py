"""Which channel after is which channel before, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from desali.evaluation.results import LEAST_PATIENTS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

SILENT = 0.001
ALIVE = 0.01
TIE = 1e-6
"""Correlations that differ by less are equal: float32 signals tell no more. A tie goes to the channel itself."""

FROZEN: Final = "frozen"
KEPT: Final = "kept"
RESHAPED: Final = "reshaped"
TRACEABLE: Final = "traceable"
LOST: Final = "lost"
SILENCED: Final = "silenced"
WOKEN: Final = "woken"
SILENT_THROUGHOUT: Final = "silent throughout"
FAINT: Final = "faint"
UNDECIDED: Final = "undecided"
STATES = (FROZEN, KEPT, TRACEABLE, RESHAPED, LOST, SILENCED, WOKEN, SILENT_THROUGHOUT, FAINT)
"""That a channel can be found in; what a reader is told is `shown`."""


def own_nearest(m: Floats) -> Bools:
    """Whether each channel is its own mutual nearest neighbour [C], of correlations M [C, C].

    The largest signed correlation in its row and in its column is its own; a constant channel (NaN) has none.
    """
    own = np.diagonal(m)
    known = np.where(np.isnan(m), -np.inf, m)
    with np.errstate(invalid="ignore"):
        return np.asarray((own >= known.max(1) - TIE) & (own >= known.max(0) - TIE))


def partners(m: Floats) -> Integers:
    """The channel after that each channel before is most alike to [C]; -1 for a constant one."""
    known = np.where(np.isnan(m), -np.inf, m)
    best = known.argmax(1)
    own = np.diagonal(known)
    best = np.where(own >= known.max(1) - TIE, np.arange(len(m)), best)
    return np.asarray(np.where(np.isneginf(known.max(1)), -1, best), np.int64)


def matched(m: Floats) -> Floats:
    """Correlations of all mutual nearest neighbours; the channels' order changes nothing."""
    known = np.where(np.isnan(m), -np.inf, m)
    rows, columns = known.argmax(1), known.argmax(0)
    mutual = (columns[rows] == np.arange(len(m))) & ~np.isneginf(known.max(1))
    return np.asarray(known[np.flatnonzero(mutual), rows[mutual]])


def states(
    frozen: Bools, traceable: Bools, correlation: Floats, before: Floats, after: Floats, floor: float | None
) -> npt.NDArray[np.str_]:
    """The state of every channel [C], in the words of `STATES`.

    Args:
        frozen, traceable: [C].
        correlation: of each channel with itself [C].
        before, after: firing [C].
        floor: the replicates' lower decile of correlations; None without replicates: *kept* and *reshaped* are then one
            state, *traceable*.
    """
    silent, alive = ((before < SILENT, after < SILENT), (before > ALIVE, after > ALIVE))
    if floor is None:
        followed = np.full(len(frozen), TRACEABLE, object)
    else:
        followed = np.where(correlation >= floor, KEPT, RESHAPED).astype(object)
    found = np.where(traceable, followed, LOST)
    both = alive[0] & alive[1]
    found = np.where(both, found, FAINT)
    found = np.where(silent[0] & silent[1], SILENT_THROUGHOUT, found)
    found = np.where(alive[0] & silent[1], SILENCED, found)
    found = np.where(silent[0] & alive[1], WOKEN, found)
    return np.asarray(np.where(frozen, FROZEN, found), np.str_)


def decided(patients: int) -> bool:
    """Whether images of so many patients (or of what takes their place) can say what became of a channel.

    The limit is that of every test of `desali.evaluation`.
    """
    return patients >= LEAST_PATIENTS


def shown(state: str, decided: bool) -> str:
    """The word for a state that a reader is given: with too few patients *undecided*; *frozen* is read off weights."""
    return state if decided or state == FROZEN else UNDECIDED


def in_words(counts: Mapping[str, int], decided: bool) -> str:
    """How many channels are in each state; what cannot be decided is said to be so before what was found."""
    found = {state: count for state, count in counts.items() if count}
    firm = [f"{count} {state}" for state, count in found.items() if shown(state, decided) != UNDECIDED]
    open_ = [f"{count} {state}" for state, count in found.items() if shown(state, decided) == UNDECIDED]
    total = sum(count for state, count in found.items() if shown(state, decided) == UNDECIDED)
    return ", ".join([*firm, *([f"{total} {UNDECIDED} (here: {', '.join(open_)})"] if open_ else [])])


def why_undecided(patients: int, unit: str = "patient") -> str:
    """Why no state is decided, in a sentence; "" where there are enough patients."""
    if decided(patients):
        return ""
    return (
        f"Fewer than {LEAST_PATIENTS} {unit}s ({patients}), so that it is undecided what became of a channel, unless "
        "its weights are frozen: what is found in these images may not hold for others."
    )


def decided_in(images: Mapping[str, Any]) -> bool:
    """`decided` by what a record says of its images; where patients are not known each image counts as its own."""
    return decided(int(images["count"] if images.get("patients") is None else images["patients"]))


def told(layer: Mapping[str, Any], images: Mapping[str, Any]) -> dict[str, Any]:
    """A layer of a lineage's record with the states of its channels as a reader is told them.

    Args:
        images: what the record says of its images.
    """
    each, enough = layer["each_channel"], decided_in(images)
    return {**layer, "each_channel": {**each, "state": [shown(state, enough) for state in each["state"]]}}
