"""Guided backpropagation and the gradient by TorchLens, which logs every operation of an eager forward pass.

Nothing of desali is used. TorchLens finds ReLUs by operation, so functional, in-place and reused ones are all caught.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn


def require() -> Any:
    """The package; the test is skipped, and says so, where it is absent."""
    return pytest.importorskip(
        "torchlens", reason="TORCHLENS ABSENT: pip install torchlens. This test has checked NOTHING."
    )


def project(model: nn.Module, images: Tensor, operation: str, guided: bool) -> tuple[Tensor, Tensor]:
    """The layer's activations, sent back from the operation that TorchLens calls `operation`.

    Args:
        guided: clamp the gradient behind every ReLU at 0 (guided backpropagation), else leave it.

    Returns:
        activations of the operation; and their projection, of the shape of `images`.
    """
    lens = require()
    x = images.detach().clone().requires_grad_(True)
    rule = lens.when(lens.func("relu"), lens.grad_clamp(min=0.0)) if guided else None
    trace = lens.trace(model, x, intervene=rule)
    output = trace[operation].out
    (projected,) = torch.autograd.grad(output, x, output.detach())
    return output.detach(), projected
