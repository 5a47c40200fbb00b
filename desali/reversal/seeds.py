"""Seeds: what is put on a layer before the network is run backwards, made in Python, from text or from data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from desali.errors import SeedError, UnknownNameError, nearest

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["neuron", "channel", "layer", "top", "logit", "tensor"]
Value = Literal["one", "activation"]

FORMS = {
    "layer": "layer",
    "channel": "channel:C",
    "neuron": "neuron:C,Y,X (after flattening neuron:C)",
    "top": "top:K or top:K@Y,X",
    "logit": "logit:K",
}
"""Kind of seed -> how it is written as text; C, Y, X and K count from 0, but the K strongest are K."""
DEFAULT_SEED = "layer"
"""What figures project unless another seed is named, as text."""
_FIELDS: dict[str, tuple[str, ...]] = {
    "layer": (),
    "channel": ("channel",),
    "neuron": ("channel", "position"),
    "top": ("count", "position"),
    "logit": ("channel",),
}
_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*")
_NAMES_SHOWN = 20


def _natural(name: str, number: Any, least: int = 0) -> int:
    if isinstance(number, bool) or not hasattr(number, "__index__") or int(number) < least:
        raise SeedError(f"{name} must be a whole number of at least {least}, got {number!r}")
    return int(number)


@dataclass(frozen=True, eq=False, repr=False)
class Seed:
    """A seed signal for one layer; make one with the class methods, `parse` or `from_dict`.

    Seeds are values: two of them are equal if they would put the same on every layer (given tensors: the same object).

    A neuron, top or logit seed is 1 by default (Mahendran and Vedaldi, section 3); a channel or layer seed is the
    layer's actual activations (Suzuki et al.). `value=` says otherwise.
    """

    kind: Kind
    channel_index: int = 0
    position: tuple[int, ...] | None = None
    count: int = 1
    value: Value = "one"
    data: Tensor | None = None

    def __post_init__(self) -> None:
        if self.value not in ("one", "activation"):
            raise SeedError(f"value must be 'one' or 'activation', got {self.value!r}")

    @classmethod
    def neuron(cls, channel: int, *position: int, value: Value = "one") -> Seed:
        """One neuron: its channel and its position, one coordinate per spatial dimension (none after flattening)."""
        at = tuple(_natural("position", coordinate) for coordinate in position)
        return cls("neuron", _natural("channel", channel), at, value=value)

    @classmethod
    def channel(cls, channel: int, *, value: Value = "activation") -> Seed:
        """All neurons of one channel."""
        return cls("channel", _natural("channel", channel), value=value)

    @classmethod
    def layer(cls, *, value: Value = "activation") -> Seed:
        """All neurons of the layer."""
        return cls("layer", value=value)

    @classmethod
    def top(cls, k: int, at: tuple[int, ...] | None = None, *, value: Value = "one") -> Seed:
        """The k strongest neurons of the layer, or the k strongest channels at one position; chosen per image."""
        where = None if at is None else tuple(_natural("at", coordinate) for coordinate in at)
        return cls("top", position=where, count=_natural("k", k, 1), value=value)

    @classmethod
    def logit(cls, k: int, *, value: Value = "one") -> Seed:
        """One class's output; for layers without spatial dimensions."""
        return cls("logit", _natural("logit", k), (), value=value)

    @classmethod
    def tensor(cls, signal: Tensor) -> Seed:
        """Any signal: [N, C, *spatial] (K = 1) or [N, K, C, *spatial]; N = 1 serves every image."""
        return cls("tensor", data=signal)

    @classmethod
    def parse(cls, text: str, value: str | None = None, classes: Sequence[str] = ()) -> Seed:
        """A seed from text, as the command line and configuration files write it.

        Args:
            text: "layer", "channel:C", "neuron:C,Y,X" (as many coordinates as the layer has), "top:K", "top:K@Y,X" (the
                strongest channels at one position) or "logit:K".
            value: "one" or "activation"; None: the kind's own.
            classes: names that a logit may be given by; a name wins over a number.

        Raises:
            UnknownNameError: another kind of seed. SeedError: numbers or a value that do not fit it.
        """
        kind, _, rest = str(text).partition(":")
        kind = kind.strip()
        if kind not in FORMS:
            raise UnknownNameError("kind of seed", kind, FORMS)
        if kind == "logit" and rest.strip() in classes:
            rest = str(list(classes).index(rest.strip()))
        count, at, place = rest.partition("@") if kind == "top" else (rest, "", "")
        try:
            numbers, position = _whole_numbers(count), _whole_numbers(place)
        except ValueError:
            names = _class_names(rest, classes) if kind == "logit" else ""
            raise SeedError(f"seed {_short(text)}: expected {FORMS[kind]} in whole numbers{names}") from None
        wanted = {"layer": 0, "neuron": max(1, len(numbers))}.get(kind, 1)
        if len(numbers) != wanted or bool(at) != bool(position):
            raise SeedError(f"seed {_short(text)}: expected {FORMS[kind]}")
        options: dict[str, Any] = {} if value is None else {"value": value}
        if at:
            options["at"] = tuple(position)
        made: Seed = getattr(cls, kind)(*numbers, **options)
        return made

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Seed:
        """The seed that `to_dict` wrote; "value" may be left out, and so may the "position" of the strongest.

        Raises:
            SeedError: unknown or missing entries, or a given tensor, of which the data hold a fingerprint only.
            UnknownNameError: another kind of seed.
        """
        if not isinstance(data, Mapping):
            raise SeedError(f"a seed as data must be an object with 'kind', got {data!r}")
        kind = data.get("kind")
        if kind == "tensor":
            raise SeedError(
                f"the data of a given tensor hold only its shape {data.get('shape')} and SHA-256: load the tensor and "
                "use Seed.tensor"
            )
        if not isinstance(kind, str) or kind not in _FIELDS:
            raise UnknownNameError("kind of seed", str(kind), _FIELDS)
        known = ("kind", *_FIELDS[kind], "value")
        unknown = [key for key in data if key not in known]
        missing = [key for key in _FIELDS[kind] if key not in data and not (kind == "top" and key == "position")]
        if unknown or missing:
            what = f"unknown entry {unknown[0]!r}" if unknown else f"no entry {missing[0]!r}"
            raise SeedError(f"a {kind} seed as data: {what}, expected {', '.join(known)}")
        options = {} if data.get("value") is None else {"value": data["value"]}
        position = data.get("position")
        if position is not None and not isinstance(position, list | tuple):
            raise SeedError(f"position must be a list of whole numbers, got {position!r}")
        if kind == "top":
            return cls.top(data["count"], None if position is None else tuple(position), **options)
        made: Seed = getattr(cls, kind)(
            *(data[key] for key in _FIELDS[kind] if key == "channel"), *(position or ()), **options
        )
        return made

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable: the kind, what it needs (channel, position, count) and the value.

        Of a given tensor: shape, dtype and the SHA-256 of its values in row-major order.

        Raises:
            SeedError: the given signal is no tensor.
        """
        if self.kind == "tensor":
            return {"kind": "tensor", **_fingerprint(self.data)}
        position = None if self.position is None else list(self.position)
        facts = {"channel": self.channel_index, "position": position, "count": self.count}
        return {"kind": self.kind, **{key: facts[key] for key in _FIELDS[self.kind]}, "value": self.value}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seed) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        if self.kind == "tensor":
            return f"Seed.tensor(<{list(getattr(self.data, 'shape', []))}>)"
        numbers = {"layer": (), "top": (self.count,)}.get(self.kind, (self.channel_index, *(self.position or ())))
        arguments = [str(number) for number in numbers]
        if self.kind == "top" and self.position is not None:
            arguments.append(f"at={self.position}")
        return f"Seed.{self.kind}({', '.join([*arguments, f'value={self.value!r}'])})"

    def _facts(self) -> tuple[Any, ...]:
        data = None if self.data is None else id(self.data)
        return (self.kind, self.channel_index, self.position, self.count, self.value, data)

    @property
    def needs_activation(self) -> bool:
        """Whether the layer's activations must be known to place this seed."""
        return self.kind == "top" or (self.kind != "tensor" and self.value == "activation")

    def describe(self) -> str:
        """A short text for captions and side files."""
        where = "" if not self.position else f" at {', '.join(map(str, self.position))}"
        of = {"one": "set to 1", "activation": "activations"}[self.value]
        names = {
            "neuron": f"neuron {self.channel_index}{where}, {of}",
            "channel": f"channel {self.channel_index}, {of}",
            "layer": f"whole layer, {of}",
            "top": f"top {self.count}{where}, {of}",
            "logit": f"logit {self.channel_index}, {of}",
            "tensor": "given tensor",
        }
        return names[self.kind]


def _whole_numbers(text: str) -> list[int]:
    """The whole numbers with commas between that the text holds.

    Raises:
        ValueError: something else.
    """
    parts = text.split(",") if text.strip() else []
    if not all(_WHOLE.fullmatch(part) for part in parts):
        raise ValueError(text)
    return [int(part) for part in parts]


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def _class_names(wrong: str, classes: Sequence[str]) -> str:
    """The end of a message that offers the classes by name."""
    if not classes:
        return ""
    near = nearest(wrong, classes)
    hint = "" if near is None else f"; did you mean {near!r}?"
    more = ", ..." if len(classes) > _NAMES_SHOWN else ""
    return f", or the name of a class ({', '.join(classes[:_NAMES_SHOWN])}{more}){hint}"


def _fingerprint(data: Any) -> dict[str, Any]:
    import torch

    if not isinstance(data, torch.Tensor):
        raise SeedError(f"Seed.tensor must hold a torch.Tensor, got {type(data).__name__}")
    values = data.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    dtype = str(data.dtype).removeprefix("torch.")
    return {"shape": list(data.shape), "dtype": dtype, "sha256": hashlib.sha256(values.tobytes()).hexdigest()}
