"""Where two networks of one structure hold other weights, by the names of their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desali.models.modules import kind_of, tensors_of

if TYPE_CHECKING:
    from torch import nn


def changed_parts(first: nn.Module, second: nn.Module) -> list[str] | None:
    """The parts that differ, each as large as it can be: a container stands for what is in it if all of that differs.

    Returns:
        names of modules in the order of registration, none if all is equal bit by bit; None for other structures, or
        if nothing with weights is equal.
    """
    import torch

    if kind_of(first) != kind_of(second):
        return None
    one, other = ({n: t for n, t in tensors_of(part).items() if t.is_floating_point()} for part in (first, second))
    if one.keys() != other.keys():
        return None
    differs: dict[str, bool] = {}
    for name, tensor in one.items():
        owner = name.rpartition(".")[0]
        same = tensor.shape == other[name].shape and torch.equal(
            tensor.detach(), other[name].detach().to(tensor.device)
        )
        differs[owner] = differs.get(owner, False) or not same
    if all(differs.values()):
        return None
    found: list[str] = []
    for name, changed in differs.items():
        if changed and not any(name == part or name.startswith(f"{part}.") for part in found):
            found.append(_largest(name, differs))
    return found


def _largest(name: str, differs: dict[str, bool]) -> str:
    parts = name.split(".")
    for length in range(1, len(parts)):
        container = ".".join(parts[:length])
        if all(changed for other, changed in differs.items() if other.startswith(f"{container}.")):
            return container
    return name
