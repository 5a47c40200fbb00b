"""Pixels as bytes that a browser shows."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy.typing as npt

from desali.web.pictures import as_image


def png(pixels: npt.NDArray[Any]) -> bytes:
    """Pixels [h, w] or [h, w, 3], in [0, 1] or bytes, as PNG, packed quickly."""
    buffer = io.BytesIO()
    as_image(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def data_url(pixels: npt.NDArray[Any]) -> str:
    """`png` as an address of its own."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"
