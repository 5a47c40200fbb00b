"""The rules of the reversal, as data: which of the bottleneck's three bits of information a method uses.

`METHODS` holds them by name: those of the literature, each also under the name it is known by elsewhere, and the eight
corners.

Source: Mahendran and Vedaldi, "Salient deconvolutional networks", ECCV 2016, sections 2.2-2.3 and table 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from desali.errors import MethodError, UnknownNameError, look_up
from desali.output.options import option

LRNRule = Literal["identity", "adjoint"]
Overlap = Literal["sum", "overwrite"]
Smooth = Literal["refuse", "gradient"]


@dataclass(frozen=True)
class Method:
    """How a signal passes the non-linear layers on its way back to the image.

    Attributes:
        relu_mask: multiply by [x > 0], x being the ReLU's input in the forward pass.
        switches: max-unpooling sends the signal to the recorded arg-max; off: to the window's centre.
        relu_backward: apply max(signal, 0) at every ReLU.
        lrn, overlap, only, smooth: each says what it is; they are options of the command line too.
            In full: `overlap="sum"` is the true adjoint (Mahendran and Vedaldi). `only` names layers or containers of
            layers; every other ReLU, pooling and LRN layer is reversed by its true adjoint. Leaky and other rectifiers
            that are no ReLU are always reversed by their gradient, with a `GradientWarning` unless
            `smooth="gradient"` asks for it.
    """

    relu_mask: bool
    switches: bool
    relu_backward: bool
    lrn: LRNRule = option(
        "identity",
        "Local response normalisation is passed unchanged, or by its true adjoint.",
        shown="the method's own: adjoint for saliency, gradient and guided_backprop, else identity",
    )
    overlap: Overlap = option(
        "sum", "Where several pooling windows reach one position, their signals are summed, or the last one wins."
    )
    only: tuple[str, ...] | None = option(
        None,
        "Layers or containers of layers that follow the method; all others are reversed by their gradient.",
        metavar="NAME,...",
        shown="all layers",
    )
    smooth: Smooth = option(
        "refuse",
        "Layers without a rule of their own (GELU, SiLU, hardswish, ELU, softmax, attention, layer normalisation) are "
        "refused, or reversed by their gradient.",
    )

    def __init__(
        self,
        relu_mask: bool,
        switches: bool,
        relu_backward: bool,
        lrn: LRNRule = "identity",
        overlap: Overlap = "sum",
        only: Sequence[str] | None = None,
        smooth: Smooth = "refuse",
    ) -> None:
        for name, value in (("relu_mask", relu_mask), ("switches", switches), ("relu_backward", relu_backward)):
            if not isinstance(value, bool):
                raise MethodError(f"{name} must be True or False, got {value!r}")
        for name, choice, choices in (
            ("lrn", lrn, ("identity", "adjoint")),
            ("overlap", overlap, ("sum", "overwrite")),
            ("smooth", smooth, ("refuse", "gradient")),
        ):
            if choice not in choices:
                raise MethodError(f"{name} must be one of {', '.join(map(repr, choices))}, got {choice!r}")
        if isinstance(only, str):
            raise MethodError(f"only must be a list of layer names, got the string {only!r}")
        layers = None if only is None else tuple(only) if isinstance(only, Iterable) else (only,)
        if layers is not None and not all(isinstance(name, str) for name in layers):
            raise MethodError(f"only must be a list of layer names, got {only!r}")
        values = {
            "relu_mask": relu_mask,
            "switches": switches,
            "relu_backward": relu_backward,
            "lrn": lrn,
            "overlap": overlap,
            "only": layers,
            "smooth": smooth,
        }
        for name, checked in values.items():
            object.__setattr__(self, name, checked)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Method:
        """The method that `to_dict` wrote; what stands at its default may be left out.

        Raises:
            MethodError: an entry that is unknown, missing, or has no such value.
        """
        if not isinstance(data, Mapping):
            raise MethodError(f"a method as data must be an object with relu_mask and so on, got {data!r}")
        known = [field.name for field in fields(cls)]
        for name in data:
            if name not in known:
                raise MethodError(f"a method as data: {UnknownNameError('entry', str(name), known)}")
        missing = [name for name in known[:3] if name not in data]
        if missing:
            raise MethodError(f"a method as data: no entry {missing[0]!r}, expected true or false")
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable: every attribute by its name."""
        return asdict(self) | {"only": None if self.only is None else list(self.only)}

    @property
    def corner(self) -> str:
        """The three bits as letters: ReLU mask, pooling switches, ReLU backward; "TTT" is DeSaliNet."""
        return "".join("T" if bit else "F" for bit in (self.relu_mask, self.switches, self.relu_backward))

    def describe(self) -> str:
        """The method in words: the nearest name and what differs from it, e.g. "saliency, smooth gradient"."""
        known = {self.corner: METHODS[self.corner], **METHODS}  # a plain corner goes by its letters

        def different(other: Method) -> list[str]:
            return [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]

        alike = {name: other for name, other in known.items() if other.corner == self.corner}
        name = min(alike, key=lambda name: len(different(alike[name])))
        words = [name]
        for one in different(alike[name]):
            value = getattr(self, one)
            words.append(f"{one} {value if isinstance(value, str) else ', '.join(value) or 'nothing'}")
        return ", ".join(words)


_CORNERS = {
    name: Method(name[0] == "T", name[1] == "T", name[2] == "T")
    for name in ("TTT", "TTF", "TFT", "TFF", "FTT", "FTF", "FFT", "FFF")
}

_SALIENCY = replace(_CORNERS["TTF"], lrn="adjoint")

METHODS: dict[str, Method] = {
    "desalinet": _CORNERS["TTT"],
    "guided_backprop": replace(_CORNERS["TTT"], lrn="adjoint"),
    "deconvnet": _CORNERS["FTT"],
    "deconv": _CORNERS["FTT"],
    "saliency": _SALIENCY,
    "gradient": _SALIENCY,
    **_CORNERS,
}
"""Name -> method. `guided_backprop` is that of Springenberg et al. (2015): TTT with the LRN adjoint, so it differs from
`desalinet` on networks with local response normalisation alone. `deconv` is `deconvnet`, `gradient` is `saliency`."""

TRUE_ADJOINT = Method(True, True, False, lrn="adjoint", smooth="gradient")


def changed(name_or_method: str | Method, changes: Mapping[str, Any]) -> Method:
    """The method with other values of its options `lrn`, `overlap`, `only` and `smooth`.

    Raises:
        UnknownNameError: no such method. MethodError: a value that an option does not take.
    """
    return replace(method(name_or_method), **changes)


def method(name_or_method: str | Method) -> Method:
    """The Method of that name, or the Method itself.

    Raises:
        UnknownNameError: no method of that name; the nearest is suggested.
    """
    if isinstance(name_or_method, Method):
        return name_or_method
    return look_up("method", str(name_or_method), METHODS)
