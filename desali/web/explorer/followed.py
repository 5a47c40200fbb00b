"""What a lineage says of single channels, for two of the explorer's networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from desali.comparison.relu_inputs import resolve
from desali.errors import DataError, DesaliError, UnknownNameError
from desali.web.explorer.answer import Refused
from desali.web.explorer.networks import Networks
from desali.web.found import PICTURES, Source, damaged, find

STRANGERS = (
    "The lineage finds that {before} and {after} are strangers: their channels are no more alike than those of "
    "unrelated networks. One number need not be one channel, and neither r, states nor partners are shown."
)
LINEAGE = "give what desali lineage -o or --picture wrote"
NUMBERS = (
    "traceable", "low", "high", "random_low", "random_high", "chance", "random_correlation_low",
    "random_correlation_high",
    *(f"purity_{which}{end}" for which in ("before", "after", "random") for end in ("", "_low", "_high")),
)  # fmt: skip
EACH = ("correlation", "partner", "firing_before", "firing_after", "state")


class Followed:
    """A lineage of two of the networks.

    Args:
        value: its record.
        before, after: the places of the two.

    Raises:
        KeyError, TypeError: it lacks something.
    """

    def __init__(self, value: Mapping[str, Any], before: int, after: int, names: Sequence[str]) -> None:
        from desali.comparison.tracing import as_shown

        self.before, self.after = before, after
        self.strangers = bool(value["strangers"])
        self.verdict = str(value["verdict"]).removeprefix(f"{value.get('title')}: ").replace("->", "→")
        for layer in value["layers"]:
            _check(layer)
        self._layers = {str(layer["layer"]): as_shown(layer, value["images"]) for layer in value["layers"]}
        self.notes = [STRANGERS.format(before=names[before], after=names[after])] if self.strangers else []

    def to_dict(self) -> dict[str, Any]:
        """As a page takes it."""
        layers = {}
        for name, layer in self._layers.items():
            each = layer["each_channel"]
            layers[name] = {
                "traceable": layer["traceable"],
                "interval": _pair(layer, "low", "high"),
                "null": _pair(layer, "random_low", "random_high"),
                "chance": layer.get("chance"),
                "correlation": each["correlation"],
                "state": each["state"],
                "partner": each["partner"],
                "firing_before": each["firing_before"],
                "firing_after": each["firing_after"],
                "purity": {
                    "before": layer.get("purity_before"),
                    "before_interval": _pair(layer, "purity_before_low", "purity_before_high"),
                    "after": layer.get("purity_after"),
                    "after_interval": _pair(layer, "purity_after_low", "purity_after_high"),
                    "null": _pair(layer, "purity_random_low", "purity_random_high"),
                },
                "strangers": bool(layer.get("strangers")),
            }
        return {
            "before": self.before, "after": self.after, "strangers": self.strangers, "verdict": self.verdict,
            "layers": layers,
        }  # fmt: skip

    def channel(self, index: int, network: Any, layer: str, channel: int, name: str) -> int:
        """The channel that stands for a channel of the network before in another network; of strangers the same number.

        Raises:
            Refused: it has no partner there.
        """
        if index != self.after:
            return channel
        found = self._find(network, layer)
        if self.strangers or (found is not None and found.get("strangers")):
            return channel  # strangers have no partners, which their state says
        if found is None:
            raise Refused(400, f"{name}: {layer} is no layer of the lineage, so no partners are known; use a ReLU")
        partners = found["each_channel"]["partner"]
        if channel >= len(partners):
            raise Refused(404, f"{name}: channel {channel} of {len(partners)}, which count from 0")
        partner = int(partners[channel])
        if partner < 0:
            raise Refused(400, f"{name}: channel {channel} is constant before, so it has no partner")
        return partner

    def facts(self, index: int, network: Any, layer: str, channel: int | None, before: int | None) -> dict[str, Any]:
        """What is known of a channel that is shown; nothing of other networks and layers.

        Args:
            channel: of this network.
            before: the channel of the network before that it stands for.
        """
        found = self._find(network, layer) if index in (self.before, self.after) else None
        if found is None or channel is None or before is None or before >= found["channels"]:
            return {}
        each = found["each_channel"]
        which = "before" if index == self.before else "after"
        own = {
            "layer": found["layer"],
            "firing": each[f"firing_{which}"][channel],
            "purity_of_layer": found.get(f"purity_{which}"),
            "purity_interval": _pair(found, f"purity_{which}_low", f"purity_{which}_high"),
            "purity_null": _pair(found, "purity_random_low", "purity_random_high"),
        }
        if found.get("strangers") or self.strangers:  # of whose channels r, state and partner say nothing
            own["state"] = "strangers"
        else:
            own |= {
                "traceable_in_layer": found["traceable"],
                "traceable_interval": _pair(found, "low", "high"),
                "traceable_null": _pair(found, "random_low", "random_high"),
            }
            own["partner"] = each["partner"][before]
            if channel == before:  # r and state compare a channel with itself
                own |= {
                    "r": each["correlation"][before],
                    "r_null": _pair(found, "random_correlation_low", "random_correlation_high"),
                    "state": each["state"][before],
                }
        return {name: value for name, value in own.items() if value is not None}

    def _find(self, network: Any, layer: str) -> dict[str, Any] | None:
        try:
            return dict(self._layers[resolve(network, layer, list(self._layers))])
        except UnknownNameError:
            return None


def _check(layer: Mapping[str, Any]) -> None:
    """Raise ValueError where a layer's values are none that a lineage writes."""
    name, channels = layer["layer"], layer["channels"]
    for what in EACH:
        values = layer["each_channel"][what]
        if len(values) != channels:
            raise ValueError(f"{name}: {what} does not hold a value for each channel")
        for value in values:
            if what == "state":
                fit = isinstance(value, str)
            elif what == "partner":
                fit = isinstance(value, int) and not isinstance(value, bool) and -1 <= value < channels
            else:
                fit = value is None or _number(value)
            if not fit:
                raise ValueError(f"{name}: {what} holds {value!r:.40}")
    for what in NUMBERS:
        if layer.get(what) is not None and not _number(layer[what]):
            raise ValueError(f"{name}: {what} holds {layer[what]!r:.40}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _pair(layer: Mapping[str, Any], low: str, high: str) -> list[float] | None:
    ends = [layer.get(low), layer.get(high)]
    return None if None in ends else [float(one) for one in ends if one is not None]


def read(file: Path) -> list[Source]:
    """The lineages in a file or folder.

    Raises:
        DesaliError: it holds none.
    """
    record = file.with_suffix(".json")
    if not file.exists():
        raise DesaliError(f"{file}: no such file or folder; {LINEAGE}")
    if file.suffix.lower() in PICTURES and not record.is_file():
        raise DesaliError(f"{file}: is a picture, and its record {record.name} is not beside it; {LINEAGE}")
    try:
        found = find([file]).lineages
    except DataError as error:
        if "damaged" in str(error):
            raise
        raise DesaliError(f"{file}: is no lineage that the explorer can read; {LINEAGE}") from error
    if not found:
        raise DesaliError(f"{file}: holds no lineage; {LINEAGE}")
    return found


def from_files(files: Sequence[Path], networks: Networks) -> tuple[Followed | None, list[str]]:
    """The first lineage of two of the networks, and what is to be said of those that are none.

    Raises:
        DesaliError: a file that holds no lineage.
    """
    notes: list[str] = []
    chosen: Followed | None = None
    for file in files:
        for source in read(file):
            made = _of(source, networks)
            if isinstance(made, str):
                notes.append(made)
            elif chosen is None:
                chosen = made
            else:
                notes.append(f"{source.path}: a second lineage of these networks; the first one is used")
    return chosen, notes + (chosen.notes if chosen is not None else [])


def of_record(value: Mapping[str, Any], networks: Networks, before: int, after: int) -> Followed:
    """A lineage that was computed for two of the networks."""
    return Followed(value, before, after, [one.name for one in networks.shown])


def of_networks(value: Mapping[str, Any], name: str, networks: Networks) -> tuple[Followed | None, list[str]]:
    """A lineage at hand, and what is to be said of it.

    Raises:
        DataError: no lineage.
    """
    made = _of(Source(Path(name), value), networks)
    return (None, [made]) if isinstance(made, str) else (made, made.notes)


def _of(source: Source, networks: Networks) -> Followed | str:
    names = [one.name for one in networks.shown]
    try:
        marks = [source.value["networks"][name]["weights_sha256"] for name in ("before", "after")]
        places = [next((k for k, one in enumerate(networks.shown) if mark == _mark(one)), None) for mark in marks]
        missing = [name for name, place in zip(("before", "after"), places, strict=True) if place is None]
        if missing:
            which = " and ".join(f"the network {name}" for name in missing)
            return f"{source.path}: passed over, {which} of this lineage is not among the models {', '.join(names)}"
        assert places[0] is not None
        assert places[1] is not None
        return Followed(source.value, places[0], places[1], names)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(source.path, error) from error


def _mark(one: Any) -> str:
    return str(one.card.get("weights_sha256") or one.fingerprint)
