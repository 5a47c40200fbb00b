"""The part of a view that a panel shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from desali.comparison.controls import BLUR
from desali.comparison.smoothing import gaussian
from desali.comparison.views import View
from desali.figures.drawing.crop import crop_map
from desali.figures.drawing.display import display_signed, summarise_activation, to_grey


def cropped(map: Any, field: tuple[int, ...] | None) -> Any:
    """A single neuron's map cut to its receptive field, unless that is about the whole image."""
    if field is None or field[2] * field[3] > 0.5 * map.shape[-2] * map.shape[-1]:
        return map
    return crop_map(map, (field[0], field[1], field[2], field[3]))


def activation_map(view: View) -> npt.NDArray[np.float64]:
    """What the activation panel shows: the seed's own channel where there is one, else the mean over all channels."""
    if view.channel is None or view.activation.dim() < 3:
        return summarise_activation(view.activation)
    return summarise_activation(view.activation[view.channel : view.channel + 1])


def contrast_map(map: Any, scale: float | None = None) -> tuple[npt.NDArray[np.float64], float]:
    """A class contrast [C, H, W] as pixels: summed over its channels, blurred by 1/32 of its width, 0 in the middle.

    Args:
        scale: see `display_signed`.
    """
    values = to_grey(map)
    return display_signed(gaussian(values, values.shape[-1] * BLUR), scale)
