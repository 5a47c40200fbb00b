"""Seeds: what is put on a layer before the network is run backwards, made in Python, from text or from data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from desali.errors import SeedError
from desali.reversal.seed_forms import FIELDS, FORMS, TRUE, read_data, read_text

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FORMS", "Seed"]

Kind = Literal["neuron", "channel", "layer", "top", "logit", "contrast", "tensor"]
Value = Literal["one", "activation"]
Target = tuple[int, ...] | Literal["predicted", "true"] | None


def _natural(name: str, number: Any, least: int = 0) -> int:
    if isinstance(number, bool) or not hasattr(number, "__index__") or int(number) < least:
        raise SeedError(f"{name} must be a whole number of at least {least}, got {number!r}")
    return int(number)


@dataclass(frozen=True, eq=False, repr=False)
class Seed:
    """A seed signal for one layer; make one with the class methods, `parse` or `from_dict`.

    Seeds are values: two of them are equal if they would put the same on every layer (given tensors: the same object).

    A neuron, top or logit seed is 1 by default (Mahendran and Vedaldi, section 3); a channel or layer seed is the
    layer's actual activations (Suzuki et al.). `value=` says otherwise. A contrast seed is 1 on one class and
    -1 / (K - 1) on each of the other K - 1.
    """

    kind: Kind
    channel_index: int = 0
    position: tuple[int, ...] | None = None
    count: int = 1
    value: Value = "one"
    data: Tensor | None = None
    target: Target = None

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
    def logit(cls, k: int | Sequence[int], *, value: Value = "one") -> Seed:
        """One class's output, or of each image the one that is named; for layers without spatial dimensions."""
        one, each = _classes("logit", k)
        return cls("logit", one, (), value=value, target=each)

    @classmethod
    def contrast(cls, target: int | Sequence[int] | str | None = None) -> Seed:
        """One class against all others, at the network's output: 1 on the class, -1 / (K - 1) on the other K - 1.

        The map says what speaks for the class and not for any other; it has a sign. The method that goes with it is
        "gradient".

        Args:
            target: a class; one for each image; None or "predicted": of each image the class with the largest output;
                "true": the image's own, which `of_true` puts in.
        """
        if target is None or isinstance(target, str):
            if target not in (None, "predicted", TRUE):
                raise SeedError(f"contrast must be of a class's number, 'predicted' or 'true', got {target!r}")
            return cls("contrast", position=(), target=TRUE if target == TRUE else "predicted")
        one, each = _classes("contrast", target)
        return cls("contrast", one, (), target=each)

    def of_true(self, labels: Sequence[int]) -> Seed:
        """The seed with the images' own classes where it asks for them.

        Args:
            labels: the class of each image.
        """
        return type(self).contrast(labels) if self.target == TRUE else self

    @classmethod
    def tensor(cls, signal: Tensor) -> Seed:
        """Any signal: [N, C, *spatial] (K = 1) or [N, K, C, *spatial]; N = 1 serves every image."""
        return cls("tensor", data=signal)

    @classmethod
    def parse(cls, text: str, value: str | None = None, classes: Sequence[str] = ()) -> Seed:
        """A seed from text, as the command line and configuration files write it.

        Args:
            text: "layer", "channel:C", "neuron:C,Y,X" (as many coordinates as the layer has), "top:K", "top:K@Y,X" (the
                strongest channels at one position), "logit:K", "contrast" (of the class that each image is taken for),
                "contrast:true" or "contrast:K".
            value: "one" or "activation"; None: the kind's own.
            classes: names that a logit or contrast may be given by; a name wins over a number.

        Raises:
            UnknownNameError: another kind of seed. SeedError: numbers or a value that do not fit it.
        """
        kind, arguments, options = read_text(text, value, classes)
        made: Seed = getattr(cls, kind)(*arguments, **options)
        return made

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Seed:
        """The seed that `to_dict` wrote; "value" may be left out, and so may the "position" of the strongest.

        Raises:
            SeedError: unknown or missing entries, or a given tensor, of which the data hold a fingerprint only.
            UnknownNameError: another kind of seed.
        """
        kind, arguments, options = read_data(data)
        made: Seed = getattr(cls, kind)(*arguments, **options)
        return made

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable: the kind, what it needs (channel, position, count) and the value.

        Of a given tensor: shape, dtype and the SHA-256 of its values in row-major order.

        Raises:
            SeedError: the given signal is no tensor.
        """
        if self.kind == "tensor":
            return {"kind": "tensor", **_fingerprint(self.data)}
        if self.kind == "contrast":
            return {"kind": "contrast", "class": self._class}
        position = None if self.position is None else list(self.position)
        facts = {"channel": self._class, "position": position, "count": self.count}
        return {"kind": self.kind, **{key: facts[key] for key in FIELDS[self.kind]}, "value": self.value}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seed) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        if self.kind == "tensor":
            return f"Seed.tensor(<{list(getattr(self.data, 'shape', []))}>)"
        if self.kind == "contrast":
            return f"Seed.contrast({self._class!r})"
        numbers: tuple[Any, ...] = (self._class, *(self.position or ()))
        numbers = {"layer": (), "top": (self.count,)}.get(self.kind, numbers)
        arguments = [str(number) for number in numbers]
        if self.kind == "top" and self.position is not None:
            arguments.append(f"at={self.position}")
        return f"Seed.{self.kind}({', '.join([*arguments, f'value={self.value!r}'])})"

    def _facts(self) -> tuple[Any, ...]:
        data = None if self.data is None else id(self.data)
        return (self.kind, self.channel_index, self.position, self.count, self.value, data, self.target)

    @property
    def _class(self) -> int | list[int] | str:
        """The class or channel, those of all images, or the word for them."""
        return (
            self.channel_index
            if self.target is None
            else list(self.target)
            if isinstance(self.target, tuple)
            else self.target
        )

    @property
    def needs_activation(self) -> bool:
        """Whether the layer's activations must be known to place this seed."""
        if self.kind == "contrast":
            return self.target == "predicted"
        return self.kind == "top" or (self.kind != "tensor" and self.value == "activation")

    def describe(self) -> str:
        """A short text for captions and side files."""
        where = "" if not self.position else f" at {', '.join(map(str, self.position))}"
        of = {"one": "set to 1", "activation": "activations"}[self.value]
        logits = "logits of " if isinstance(self.target, tuple) else "logit "
        names = {
            "neuron": f"neuron {self.channel_index}{where}, {of}",
            "channel": f"channel {self.channel_index}, {of}",
            "layer": f"whole layer, {of}",
            "top": f"top {self.count}{where}, {of}",
            "logit": f"{logits}{self._whose('')}, {of}",
            "contrast": f"contrast of {self._whose('class ')} against the others",
            "tensor": "given tensor",
        }
        return names[self.kind]

    def _whose(self, one: str) -> str:
        """The class of a logit or contrast in words, one class with `one` before its number."""
        if isinstance(self.target, tuple):
            return f"classes {', '.join(map(str, self.target))}, one an image"
        return f"{one}{self.channel_index}" if self.target is None else f"the {self.target} class"


def _classes(name: str, given: Any) -> tuple[int, tuple[int, ...] | None]:
    """One class, or those of all images."""
    listed = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(listed, Sequence) and not isinstance(listed, str) and listed:
        return 0, tuple(_natural(name, number) for number in listed)
    return _natural(name, listed), None


def _fingerprint(data: Any) -> dict[str, Any]:
    import torch

    if not isinstance(data, torch.Tensor):
        raise SeedError(f"Seed.tensor must hold a torch.Tensor, got {type(data).__name__}")
    values = data.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    dtype = str(data.dtype).removeprefix("torch.")
    return {"shape": list(data.shape), "dtype": dtype, "sha256": hashlib.sha256(values.tobytes()).hexdigest()}
