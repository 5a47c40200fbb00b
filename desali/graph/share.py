"""Let models of one structure share a capture, so that four of them cost one export."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from desali.graph import capture

if TYPE_CHECKING:
    from torch import nn


def adopt(model: nn.Module, like: nn.Module) -> None:
    """Give `model` the captures of `like`, made by the same code with the same settings (a copy with other weights).

    Nothing happens if their structures differ: the model is then captured by itself.
    """
    with capture._LOCK:
        known = capture._CACHE.get(like)
        if known is None or capture._structure(model) != capture._structure(like):
            return
        own = capture._CACHE.setdefault(model, {})
        for key, network in known.items():
            own.setdefault(key, replace(network, weight_caches={}))
