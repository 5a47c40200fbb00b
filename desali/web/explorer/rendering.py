"""A view's maps as pixels, with the scale that they are drawn by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.comparison.views import View
from desali.errors import DesaliError
from desali.figures.drawing.colours import coloured
from desali.figures.drawing.display import display_map, to_grey
from desali.figures.drawing.mosaic import mosaic
from desali.figures.drawing.panel import COLORMAPS
from desali.figures.windows import contrast_map, cropped
from desali.web.pixels import data_url


@dataclass(frozen=True, eq=False)
class Picture:
    """A map as pixels.

    Attributes:
        pixels: [h, w] or [h, w, 3] in [0, 1]; of a contrast with 0 at 0.5, for a colour map of two ends.
        scale: the magnitude that stands at the ends.
        clipped: share of the values beyond it.
        contrast: whether it is a class contrast.
        silent: whether the map is zero everywhere.
    """

    pixels: npt.NDArray[np.float64]
    scale: float
    clipped: float
    contrast: bool
    silent: bool

    @cached_property
    def url(self) -> str:
        """As PNG; a contrast in red and blue, white in the middle."""
        return data_url(coloured(self.pixels, COLORMAPS["contrast"]) if self.contrast else self.pixels)


def picture_of(view: View, colour: bool, contrast: bool, scale: float | None = None) -> Picture:
    """A view's maps as pixels: a neuron's cut to its receptive field, several neurons' side by side on one scale.

    Args:
        scale: the magnitude that stands at the ends; None: the maps' own.
    """
    shown = [cropped(map, field) for map, field in zip(view.maps, view.fields, strict=True)]
    if contrast:
        pixels, own = contrast_map(shown[0], scale)
        beyond = float(((pixels <= 0) | (pixels >= 1)).mean())
        return Picture(pixels, abs(own), round(beyond, 4), True, own == 0)
    if len(shown) == 1:
        pixels, own = display_map(shown[0], colour=colour, scale=scale)
        values = np.asarray(shown[0], np.float64) if colour else to_grey(shown[0])
    else:
        pixels, own, values = _several(shown, colour, scale)
    silent = not values.any()
    beyond = float((np.abs(values) > abs(own)).mean()) if own else 0.0
    return Picture(pixels, 0.0 if silent else abs(own), round(beyond, 4), False, silent)


def _several(
    shown: list[Any], colour: bool, scale: float | None
) -> tuple[npt.NDArray[np.float64], float, npt.NDArray[np.float64]]:
    sizes = {map.shape[-2:] for map in shown}
    if len(sizes) > 1:
        raise DesaliError("the strongest neurons have receptive fields of several sizes")  # one layer has one
    planes = [np.asarray(map, np.float64) if colour else to_grey(map) for map in shown]
    values = np.stack(planes)
    own = scale or max(abs(display_map(np.asarray(map), colour=colour)[1]) for map in shown)
    tiles = [display_map(np.asarray(map), colour=colour, scale=own or None)[0] for map in shown]
    across = int(np.ceil(np.sqrt(len(tiles))))
    return mosaic(tiles, across, 1), own, values
