"""What chance alone would show: networks with random weights, and when two networks are strangers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from desali.errors import DataError, DesaliError

if TYPE_CHECKING:
    from torch import nn

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_STREAM = 0x11EA6E
"""Sets these seeds apart from the small numbers that trainings start from: one of them could be the very ancestor."""
WAY_OUT, WITHOUT = "give its layers that method", ", or ask for random_networks=0"
FEW = 0.25
"""Share of traceable channels at or below which networks can be strangers where 3 channels are no small share."""


def random_seeds(count: int, seed: int) -> list[int]:
    """Seeds of random networks, a function of `seed` alone."""
    return [int(state) for state in np.random.SeedSequence([seed, _STREAM]).generate_state(count)]


def random_network(model: nn.Module, seed: int, needed: bool = False) -> tuple[nn.Module, list[str]]:
    """The network with weights drawn anew by each layer's own initialisation, and the weights that no layer drew anew.

    Args:
        needed: whether the comparison cannot do without.

    Raises:
        DataError: no weight is drawn anew.
    """
    from desali.comparison.controls import randomised

    way_out = WAY_OUT if needed else WAY_OUT + WITHOUT
    try:
        twin = randomised(model, seed)
    except DesaliError as error:
        raise DataError(f"{error}: no network with random weights to compare with; {way_out}") from error
    own = {name: tensor for name, tensor in model.named_parameters() if tensor.dim() > 1}
    drawn = dict(twin.named_parameters())
    kept = [name for name, tensor in own.items() if bool((tensor == drawn[name]).all())]
    if own and len(kept) == len(own):
        raise DataError(f"no layer of the network draws its weights anew (reset_parameters); {way_out}")
    return twin, kept


@dataclass(frozen=True)
class Null:
    """What a layer shows between the network after and networks with random weights.

    Attributes:
        traceable: the share of traceable channels of each random network.
        correlation: the median correlation of a channel with itself, of each.
        matched: the median correlation of mutual nearest neighbours, of each.
    """

    traceable: tuple[float, ...] = ()
    correlation: tuple[float, ...] = ()
    matched: tuple[float, ...] = ()


def strangers(traceable: Bools, correlation: Floats, null: Null) -> bool:
    """Whether a layer's channels are no more alike to themselves than two unrelated networks' are.

    So it is if at most 3 channels are traceable (of fewer than 12 channels that are not constant, a quarter), or if the
    median correlation of a channel with itself is not above the largest of the random networks. Constant channels say
    nothing; where all are constant, nothing says that they are strangers.

    Args:
        traceable: [C].
        correlation: of each channel with itself [C]; NaN for a constant one.
    """
    known = int((~np.isnan(correlation)).sum())
    if not known:
        return False
    if traceable.sum() <= min(3, FEW * known):
        return True
    middle = [value for value in null.correlation if not np.isnan(value)]
    return bool(middle) and median(correlation) <= max(middle)


def median(values: Sequence[float] | Floats) -> float:
    """The median of what is not NaN; NaN if nothing is."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(np.median(known)) if len(known) else float("nan")
