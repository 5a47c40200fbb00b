"""The fragment of an address, checked: what a page takes of it, and a line for each part that names nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from desali.errors import nearest
from desali.web.explorer.answer import Refused
from desali.web.explorer.layers import unknown_layer
from desali.web.explorer.networks import Networks
from desali.web.explorer.shelf import Shelf
from desali.web.explorer.state import State, state_of, whole

SHARED = ("image", "from", "method", "k", "a", "b", "partner", "show", "scale", "models", "model", "window")
OWN = ("layer", "channel", "y", "x")
"""Those that each architecture has for itself: `layer`, of the second `layer.1`."""
SHOWN = ("both", "before", "after")
Layers = Sequence[Sequence[Mapping[str, Any]]]


def parted(name: str, architectures: int) -> tuple[str, int] | None:
    """A name of the state and the architecture that it is of; None for what is no name."""
    word, dot, number = name.partition(".")
    if word in SHARED and not dot:
        return word, 0
    if word not in OWN or (dot and number not in map(str, range(1, architectures))):
        return None
    return word, int(number or 0)


def unknown(name: str, value: str) -> str:
    """What to say of a part of an address that is no name of the state."""
    near = nearest(name, (*SHARED, *OWN))
    hint = f"; did you mean {near}?" if near else ""
    return f"{name[:40]}={value[:40]}: nothing in an address is called so{hint}"


def checked(
    params: Mapping[str, str], networks: Networks, shelf: Shelf, layers: Layers
) -> tuple[dict[str, str], list[str]]:
    """What a page takes of an address, and what it must say of the rest.

    Args:
        layers: of each architecture; none where they are not known yet.
    """
    kept: dict[str, str] = {}
    problems: list[str] = []
    for name, value in params.items():
        if value == "":
            continue
        place = parted(name, len(layers))
        try:
            if place is None:
                raise Refused(404, unknown(name, value))
            _CHECKS.get(place[0], _word)(place[0], value, networks, shelf)
        except Refused as error:
            problems.append(str(error))
            continue
        kept[name] = value
    for suffix in ("", *(f".{number}" for number in range(1, len(layers)))):
        for one, other in ((f"y{suffix}", f"x{suffix}"), (f"x{suffix}", f"y{suffix}")):
            if one in kept and other not in kept:
                value = kept.pop(one)
                if not params.get(other):
                    problems.append(f"{one}={value}: a place needs {other} too")
    kept = filled(kept, shelf, layers)
    for number, own in enumerate(layers):
        problems += _places(kept, f".{number}" if number else "", own)
    return filled(kept, shelf, layers), problems


def _places(kept: dict[str, str], suffix: str, layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Take out layer, channel and position where an architecture has none such."""
    problems: list[str] = []
    name = kept.get(f"layer{suffix}")
    if not layers or name is None:
        return problems
    layer = next((one for one in layers if one["name"] == name), None)
    if layer is None:
        problems.append(unknown_layer(name, [one["name"] for one in layers]))
        for own in OWN:
            kept.pop(f"{own}{suffix}", None)
        return problems
    for own, count in (("channel", layer["channels"]), ("y", layer["height"]), ("x", layer["width"])):
        given = kept.get(f"{own}{suffix}")
        if given is not None and int(given) >= count:
            problems.append(f"{own}={given}: {name} has {count}, which count from 0")
            for gone in ("channel",) if own == "channel" else ("y", "x"):
                kept.pop(f"{gone}{suffix}", None)
    return problems


def _word(name: str, value: str, networks: Networks, shelf: Shelf) -> None:
    state_of({name: value})


def _image(name: str, value: str, networks: Networks, shelf: Shelf) -> None:
    shelf[value]


def _models(name: str, value: str, networks: Networks, shelf: Shelf) -> None:
    state: State = state_of({"models": value})
    networks.chosen(state.models)


def _show(name: str, value: str, networks: Networks, shelf: Shelf) -> None:
    if value not in SHOWN:
        raise Refused(400, f"show={value[:40]}: expected one of {', '.join(SHOWN)}")


def _class(name: str, value: str, networks: Networks, shelf: Shelf) -> None:
    number = whole({name: value}, name)
    if networks.classes and number is not None and number >= len(networks.classes):
        raise Refused(404, f"{name}={number}: there are {len(networks.classes)} classes, which count from 0")


_CHECKS: dict[str, Callable[[str, str, Networks, Shelf], None]] = {
    "image": _image, "models": _models, "model": _models, "show": _show, "a": _class, "b": _class,
}  # fmt: skip


def filled(kept: dict[str, str], shelf: Shelf, layers: Layers) -> dict[str, str]:
    """With what the address leaves open: the first image, a layer of each architecture; a channel stands first."""
    first = next(iter(shelf.entries), None)
    found = ({} if first is None else {"image": first.id}) | kept
    if "from" not in found and "channel" not in found:
        found["from"] = "channel"
    for number, own in enumerate(layers):
        if own:
            found.setdefault(f"layer.{number}" if number else "layer", usual(own))
    return found


def usual(layers: Sequence[Mapping[str, Any]]) -> str:
    """The layer that a page begins with: a ReLU with positions, a little behind the middle."""
    fit = [one for one in layers if one["spatial"] and one["rectifies"]] or layers
    return str(fit[int(len(fit) * 0.6)]["name"])
