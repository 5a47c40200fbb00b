"""Architectures and checkpoints: what a network is called, how it is built, and what its card says.

`registry` names architectures; `vgg`, `caffenet` and `squeezenet` are our own; `checkpoint` writes and reads weights
with their card; `sources` finds a model by name or path, `foreign` those that others define; `replicate` lists a
recipe's replicates.

Touch from outside: the names below. Nothing here trains or draws. torch is imported when a name is first used (PEP
562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desali import lazily

if TYPE_CHECKING:
    from desali.models.caffenet import CaffeNet, CaffeNetSmall, Geometry
    from desali.models.checkpoint import LoadedModel, find, save
    from desali.models.registry import ARCHITECTURES, Architecture, architecture
    from desali.models.replicate import replicates
    from desali.models.sources import load
    from desali.models.squeezenet import SqueezeNet
    from desali.models.vgg import VGGSmall

_HOME = {
    "CaffeNet": "caffenet",
    "CaffeNetSmall": "caffenet",
    "Geometry": "caffenet",
    "LoadedModel": "checkpoint",
    "find": "checkpoint",
    "load": "sources",
    "save": "checkpoint",
    "ARCHITECTURES": "registry",
    "Architecture": "registry",
    "SqueezeNet": "squeezenet",
    "VGGSmall": "vgg",
    "replicates": "replicate",
    "architecture": "registry",
}

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "CaffeNet",
    "CaffeNetSmall",
    "Geometry",
    "LoadedModel",
    "SqueezeNet",
    "VGGSmall",
    "architecture",
    "find",
    "load",
    "replicates",
    "save",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
