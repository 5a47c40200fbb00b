"""How seeds are written: as text for the command line and configuration files, as data for records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from desali.errors import SeedError, UnknownNameError, nearest

FORMS = {
    "layer": "layer",
    "channel": "channel:C",
    "neuron": "neuron:C,Y,X (after flattening neuron:C)",
    "top": "top:K or top:K@Y,X",
    "logit": "logit:K",
    "contrast": "contrast, contrast:true or contrast:K",
}
"""Kind of seed -> how it is written as text; C, Y, X and K count from 0, but the K strongest are K."""
FIELDS: dict[str, tuple[str, ...]] = {
    "layer": (),
    "channel": ("channel",),
    "neuron": ("channel", "position"),
    "top": ("count", "position"),
    "logit": ("channel",),
    "contrast": ("class",),
}
"""Kind of seed -> what its data hold beside the kind and, but for a contrast, the value."""
TRUE: Final = "true"
_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*")
_NAMES_SHOWN = 20
Call = tuple[str, list[Any], dict[str, Any]]
"""Kind of seed, and the arguments of the class method that makes one."""


def read_text(text: str, value: str | None, classes: Sequence[str]) -> Call:
    """What `Seed.parse` makes of a text; see there."""
    kind, colon, rest = str(text).partition(":")
    kind = kind.strip()
    if kind not in FORMS:
        raise UnknownNameError("kind of seed", kind, FORMS)
    if kind == "contrast":
        if value is not None:
            raise SeedError(f"seed {_short(text)}: a contrast is 1 and -1 / (K - 1), and takes no other value")
        if not colon or rest.strip() == TRUE:
            return kind, [TRUE] if colon else [], {}
    if kind in ("logit", "contrast") and rest.strip() in classes:
        rest = str(list(classes).index(rest.strip()))
    count, at, place = rest.partition("@") if kind == "top" else (rest, "", "")
    try:
        numbers, position = _whole_numbers(count), _whole_numbers(place)
    except ValueError:
        names = _class_names(rest, classes) if kind in ("logit", "contrast") else ""
        raise SeedError(f"seed {_short(text)}: expected {FORMS[kind]} in whole numbers{names}") from None
    wanted = {"layer": 0, "neuron": max(1, len(numbers))}.get(kind, 1)
    if len(numbers) != wanted or bool(at) != bool(position):
        raise SeedError(f"seed {_short(text)}: expected {FORMS[kind]}")
    options: dict[str, Any] = {} if value is None else {"value": value}
    if at:
        options["at"] = tuple(position)
    return kind, list(numbers), options


def read_data(data: Mapping[str, Any]) -> Call:
    """What `Seed.from_dict` makes of data; see there."""
    if not isinstance(data, Mapping):
        raise SeedError(f"a seed as data must be an object with 'kind', got {data!r}")
    kind = data.get("kind")
    if kind == "tensor":
        raise SeedError(
            f"the data of a given tensor hold only its shape {data.get('shape')} and SHA-256: load the tensor and "
            "use Seed.tensor"
        )
    if not isinstance(kind, str) or kind not in FIELDS:
        raise UnknownNameError("kind of seed", str(kind), FIELDS)
    known = ("kind", *FIELDS[kind], *(() if kind == "contrast" else ("value",)))
    unknown = [key for key in data if key not in known]
    missing = [key for key in FIELDS[kind] if key not in data and not (kind == "top" and key == "position")]
    if unknown or missing:
        what = f"unknown entry {unknown[0]!r}" if unknown else f"no entry {missing[0]!r}"
        raise SeedError(f"a {kind} seed as data: {what}, expected {', '.join(known)}")
    options = {} if data.get("value") is None else {"value": data["value"]}
    position = data.get("position")
    if position is not None and not isinstance(position, list | tuple):
        raise SeedError(f"position must be a list of whole numbers, got {position!r}")
    if kind == "top":
        return kind, [data["count"], None if position is None else tuple(position)], options
    return kind, [*(data[key] for key in FIELDS[kind] if key in ("channel", "class")), *(position or ())], options


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
