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
        pixels: float32 [h, w] when `unit` is "hu" or "stored"; uint8 [h, w] or [h, w, 3] when it is "uint8".
        unit: "hu" for Hounsfield units, "uint8" for display values, "stored" for numbers that need an offset to be HU.
        origin: the format and the conversion done, for a figure's record; never a patient's or a series' identity.
        padding: bool [h, w], where "stored" pixels are no part of the picture; None: nowhere.
    """

    pixels: npt.NDArray[Any]
    unit: Literal["hu", "uint8", "stored"]
    origin: str
    padding: npt.NDArray[np.bool_] | None = None

    def noted(self, note: str) -> Decoded:
        """The same with a note at the end of its origin."""
        return replace(self, origin=f"{self.origin}, {note}")
