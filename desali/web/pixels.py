"""Pixels as bytes that a browser shows."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.web.pictures import as_image
from desali.web.seen import Picture


def coloured(picture: Picture) -> npt.NDArray[Any]:
    """The pixels of a map; of a contrast red and blue, white in the middle."""
    if not picture.contrast:
        return picture.pixels
    import matplotlib

    return np.asarray(matplotlib.colormaps["RdBu_r"](picture.pixels))[..., :3]


def png(pixels: npt.NDArray[Any]) -> bytes:
    """Pixels [h, w] or [h, w, 3] in [0, 1] as PNG, packed quickly."""
    buffer = io.BytesIO()
    as_image(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def data_url(pixels: npt.NDArray[Any]) -> str:
    """`png` as an address of its own."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"
