"""One independent random stream per class, patient and image, so that no image depends on how many were asked for."""

from __future__ import annotations

import operator
import zlib
from typing import SupportsIndex

import numpy as np

from desali.errors import DataError


def stream(seed: int, *key: int | str) -> np.random.Generator:
    """The random generator of one thing, named by `key`, e.g. `stream(0, "natural", "ball", 17)`."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=words)))


def whole_number(name: str, value: SupportsIndex, least: int, most: int | None = None) -> int:
    """`value` as an int within [least, most].

    Raises:
        DataError: it is not a whole number, or outside the range.
    """
    expected = f"a whole number >= {least}" if most is None else f"a whole number from {least} to {most}"
    try:
        number = operator.index(value)
    except TypeError:
        raise DataError(f"{name}={value!r}: expected {expected}") from None
    if isinstance(value, bool) or number < least or (most is not None and number > most):
        raise DataError(f"{name}={value!r}: expected {expected}")
    return number
