"""What became of the channels of one layer, and of all: the numbers and their nulls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.comparison import probe as probes
from desali.comparison import purity as purities
from desali.comparison import similarity as similarities
from desali.comparison import tracing
from desali.comparison.lineage_table import html_of, tables
from desali.comparison.nulls import Null, median
from desali.comparison.probe import Probe
from desali.comparison.purity import Purity
from desali.comparison.score import Interval, extent, number
from desali.comparison.similarity import Similarity
from desali.comparison.tracing import SILENT, STATES
from desali.errors import UnknownNameError
from desali.output.columns import columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from desali.figures.lineage import LineageFigure

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerLineage:
    """The channels of one layer before and after, followed at the input of the layer's ReLU.

    Attributes:
        name: of the ReLU.
        channels: C.
        traceable: share of channels that are their own mutual nearest neighbour, or frozen.
        interval: 95 % interval of that share, by patient; None where it cannot be had.
        chance: 1 / C.
        null: the same share between each random network and the network after.
        replicate: the same share between the network after and each replicate: the noise floor.
        repeated: the same share between the network before and each replicate: the headline again, with other seeds.
        correlation: of each channel with itself [C]; NaN where it is constant before or after.
        repeated_correlation: of each channel before with itself in each replicate [R, C].
        partner: the channel after that each channel before is most alike to [C]; -1 for a constant one.
        firing_before, firing_after: share of positions where the ReLU is open [C].
        traced: whether each channel is traceable [C], whatever its firing.
        state: of each channel [C], a word of `tracing.STATES`, as it is found in these images.
        decided: whether there are patients enough to say so; `shown` is what a reader is told.
        floor: the replicates' lower decile of correlations of channels with themselves; None without replicates.
        equal: whether all weights of the layer and everything below are bitwise equal.
        strangers: whether the channels are no more alike to themselves than those of two unrelated networks.
        matched: share of channels that have a mutual nearest neighbour of any number, and `matched_correlation` the
            median of their correlations: these do not change when channels are permuted.
        random: what random networks show, for all of these.
        purity: class purity of the images that move its channels most; None without classes.
        probe: balanced accuracy of a linear probe; None without classes.
        similarity: unbiased CKA of before and after.
    """

    name: str
    channels: int
    traceable: float
    interval: Interval
    replicate: tuple[float, ...]
    repeated: tuple[float, ...]
    correlation: Floats
    repeated_correlation: Floats
    partner: npt.NDArray[np.int64]
    firing_before: Floats
    firing_after: Floats
    traced: npt.NDArray[np.bool_]
    state: npt.NDArray[np.str_]
    decided: bool
    floor: float | None
    equal: bool
    strangers: bool
    matched: float
    matched_correlation: float
    random: Null
    purity: Purity | None
    probe: Probe | None
    similarity: Similarity

    @property
    def chance(self) -> float:
        """Share that one channel is."""
        return 1 / self.channels

    @property
    def null(self) -> tuple[float, ...]:
        """Share of traceable channels of each random network."""
        return self.random.traceable

    @property
    def own_correlation(self) -> float:
        """Median correlation of a channel with itself; NaN if all are constant."""
        return median(self.correlation)

    @property
    def no_difference(self) -> bool | None:
        """Whether as many channels are traceable as between replicates.

        None without replicates, and for strangers, of whose channels a share says nothing.
        """
        if not self.replicate or self.strangers:
            return None
        return self.equal or self.traceable >= min(self.replicate)

    @property
    def shown(self) -> npt.NDArray[np.str_]:
        """The state of each channel [C] as a reader is told it: *undecided* with too few patients, unless frozen."""
        return np.array([tracing.shown(state, self.decided) for state in self.state.tolist()], np.str_)

    @property
    def counts(self) -> dict[str, int]:
        """How many channels are found in each state, in the order of `tracing.STATES`."""
        found = Counter(self.state.tolist())
        return {state: found[state] for state in STATES if found[state]}

    def row(self) -> dict[str, Any]:
        """The layer in one flat row; `channels_frozen`, `channels_lost` and so on count the states."""
        low, high = self.interval or (None, None)
        return {
            "layer": self.name,
            "channels": self.channels,
            "traceable": self.traceable,
            "low": low,
            "high": high,
            "chance": self.chance,
            **extent("random", self.null),
            **extent("replicate", self.replicate),
            **extent("repeated", self.repeated),
            "no_difference": self.no_difference,
            "equal": self.equal,
            "strangers": self.strangers,
            "correlation": number(self.own_correlation),
            **extent("random_correlation", self.random.correlation),
            "floor": self.floor,
            "decided": self.decided,
            "matched": self.matched,
            "matched_correlation": number(self.matched_correlation),
            **extent("random_matched_correlation", self.random.matched),
            "silent_before": int((self.firing_before < SILENT).sum()),
            "silent_after": int((self.firing_after < SILENT).sum()),
            **{f"channels_{state.replace(' ', '_')}": int((self.state == state).sum()) for state in STATES},
            **purities.columns(self.purity),
            **probes.columns(self.probe),
            **similarities.columns(self.similarity),
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable: the row, and every channel."""
        return {
            **self.row(),
            "random_networks": list(self.null),
            "replicates": list(self.replicate),
            "repeats": list(self.repeated),
            "each_network": {
                "purity": None if self.purity is None else self.purity.to_dict(),
                "probe": None if self.probe is None else self.probe.to_dict(),
                "similarity": self.similarity.to_dict(),
            },
            "each_channel": {
                "correlation": [number(value) for value in self.correlation],
                "partner": self.partner.tolist(),
                "traceable": self.traced.tolist(),
                "firing_before": self.firing_before.tolist(),
                "firing_after": self.firing_after.tolist(),
                "state": self.state.tolist(),
            },
        }

    def __repr__(self) -> str:
        return f"LayerLineage({self.name!r}, {self.traceable:.0%} of {self.channels} channels traceable)"


class Lineage:
    """What training changed between two networks, layer by layer; `desali.lineage` makes it.

    Attributes:
        layers: names of the layers (of their ReLUs) in forward order.
        strangers: whether the two networks share no ancestor, as far as their first layer shows.
        verdict: one sentence.
        notes: what the numbers rest on and what is missing, a sentence each.
        record: images, patients, seeds and weights that were compared, JSON-serialisable.
    """

    def __init__(
        self,
        found: Sequence[LayerLineage],
        strangers: bool,
        verdict: str,
        notes: Sequence[str],
        record: dict[str, Any],
        resolve: Callable[[str], str],
    ) -> None:
        self._found = {layer.name: layer for layer in found}
        self.layers = list(self._found)
        self.strangers = strangers
        self.verdict = verdict
        self.notes = list(notes)
        self.record = record
        self._resolve = resolve

    def __getitem__(self, name: str) -> LayerLineage:
        """The layer of a name: a ReLU's, that of the layer before it, or a container's (its last ReLU).

        Raises:
            UnknownNameError: there is none; the nearest is suggested. It is a KeyError as well.
        """
        if name in self._found:
            return self._found[name]
        try:
            return self._found[self._resolve(name)]
        except UnknownNameError as error:
            raise UnknownLayerError("layer", name, self.layers) from error

    def __iter__(self) -> Any:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def table(self) -> list[dict[str, Any]]:
        """A flat row for each layer, in forward order."""
        return [layer.row() for layer in self]

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable: the verdict, the notes, the record, and every channel of every layer."""
        return {
            "kind": "desali lineage",
            "verdict": self.verdict,
            "strangers": self.strangers,
            "notes": self.notes,
            **self.record,
            "layers": [layer.to_dict() for layer in self],
        }

    def figure(self) -> LineageFigure:
        """Share by depth with its nulls and replicates, and the states of every layer's channels."""
        from desali.figures.lineage import draw

        return draw(self)

    def text(self, notes: bool = True) -> str:
        """The verdict, tables for reading, and the notes."""
        lines = [self.verdict]
        for title, cells in tables(list(self)):
            lines += ["", *([title] if title else []), *columns(cells)]
        return "\n".join([*lines, *(["", *self.notes] if notes else [])])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Lineage({len(self)} layers: {self.verdict})"

    def _repr_html_(self) -> str:
        return html_of(self.verdict, list(self), self.notes)


class UnknownLayerError(UnknownNameError, KeyError):
    """A layer that was not compared; also a KeyError, as `change[name]` is a look-up."""

    __str__ = Exception.__str__
