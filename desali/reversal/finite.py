"""Whether a forward pass came out finite: NaN and infinity say nothing, and a map made from them looks clean."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from desali.errors import NotFiniteWarning
from desali.ops.device import capturing

if TYPE_CHECKING:
    from torch import Tensor, nn


def warn_if_not_finite(model: nn.Module, images: Tensor, output: Tensor) -> None:
    """Warn of an output with NaN or infinity, and say where it comes from.

    The gradient of a ReLU network depends on NaN by its masks alone: maps of such images are finite and mean nothing.

    Warns:
        NotFiniteWarning: it names the first cause found: the images, a parameter, or neither (overflow).
    """
    if capturing() or bool(output.isfinite().all()):
        return
    warnings.warn(f"the network's output is not finite: {_cause(model, images)}", NotFiniteWarning, stacklevel=4)


def _cause(model: nn.Module, images: Tensor) -> str:
    bad = [index for index, image in enumerate(images) if not bool(image.isfinite().all())]
    if bad:
        which = f"image {bad[0]}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else "")
        return f"{which} of {len(images)} holds NaN or infinity; repair or leave out what it was made from"
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            return f"the weight {name} holds NaN or infinity; load weights from before the training broke down"
    return "images and weights are finite, so values overflow on the way; check how the images are scaled"
