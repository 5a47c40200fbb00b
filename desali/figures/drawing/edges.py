"""A plain edge detector: the control that stands beside every reconstruction."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from desali.comparison.smoothing import sobel
from desali.errors import DataError
from desali.figures.drawing.display import finite_array


def edge_map(image: Any) -> npt.NDArray[np.float64]:
    """Sobel gradient magnitude of an image; knows nothing of any network (Adebayo et al., arXiv 1810.03292).

    Args:
        image: [h, w], or [h, w, 3], whose channels are averaged first.

    Returns:
        sqrt(dx^2 + dy^2), float64 [h, w], not normalised; the border repeats its pixels.

    Raises:
        DataError: another shape, or NaN or infinity.
    """
    values = finite_array(image)
    if values.ndim == 3 and values.shape[-1] == 3:
        values = values.mean(axis=-1)
    if values.ndim != 2:
        raise DataError(f"an image must have shape [h, w] or [h, w, 3], got {list(values.shape)}")
    return np.asarray(np.hypot(sobel(values, 0), sobel(values, 1)))
