"""PNG files of pages: mostly white, with small pictures, for which trying filters costs time and gains no bytes."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LEVEL = 3
INCH = 0.0254


def write_png(path: Path, page: npt.NDArray[np.uint8], dpi: float) -> None:
    """Write an image as PNG (ISO/IEC 15948): 8 bits a colour, every row unfiltered.

    Args:
        page: uint8 [h, w, 3].
        dpi: pixels per inch, which viewers and printers go by.
    """
    height, width, _ = page.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # a row begins with its filter: 0, none
    rows[:, 1:] = page.reshape(height, 3 * width)
    across = round(dpi / INCH)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"pHYs", struct.pack(">IIB", across, across, 1)),
        (b"IDAT", zlib.compress(rows.tobytes(), LEVEL)),
        (b"IEND", b""),
    )
    with open(path, "wb") as file:
        file.write(SIGNATURE)
        for kind, data in parts:
            file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
