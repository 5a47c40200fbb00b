"""What a network's card tells a reader: what it was trained on, its classes in words, and what is unlike that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from desali.data.class_words import class_words as known_words
from desali.data.preprocess import Preprocessing

if TYPE_CHECKING:
    from desali.figures.inputs import Input
    from desali.figures.subjects import Shown
    from desali.web.explorer.shelf import Entry

LARGER = 3
"""An image so many times as long as a network's input is no region like those that it was trained on."""
SMALLER = 8
"""One so many times shorter is none either; regions of 32 pixels are enlarged to 227."""
EQUAL = 1e-4
"""Display values that differ by less differ by rounding."""
SYNTHETIC = "synthetic"


def trained_on(one: Shown) -> str:
    """The data of the last training in words, synthetic data called so; what is not known is called unknown."""
    origin = str(one.card.get("origin") or "unknown")
    name = str(_data(one).get("name") or "")
    if one.plain:
        return "unknown (given as a module)"
    if origin == "none":
        return "nothing (random weights)"
    if "phantom" in origin or name.startswith("synthetic-target"):
        return "synthetic phantoms, not patients"
    if origin.startswith(SYNTHETIC):
        return f"synthetic images{origin.removeprefix(SYNTHETIC)}"
    if name.startswith(SYNTHETIC):  # packaged weights name their file as their origin
        return f"synthetic images ({name.removeprefix(SYNTHETIC).strip('-')})"
    if origin == "unknown":
        return name or "unknown (its card does not say)"
    return f"{name}: {origin}" if name and name not in origin else origin


def class_words(one: Shown) -> dict[str, str]:
    """Classes whose names are codes that the data spells out -> their words."""
    data = _data(one)
    parameters = data.get("parameters")
    return known_words(
        str(data.get("name") or ""), one.classes, parameters if isinstance(parameters, Mapping) else None
    )


def named(one: Shown, name: str) -> str:
    """A class by its name, with its words where the name is a code."""
    words = class_words(one).get(name)
    return name if words is None else f"{name} ({words})"


def doubts(one: Shown, entry: Entry, taken: Input) -> list[str]:
    """What makes an image unlike those that a network was trained on, as far as the card tells.

    Args:
        taken: the image as the network takes it.
    """
    found = []
    unit = _data(one).get("unit")
    height, width = entry.size
    if isinstance(one.rule, Preprocessing) and not entry.tensor:
        side = one.rule.size
        pixels = f"{width} × {height} pixels"
        if unit == "hu" and min(height, width) >= LARGER * side:
            found.append(f"{pixels}, far more than the regions of {side} × {side} that it takes")
        elif max(height, width) * SMALLER <= side:
            found.append(f"{pixels}, far fewer than the {side} × {side} that it takes")
    if taken.picture.size and float(taken.picture.max() - taken.picture.min()) <= EQUAL:
        found.append("the image is constant" if height * width > 1 else "one pixel has no pattern")
    if unit == "hu" and not entry.hu and not entry.tensor:
        found.append("display values, not Hounsfield units")
    if unit == "uint8" and entry.hu:
        found.append("Hounsfield units, not display values")
    if SYNTHETIC in trained_on(one) and SYNTHETIC not in entry.origin and not entry.tensor:
        found.append("it saw synthetic images alone, and nothing says that this one is synthetic")
    return found


def _data(one: Shown) -> Mapping[str, Any]:
    data = one.card.get("data")
    return data if isinstance(data, Mapping) else {}
