"""Images that are nearly the same: other compression, brightness or size of one picture, on both sides of a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

SIDE = 24
"""Pictures are compared as thumbnails of so many pixels a side."""
LIKE = 0.985
"""Least correlation of two thumbnails that are called nearly the same."""
LIKE_IN_ORDER = 0.95
"""Least rank correlation: pictures that share a bright border alone are not alike."""
MOST = 30_000
"""Of more pictures all pairs are too many to compare."""
BLOCK = 1024
FLAT = 1e-3
"""Pictures whose thumbnail varies less, as a share of their range, look alike without being copies."""


def thumbnail(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float32] | None:
    """A picture [h, w] or [h, w, 3] as a grey thumbnail [SIDE * SIDE] of mean 0 and length 1; None if it is flat."""
    from PIL import Image

    grey = np.asarray(pixels, np.float32)
    if grey.ndim == 3:
        grey = grey.mean(-1)
    small = np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32).ravel()
    small = small - small.mean()
    if float(np.abs(small).max()) <= FLAT * max(1.0, float(np.ptp(grey))):
        return None
    return np.asarray(small / np.linalg.norm(small), np.float32)


def nearly_same(
    thumbnails: Sequence[npt.NDArray[np.float32]], owners: Sequence[str], like: float = LIKE
) -> Iterator[tuple[int, int, float]]:
    """Pairs (i, j) of pictures with different owners and correlation of at least `like`, and that; i < j."""
    if not len(thumbnails):
        return
    stack = np.stack(thumbnails)
    _, owner = np.unique(np.asarray(owners), return_inverse=True)
    for start in range(0, len(stack), BLOCK):
        likeness = stack[start : start + BLOCK] @ stack[start:].T
        rows, columns = np.nonzero(likeness >= like)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            i, j = start + row, start + column
            if i < j and owner[i] != owner[j] and _in_order(stack[i], stack[j]):
                yield i, j, float(likeness[row, column])


def _in_order(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Whether the pixels of two thumbnails are nearly in the same order (Spearman)."""
    first, second = (np.argsort(np.argsort(each, kind="stable"), kind="stable") for each in (one, other))
    return bool(np.corrcoef(first, second)[0, 1] >= LIKE_IN_ORDER)
