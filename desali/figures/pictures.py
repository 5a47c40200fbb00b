"""The images of a set as a reader sees them, all on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.comparison.probe_set import ProbeSet
from desali.data.formats.colours import grey_of
from desali.data.imageset import ImageSet
from desali.data.preprocess import Preprocessing
from desali.figures.inputs import EQUAL, LUMA


class Pictures:
    """Some images of a set, by their place in it, [h, w] or [h, w, 3] in [0, 1].

    Attributes:
        colour: whether maps are shown in colour; else their channels are summed.
        bgr: whether the network's channels are blue, green, red.
        words: what a reader must know of the pictures.
    """

    def __init__(self, probe: ProbeSet, places: Sequence[int], colour: bool = False) -> None:
        places = sorted(set(places))
        self.words: list[str] = []
        rule = probe.preprocessing
        self.bgr = rule is not None and rule.channel_order == "bgr"
        index = np.array(places, np.int64)
        if isinstance(probe.images, ImageSet):
            assert rule is not None
            pixels = probe.images.images[probe.row(index)]
            luma = pixels.ndim == 4 and rule.channels == 1
            seen = replace(rule.seen, channels=1) if luma else rule.seen
            values = seen.apply_batch(pixels, probe.images.unit).double().numpy()
            grey = 0 if pixels.ndim == 3 or colour else sum(grey_of(one) is not None for one in pixels)
            self.colour = pixels.ndim == 4 and grey < len(pixels) and not luma
            if luma and grey < len(pixels):
                self.words.append(LUMA)
            if grey and self.colour:
                self.words.append(f"{grey} of the images shown are grey, with their maps in colour like the others'.")
        else:
            values = self._of_tensors(probe.tensor(index).double().cpu().numpy(), rule, colour)
        shown = np.moveaxis(values, 1, -1) if self.colour else values[:, 0]
        self._found = dict(zip(places, shown, strict=True))

    def __getitem__(self, place: int) -> npt.NDArray[np.float64]:
        picture: npt.NDArray[np.float64] = self._found[place]
        return picture

    def _of_tensors(self, values: Any, rule: Preprocessing | None, colour: bool) -> Any:
        """Display values [N, C, h, w] in [0, 1]."""
        if rule is not None and rule.channels == values.shape[1]:
            back = values
            back = back if rule.std is None else back * np.reshape(rule.std, (1, -1, 1, 1))
            back = back if rule.mean is None else back + np.reshape(rule.mean, (1, -1, 1, 1))
            back = back / rule.scale
            if back.min() >= -1e-3 and back.max() <= 1 + 1e-3:
                values = back.clip(0, 1)
            values = values[:, ::-1] if rule.channel_order == "bgr" else values
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1:
            values = (values - low) / (high - low)
            self.words.append(f"The images' values, {low:.3g} to {high:.3g}, are shown as black to white.")
        equal = float(np.abs(values - values[:, :1]).max()) <= EQUAL
        self.colour = values.shape[1] == 3 and (colour or not equal)
        if not self.colour and values.shape[1] > 1 and not equal:
            self.words.append(
                f"The {values.shape[1]} channels of the images are shown as their mean, maps as their sum."
            )
            values = values.mean(1, keepdims=True)
        return values
