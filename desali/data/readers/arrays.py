"""Images stored as one array in an .npz file: their number without reading them, and the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.errors import DataError
from desali.input.arrays import npz_headers, read_npz


def length(path: Path, key: str) -> int:
    """The number of images of an array, from its header.

    Raises:
        DataError: no such file or key, damaged, or not an array of images [n, h, w] or [n, h, w, 3].
    """
    headers = npz_headers(path, str(path), DataError, "copy it again")
    if key not in headers:
        raise DataError(f"{path}: has no array {key!r} (arrays: {', '.join(headers)})")
    shape = headers[key].shape
    if not (len(shape) == 3 or (len(shape) == 4 and shape[-1] == 3)) or 0 in shape[1:]:
        raise DataError(f"{path}: {key} has shape {list(shape)}; expected images [n, h, w] or [n, h, w, 3]")
    return int(shape[0])


def read(path: Path, key: str, hu_offset: float | None) -> npt.NDArray[Any]:
    """The array: uint8 display values, or anything else as float32 Hounsfield units.

    Args:
        hu_offset: HU = value + offset, for unsigned 16-bit arrays only.

    Raises:
        DataError: damaged, of a type without a unit, an offset that is missing or does not apply, NaN.
    """
    arrays = read_npz(path, str(path), DataError, "copy it again", (key,))
    if key not in arrays:
        raise DataError(f"{path}: has no array {key!r}; copy it again")
    images = arrays[key]
    kind = images.dtype
    if (kind == np.uint16) != (hu_offset is not None):
        said = "needs hu_offset (HU = value + offset, often -1024)" if hu_offset is None else "takes no hu_offset"
        raise DataError(f"{path}: {key} is {kind}, which {said}")
    if kind == np.uint8:
        return images
    if images.ndim != 3 or kind.kind not in "iuf" or kind in (np.uint32, np.uint64):
        raise DataError(f"{path}: {key} is {kind} {list(images.shape)}; expected uint8, or grey in HU")
    if kind.kind == "f" and not np.isfinite(images).all():
        raise DataError(f"{path}: {key} holds NaN or infinite values; replace them by a HU value, e.g. -1024")
    hu: npt.NDArray[np.float32] = images.astype(np.float32) + np.float32(hu_offset or 0)
    return hu
