"""Which channels a sheet shows: by a rule that stands on it, never by eye, and always two drawn at random beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from desali.comparison import tracing
from desali.comparison.ancestry import LayerLineage
from desali.errors import DataError

Floats = npt.NDArray[np.float64]
RANDOM = 2
KEPT, RESHAPED, SILENCED, WOKEN = 2, 3, 1, 1
FIRST = KEPT + RESHAPED + SILENCED + WOKEN
DRAWN = "drawn at random"
NAMED = "named"
_STREAM = 0x5EE7
"""Sets the draw of channels apart from what else is drawn by the same seed."""


@dataclass(frozen=True)
class Choice:
    """One column of a sheet.

    Attributes:
        channel: its number.
        why: what it was chosen for.
    """

    channel: int
    why: str


def named(channels: Sequence[int], count: int, layer: str) -> list[Choice]:
    """Channels that a user names.

    Raises:
        DataError: none, one twice, no whole numbers, or one that the layer has not.
    """
    found: list[int] = []
    for channel in channels:
        if isinstance(channel, bool) or not hasattr(channel, "__index__"):
            raise DataError(f"channels must be whole numbers, got {channel!r}")
        if not 0 <= int(channel) < count:
            raise DataError(
                f"channel {int(channel)} is outside layer {layer!r}, which has {count}: use 0 to {count - 1}"
            )
        if int(channel) in found:
            raise DataError(f"channel {int(channel)} is named twice")
        found.append(int(channel))
    if not found:
        raise DataError("channels must name at least one; leave it out for a choice by rule")
    return [Choice(channel, NAMED) for channel in found]


def of_pair(layer: LayerLineage, seed: int) -> tuple[list[Choice], str]:
    """Channels of two networks by the rule of the sheet, and the rule in words.

    The two at random are drawn first, from all channels, so that the rule cannot thin them out.
    """
    with np.errstate(all="ignore"):
        trainings = np.vstack([layer.correlation[None], layer.repeated_correlation])
        known = ~np.isnan(trainings)
        mean = np.where(known, trainings, 0).sum(0) / np.maximum(known.sum(0), 1)
    drawn = _drawn(layer.channels, seed)
    taken = set(drawn)
    found: list[Choice] = []

    def take(state: str, why: str, score: Floats, most: int) -> None:
        inside = [int(c) for c in np.flatnonzero(layer.state == state) if int(c) not in taken]
        for channel in sorted(inside, key=lambda c: (-score[c], c))[:most]:
            taken.add(channel)
            found.append(Choice(channel, why))

    here = "" if layer.decided else tracing.HERE
    if layer.floor is None:
        high, low = ("traceable, highest r", "traceable, lowest r") if layer.decided else ("highest r", "lowest r")
        take(tracing.TRACEABLE, high, mean, KEPT)
        take(tracing.TRACEABLE, low, -mean, RESHAPED)
        said = (
            f"{KEPT} traceable of the highest and {RESHAPED} of the lowest r (kept and reshaped are not told apart "
            "without replicates)"
        )
    else:
        take(tracing.KEPT, tracing.KEPT + here, mean, KEPT)
        take(tracing.RESHAPED, tracing.RESHAPED + here, -mean, RESHAPED)
        of = f"over {len(trainings)} trainings"
        said = f"{KEPT} kept of the highest and {RESHAPED} reshaped of the lowest mean r {of}"
    take(tracing.SILENCED, tracing.SILENCED + here, layer.firing_before, SILENCED)
    take(tracing.WOKEN, tracing.WOKEN + here, layer.firing_after, WOKEN)
    rule = (
        f"{said}, the silenced one that fired most before, the woken one that fires most after, as far as there are any"
    )
    rule += "" if layer.decided else " (states as they are found in these images, and undecided)"
    return [*found, *(Choice(channel, DRAWN) for channel in drawn)], f"{rule}; {_random_words(drawn, seed)}"


def of_one(score: Floats, why: str, words: str, seed: int) -> tuple[list[Choice], str]:
    """Channels of a single network: those of the highest score, and two at random.

    Args:
        score: of each channel [C]; NaN or -infinity for one that never answers.
        why: over their columns.
        words: what the score is.
    """
    drawn = _drawn(len(score), seed)
    usable = [int(c) for c in np.flatnonzero(np.isfinite(score)) if int(c) not in drawn]
    best = sorted(usable, key=lambda c: (-score[c], c))[:FIRST]
    found = [*(Choice(channel, why) for channel in best), *(Choice(channel, DRAWN) for channel in drawn)]
    return found, f"{len(best)} of the {words}; {_random_words(drawn, seed)}"


def _drawn(channels: int, seed: int) -> list[int]:
    rng = np.random.default_rng([seed, _STREAM])
    return sorted(int(c) for c in rng.permutation(channels)[:RANDOM])


def _random_words(drawn: Sequence[int], seed: int) -> str:
    return f"{len(drawn)} drawn at random from all channels (seed {seed})"
