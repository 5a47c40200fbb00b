"""Which channel after is which channel before, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
HERE: Final = " in these images"
"""Behind a state, or what rests on states, that is undecided: it was found, and no more."""
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


@dataclass(frozen=True)
class Units:
    """The independent units that images are of.

    Attributes:
        count: patients, or what takes their place; None where it is not known whose the images are, since several may
            then be of one patient.
        name: of one, "patient", "view", "sample" or "image".
    """

    count: int | None
    name: str = "patient"

    @property
    def decided(self) -> bool:
        """Whether these images can say what became of a channel; the limit is that of `desali.evaluation`."""
        return self.count is not None and self.count >= LEAST_PATIENTS

    @property
    def lack(self) -> str:
        """What is missing to decide, in a few words."""
        return "patients not known" if self.count is None else f"fewer than {LEAST_PATIENTS} {self.name}s"

    @property
    def here(self) -> str:
        """What goes behind whatever was found in images that decide nothing; "" where they do."""
        return "" if self.decided else HERE

    @property
    def why(self) -> str:
        """Why nothing is decided, in a sentence; "" where there are enough."""
        if self.decided:
            return ""
        lack = (
            "Patients not known" if self.count is None else f"Fewer than {LEAST_PATIENTS} {self.name}s ({self.count})"
        )
        more = ", and several images may be of one" if self.count is None else ""
        return (
            f"{lack}{more}, so that all but equal weights is undecided (what became of a channel, and every number of "
            "a layer): what is found in these images may not hold for others."
        )


def units_in(images: Mapping[str, Any]) -> Units:
    """The units by what a record says of its images: the one place that a record is judged by."""
    count = images.get("units", images.get("patients"))
    return Units(None if count is None else int(count), str(images.get("unit") or "patient"))


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


def as_shown(layer: Mapping[str, Any], images: Mapping[str, Any]) -> dict[str, Any]:
    """A layer of a lineage's record with the states of its channels as a reader is told them.

    Args:
        images: what the record says of its images.
    """
    each, enough = layer["each_channel"], units_in(images).decided
    return {**layer, "each_channel": {**each, "state": [shown(state, enough) for state in each["state"]]}}
