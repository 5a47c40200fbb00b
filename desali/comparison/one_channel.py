"""Which one channel of a layer is shown: a model's strongest on the image, or the one that an earlier model shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison.kinship import Kinship
from desali.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """The channel that a model shows of a layer.

    Attributes:
        channel: its number.
        same_as: the earlier model whose channel it is; None for the model's own strongest.
        correlation: with that model's, over the images that channels were followed on; None where it is its own, or
            constant.
        frozen: whether it and everything below is equal bit by bit to that model's.
        lost: an earlier model whose channel is not to be found here, though the two share an ancestor.
    """

    channel: int
    same_as: str | None = None
    correlation: float | None = None
    frozen: bool = False
    lost: str | None = None

    @property
    def words(self) -> str:
        """For the caption."""
        if self.same_as is not None:
            how = ", frozen" if self.frozen else "" if self.correlation is None else f", r {self.correlation:.2f}"
            return f"channel {self.channel}, the same as in {self.same_as}{how}"
        gone = f" (that of {self.lost} is not traceable here)" if self.lost else ""
        return f"channel {self.channel}, its own strongest{gone}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return {
            "channel": self.channel, "same_as": self.same_as, "correlation": self.correlation, "frozen": self.frozen,
            "lost": self.lost,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Chosen:
        """What `to_dict` wrote.

        Raises:
            DataError: other data.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise DataError(
                f"a shown channel as data must hold channel and where it comes from, got {data!r}"
            ) from error


def strength(activation: Tensor) -> Floats:
    """How strong each channel of one image is [C]: the sum of its positive activations."""
    values = activation.detach().double().reshape(activation.shape[0], -1).clamp(min=0)
    return np.asarray(values.sum(1).cpu().numpy(), np.float64)


def strongest(activation: Tensor) -> int:
    """The channel with the largest sum of positive activations; the first of several."""
    return int(strength(activation).argmax())


def choose(
    activations: Mapping[str, Tensor], layers: Mapping[str, str], kin: Kinship | None = None
) -> dict[str, Chosen]:
    """The channel that each model shows of one layer on one image.

    The first model shows the strongest of its channels that are traceable in another model, or, where none is, its
    strongest. Every later model shows the channel of the first earlier model in which it is traceable, else its own
    strongest by the same rule.

    Args:
        activations: by model, in their order, [C, *spatial].
        layers: the layer's name in each model.
        kin: which channels are the same; None: not measured.
    """
    names = list(activations)
    found: dict[str, Chosen] = {}
    for index, name in enumerate(names):
        lost = None
        for earlier in names[:index]:
            pair = _pair(kin, earlier, name, layers)
            if pair is None or pair.strangers:
                continue
            channel = found[earlier].channel
            if pair.same(channel):
                r = float(pair.correlation[channel])
                frozen = bool(pair.frozen[channel])
                found[name] = Chosen(channel, earlier, None if np.isnan(r) else round(r, 6), frozen)
                break
            lost = lost or earlier
        else:
            found[name] = Chosen(_own(activations[name], name, names[index + 1 :], layers, kin), lost=lost)
    return found


def _own(activation: Tensor, name: str, later: Sequence[str], layers: Mapping[str, str], kin: Kinship | None) -> int:
    values = strength(activation)
    known = [pair for other in later if (pair := _pair(kin, name, other, layers)) is not None and not pair.strangers]
    if known:
        traced = np.any([pair.traceable for pair in known], axis=0)
        if values[traced].size and values[traced].max() > 0:
            values = np.where(traced, values, -np.inf)
    return int(values.argmax())


def _pair(kin: Kinship | None, one: str, other: str, layers: Mapping[str, str]) -> Any:
    same = layers[one] == layers[other]
    return kin.between(one, other, layers[one]) if kin is not None and same else None
