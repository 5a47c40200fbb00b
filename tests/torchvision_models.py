"""torchvision's models where torchvision is installed without its compiled operators (pip install --no-deps)."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.blocks import settle

_OPERATORS = (
    "nms", "qnms", "roi_align", "_roi_align_backward", "qroi_align", "ps_roi_align", "_ps_roi_align_backward",
    "roi_pool", "_roi_pool_backward", "ps_roi_pool", "_ps_roi_pool_backward", "deform_conv2d",
    "_deform_conv2d_backward",
)  # fmt: skip


@functools.cache
def torchvision() -> Any:
    """The models module; the test is skipped, and says so, where it is absent."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("TORCHVISION ABSENT: pip install --no-deps torchvision. This test has checked NOTHING.")
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in _OPERATORS:
            if not hasattr(torch.ops.torchvision, name):
                library.define(f"{name}(Tensor boxes) -> Tensor")
        _KEPT.append(library)
        import sys

        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        return importlib.import_module("torchvision.models")


_KEPT: list[Any] = []

SIZES = {"inception_v3": 299}
OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False},
}


def build(name: str, n: int = 1, dtype: torch.dtype = torch.float64, size: int = 0) -> tuple[nn.Module, Tensor]:
    """One of torchvision's classification models with random weights and batch-norm statistics, and images."""
    torch.manual_seed(0)
    model = getattr(torchvision(), name)(weights=None, **OPTIONS.get(name, {}))
    size = size or SIZES.get(name, 224)
    generator = torch.Generator().manual_seed(3)
    return settle(model, dtype), torch.randn(n, 3, size, size, generator=generator, dtype=torch.float64).to(dtype)
