"""Controls beside every reconstruction: the same network with random weights, and how alike two maps are.

Source: Adebayo et al., "Sanity checks for saliency maps", 2018 (model parameter randomisation test).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import nn


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of the model whose weights are drawn anew by each layer's own initialisation; torch's random state stays.

    Args:
        model: in evaluation mode; not changed.
        seed: of the drawing.
    """
    import torch

    twin = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in twin.modules():
            reset: Any = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
        initialise: Any = getattr(twin, "initialise", None)
        if callable(initialise):
            initialise()
    return twin


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
