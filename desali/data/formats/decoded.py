"""What a format's reader hands to `desali.data.roi`: pixels and what their numbers mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pixels as a file holds them.

    Attributes:
        pixels: float32 [h, w] when `unit` is "hu" or "stored"; uint8 [h, w] or [h, w, 3] when it is "uint8"; float32
            [h, w] or [h, w, 3] in [0, 1] when it is "unit".
        unit: "hu" for Hounsfield units, "uint8" or "unit" for display values, "stored" for numbers that need an offset
            to be HU.
        origin: the format and the conversion done, for a figure's record; never a patient's or a series' identity.
        padding: bool [h, w], where "stored" pixels are no part of the picture; None: nowhere.
        said: what a reader of a figure must know of how the pixels came about, a sentence; "" for nothing.
        lossy: whether the pixels went through JPEG, so that the channels of a grey image may differ by its rounding.
    """

    pixels: npt.NDArray[Any]
    unit: Literal["hu", "uint8", "unit", "stored"]
    origin: str
    padding: npt.NDArray[np.bool_] | None = None
    said: str = ""
    lossy: bool = False

    def noted(self, note: str) -> Decoded:
        """The same with a note at the end of its origin."""
        return replace(self, origin=f"{self.origin}, {note}")
