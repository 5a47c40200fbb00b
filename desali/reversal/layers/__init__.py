"""One room per kind of layer: how it is recognised, what recording keeps of it, how it is reversed, how far it reaches.

`base` is the protocol, `registry` the table that finds the kind of a call, `patterns` finds layers that are written out
in several calls. Everything else is one kind or a small family of kinds in a file; nothing outside the room asks what
kind a layer is. A kind of your own is one class and `desali.register_layer` (docs/layers.md).
"""

from __future__ import annotations

from desali.reversal.layers.adjoint import Adjoint
from desali.reversal.layers.base import Arrivals, Context, Layer, Node, Recorder
from desali.reversal.layers.call import Call, Constant, Parameter, Ref
from desali.reversal.layers.reach import everything, pointwise, windows
from desali.reversal.layers.registry import register_layer, registered, unregister_layer
from desali.reversal.layers.whole_maps import WholeMaps

__all__ = [
    "Adjoint",
    "Arrivals",
    "Call",
    "Constant",
    "Context",
    "Layer",
    "Node",
    "Parameter",
    "Recorder",
    "Ref",
    "WholeMaps",
    "everything",
    "pointwise",
    "register_layer",
    "registered",
    "unregister_layer",
    "windows",
]
