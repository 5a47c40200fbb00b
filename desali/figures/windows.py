"""The part of a view that a panel shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from desali.comparison.views import View
from desali.figures.drawing.crop import crop_map
from desali.figures.drawing.display import summarise_activation


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
