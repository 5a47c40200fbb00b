"""The five operations of the reversal: tensors in, tensors out. Everything is imported on first use.

`register()` makes them known to PyTorch as `torch.ops.desali`, for code under `torch.compile` and `torch.export`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from desali import lazily

if TYPE_CHECKING:
    from desali.ops.backend import can_run, core, describe
    from desali.ops.convolution import conv_transpose
    from desali.ops.library import register
    from desali.ops.memory import large_pages
    from desali.ops.pooling import max_pool_with_switches
    from desali.ops.relu import inverse_relu, native_relu_with_mask, relu_with_mask
    from desali.ops.unpooling import max_unpool
    from desali.ops.weights import WeightCache

_HOME = {
    "can_run": "backend",
    "core": "backend",
    "describe": "backend",
    "WeightCache": "weights",
    "conv_transpose": "convolution",
    "large_pages": "memory",
    "register": "library",
    "max_pool_with_switches": "pooling",
    "inverse_relu": "relu",
    "native_relu_with_mask": "relu",
    "relu_with_mask": "relu",
    "max_unpool": "unpooling",
}

__all__ = [
    "WeightCache",
    "can_run",
    "conv_transpose",
    "core",
    "describe",
    "inverse_relu",
    "large_pages",
    "max_pool_with_switches",
    "max_unpool",
    "native_relu_with_mask",
    "register",
    "relu_with_mask",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
