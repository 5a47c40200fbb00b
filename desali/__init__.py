"""desali: what transfer learning changed inside a CNN.

Record one forward pass of a CNN, then run it backwards to image space along any rule, for any neuron:

    recording = desali.record(model, images)
    maps = recording.reconstruct("features.conv5", desali.Seed.layer(), method="desalinet")

The names below are what users call. Behind them: `reversal` (on `ops`) records and projects; `comparison` counts and
`figures` draws; `models` and `data` bring networks and images; `training`, `evaluation` and `experiments` make models
worth comparing; `output` and `errors` are everybody's. Each room's `__init__` says what may be touched from outside.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from desali.comparison.lineage import lineage as lineage
    from desali.data.roi import read_image as read_image
    from desali.errors import DesaliError as DesaliError
    from desali.errors import UnsupportedLayerError as UnsupportedLayerError
    from desali.figures.channels import channels as channels
    from desali.figures.compare import compare as compare
    from desali.figures.show import show as show
    from desali.figures.what_changed import what_changed as what_changed
    from desali.models.sources import load as load
    from desali.reversal.graph.outputs import select_output as select_output
    from desali.reversal.layers.registry import register_layer as register_layer
    from desali.reversal.methods import METHODS as METHODS
    from desali.reversal.methods import Method as Method
    from desali.reversal.recording import Recording as Recording
    from desali.reversal.recording import reconstruct as reconstruct
    from desali.reversal.recording import record as record
    from desali.reversal.seeds import Seed as Seed
    from desali.web.explorer.widget import explore as explore

_WHERE = {
    "DesaliError": "errors",
    "METHODS": "reversal.methods",
    "Method": "reversal.methods",
    "Recording": "reversal.recording",
    "Seed": "reversal.seeds",
    "UnsupportedLayerError": "errors",
    "channels": "figures.channels",
    "compare": "figures.compare",
    "explore": "web.explorer.widget",
    "lineage": "comparison.lineage",
    "what_changed": "figures.what_changed",
    "load": "models.sources",
    "read_image": "data.roi",
    "reconstruct": "reversal.recording",
    "record": "reversal.recording",
    "select_output": "reversal.graph.outputs",
    "show": "figures.show",
    "register_layer": "reversal.layers.registry",
}


def raise_shadowed(error: Exception) -> None:
    """Raise a DesaliError in place of `error` if something in the working directory hides a package."""
    from desali.errors import DesaliError
    from desali.input.shadows import shadows

    if found := shadows():
        raise DesaliError(found[0]) from error


__all__ = [*sorted(_WHERE), "__version__"]


def lazily(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose names are imported when they are first used (PEP 562).

    Args:
        package: its name.
        homes: in which of its modules each public name stands.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        except Exception as error:  # a package that is hidden fails in any way
            raise_shadowed(error)
            raise
        setattr(sys.modules[package], name, value)  # the next time it is there
        return value

    def known() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return find, known


__getattr__, __dir__ = lazily(__name__, _WHERE)
