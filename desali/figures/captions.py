"""Words under the pictures of a figure."""

from __future__ import annotations

from collections.abc import Mapping

from desali.figures.drawing.display import scale_text

SILENT = "silent on this image"


def around_zero(a: float) -> str:
    """The scale of a map whose zero is in the middle: what becomes black and what becomes white."""
    return scale_text("", abs(a)).replace(" = ", "\N{PLUS-MINUS SIGN}")


def image_rho(alike: Mapping[str, float]) -> str:
    """The likeness to the image and to its edges, on a line of its own."""
    parts = [f"{name} {signed(alike[name])}" for name in ("input", "edges") if name in alike]
    return f"\nrho {', '.join(parts)}" if parts else ""


def neuron_words(neuron: tuple[int, ...]) -> str:
    """A single neuron by its channel and place."""
    channel, *place = neuron
    return f"channel {channel}" + (f" at {', '.join(map(str, place))}" if place else "")


def signed(value: float) -> str:
    """A number with two digits and a real minus sign."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")
