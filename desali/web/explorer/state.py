"""The state of the explorer: what the fragment of its address and the parameters of its requests say, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from desali.comparison.views import CONTRAST_METHOD
from desali.reversal.methods import METHODS
from desali.web.explorer.answer import Refused

SOURCES = ("neuron", "channel", "layer", "top", "contrast")
LONGEST = 400
"""Characters of a parameter."""
MOST_TOP = 16
METHOD = "desalinet"
LARGEST = 10**6
"""A channel, position, class or model beyond it is none."""


@dataclass(frozen=True)
class State:
    """What is looked at; parameters that are not given are None, or the default.

    Attributes:
        image: id of an image; "" for none.
        layer: name of a layer; "" for none.
        source: what is projected, one of `SOURCES`.
        channel, y, x: the neuron or channel.
        k: of the strongest.
        a, b: the class whose contrast is shown, against b or, where that is None, against all others.
        method: a name of `METHODS`.
        common: whether all pictures and controls have one scale.
        partner: whether the network after shows the partner of the channel, as a lineage found it.
        window: (centre, width) in HU that a page shows the image with; networks read HU through their own.
        models: their places; None: all.
    """

    image: str = ""
    layer: str = ""
    source: str = "neuron"
    channel: int | None = None
    y: int | None = None
    x: int | None = None
    k: int = 4
    a: int | None = None
    b: int | None = None
    method: str = METHOD
    partner: bool = False
    common: bool = False
    window: tuple[float, float] | None = None
    models: tuple[int, ...] | None = None

    def __str__(self) -> str:
        """As the fragment of an address, which `state_of` reads again; without the window, which changes no number."""
        from urllib.parse import urlencode

        given = {
            "image": self.image, "layer": self.layer, "from": self.source, "channel": self.channel, "y": self.y,
            "x": self.x, "k": self.k if self.source == "top" else None, "a": self.a, "b": self.b,
            "method": self.method, "partner": "partner" if self.partner else None,
            "scale": "common" if self.common else None,
            "models": None if self.models is None else ",".join(map(str, self.models)),
        }  # fmt: skip
        return urlencode({name: value for name, value in given.items() if value not in (None, "")}, safe=",")


def state_of(params: Mapping[str, str]) -> State:
    """The state that parameters describe; names that are none of the state say nothing here (see `addressed`).

    Raises:
        Refused: a value that a parameter does not take.
    """
    for name, value in params.items():
        if len(value) > LONGEST or len(name) > LONGEST:
            raise Refused(400, f"{name[:40]}: {len(value)} characters; a parameter has at most {LONGEST}")
    source = _word(params, "from", SOURCES, State.source)
    return State(
        image=params.get("image", ""),
        layer=params.get("layer", ""),
        source=source,
        channel=whole(params, "channel"),
        y=whole(params, "y"),
        x=whole(params, "x"),
        k=whole(params, "k", 1, MOST_TOP) or State.k,
        a=whole(params, "a"),
        b=whole(params, "b"),
        method=_word(params, "method", tuple(METHODS), CONTRAST_METHOD if source == "contrast" else METHOD),
        partner=_word(params, "partner", ("same", "partner"), "same") == "partner",
        common=_word(params, "scale", ("own", "common"), "own") == "common",
        window=_window(params.get("window", "")),
        models=_models(params.get("models", "")),
    )


def whole(params: Mapping[str, str], name: str, low: int = 0, high: int = LARGEST) -> int | None:
    """A whole number; None where it is not given.

    Raises:
        Refused: anything else, or out of range.
    """
    text = params.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12 and low <= int(text) <= high):
        raise Refused(400, f"{name}={text[:40]}: expected a whole number from {low} to {high}")
    return int(text)


def needed(params: Mapping[str, str], name: str) -> int:
    """`whole` of a parameter that must be given."""
    found = whole(params, name)
    if found is None:
        raise Refused(400, f"{name} is missing: give a whole number")
    return found


def _word(params: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    text = params.get(name, "") or default
    if text not in known:
        raise Refused(400, f"{name}={text[:40]}: expected one of {', '.join(known)}")
    return text


def _window(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        centre, width = (float(part) for part in text.split(","))
    except ValueError:
        centre, width = math.nan, math.nan
    if not (math.isfinite(centre) and math.isfinite(width) and 0 < width <= LARGEST and abs(centre) <= LARGEST):
        raise Refused(400, f"window={text[:40]}: expected CENTRE,WIDTH in HU, for instance -600,1500")
    return centre, width


def _models(text: str) -> tuple[int, ...] | None:
    if not text:
        return None
    parts = text.split(",")
    numbers = [whole({"models": part}, "models") for part in parts]
    if any(number is None for number in numbers):
        raise Refused(400, f"models={text[:40]}: expected places with commas between, for instance 0,2")
    return tuple(dict.fromkeys(number for number in numbers if number is not None))
