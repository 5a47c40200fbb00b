"""Words under the pictures of a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def rho(alike: Mapping[str, float]) -> str:
    """A line for each network, another for the image and its edges."""
    if not alike:
        return ""
    parts = {name: f"{name} {_signed(value)}" for name, value in alike.items()}
    image = [parts.pop(name) for name in ("input", "edges") if name in parts]
    return "\nrho " + "\n".join([*parts.values(), *([", ".join(image)] if image else [])])


def neuron_words(neuron: tuple[int, ...]) -> str:
    channel, *place = neuron
    return f"channel {channel}" + (f" at {', '.join(map(str, place))}" if place else "")


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
