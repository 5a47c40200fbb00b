"""Controls beside every reconstruction: the same network with random weights, and how alike two maps are.

Source: Adebayo et al., "Sanity checks for saliency maps", 2018 (model parameter randomisation test).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desali.errors import DesaliError
from desali.models.modules import one_device

if TYPE_CHECKING:
    from torch import nn


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of the model whose weights are drawn anew by each layer's own initialisation; torch's random state stays.

    The weights are drawn on the CPU, so that a seed gives the same ones on every device.

    Args:
        model: in evaluation mode; not changed.
        seed: of the drawing.

    Raises:
        DesaliError: the model cannot be copied, or none of its modules can draw its weights anew.
    """
    import torch

    device = one_device(model)
    try:
        twin = copy.deepcopy(model).to("cpu")
    except RuntimeError as error:  # a tensor that was computed from others stands in an attribute
        raise DesaliError(f"the model cannot be copied ({str(error).splitlines()[0]})") from error
    resets = [getattr(module, "reset_parameters", None) for module in twin.modules()]
    resets.append(getattr(twin, "initialise", None))
    if not any(map(callable, resets)):
        raise DesaliError("none of its modules has a reset_parameters() to draw weights anew")
    state = torch.default_generator.get_state()
    try:
        torch.default_generator.manual_seed(seed)
        with torch.no_grad():
            for reset in resets:
                if callable(reset):
                    reset()
    finally:
        torch.default_generator.set_state(state)
    return twin.to(device)


def likeness(first: Any, second: Any, *, magnitude: bool = False) -> float:
    """How alike two pictures look: Spearman's rank correlation after a blur of 1/32 of their width.

    Without the blur, the raster that strides and pooling leave decides the result, not what a reader sees.

    Args:
        first, second: [h, w].
        magnitude: compare |first| and |second|, as for edges, instead of the signed maps.
    """
    from scipy.ndimage import gaussian_filter

    pictures = [np.asarray(array, np.float64) for array in (first, second)]
    if magnitude:
        pictures = [np.abs(picture) for picture in pictures]
    return rank_correlation(*(gaussian_filter(picture, picture.shape[-1] / 32) for picture in pictures))


def rank_correlation(first: Any, second: Any) -> float:
    """Spearman's rank correlation of two arrays of one shape; 0 if one of them is constant."""
    a, b = (_ranks(np.asarray(array, np.float64).ravel()) for array in (first, second))
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Average ranks from 1, as scipy.stats.rankdata gives them (whose import alone would double a command's start)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
