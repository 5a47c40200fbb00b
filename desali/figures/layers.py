"""The layers of a figure: as a user names them, and which of them are swept together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from desali.errors import DataError
from desali.figures.inputs import Input
from desali.figures.subjects import Shown

if TYPE_CHECKING:
    from torch import Tensor

Layers = Sequence[str] | Mapping[str, Sequence[str]]
"""Names for all models, or for each by its name."""


def swept_together(
    activations: Sequence[Mapping[str, Tensor]], layers: Mapping[str, Sequence[str]], names: Sequence[str]
) -> list[list[int]]:
    """Rows in groups: in each the activations are the same, bit by bit, in the same models."""
    import torch

    groups: dict[tuple[int, ...], list[int]] = {}
    for row in range(len(layers[names[0]])):
        values = [found[layers[name][row]] for name, found in zip(names, activations, strict=True)]
        pattern = tuple(
            next(index for index, other in enumerate(values) if other is value or torch.equal(other, value))
            for value in values
        )
        groups.setdefault(pattern, []).append(row)
    return list(groups.values())


def same_input(one: Input, other: Input, layers: Mapping[str, Sequence[str]], name: str, other_name: str) -> bool:
    import torch

    alike = one.tensor.shape == other.tensor.shape and one.picture.shape == other.picture.shape
    return alike and torch.equal(one.tensor, other.tensor) and layers[name] == layers[other_name]


def layers_by_model(layers: Layers | None, found: Sequence[Shown]) -> dict[str, tuple[str, ...]] | None:
    if layers is None:
        return None
    names = [subject.name for subject in found]
    if isinstance(layers, str):
        raise DataError(f"layers must be a list of names, got the string {layers!r}: write [{layers!r}]")
    if not isinstance(layers, Mapping):
        layers = dict.fromkeys(names, layer_names(layers))
    missing = [name for name in names if name not in layers]
    unknown = [name for name in layers if name not in names]
    if missing or unknown:
        what = f"none for {missing[0]!r}" if missing else f"some for {unknown[0]!r}, which is no model here"
        raise DataError(f"layers must name a list for each model ({', '.join(names)}): there are {what}")
    listed = {name: layer_names(layers[name], f" of {name}") for name in names}
    counts = {name: len(listed[name]) for name in names}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(f"layers must be equally many for each model, a row each; got {said}")
    return listed


def layer_names(layers: Any, whose: str = "") -> tuple[str, ...]:
    """Names of layers in their order.

    Raises:
        DataError: text, none, or something else than names.
    """
    if isinstance(layers, Iterable) and not isinstance(layers, str | bytes | Set):
        listed = tuple(layers)
        if listed and all(isinstance(layer, str) for layer in listed):
            return listed
        layers = list(listed)
    raise DataError(f"layers{whose} must be a list of at least one name, got {layers!r}")
