"""Local texture features as computer-aided diagnosis had them before CNNs: LBP, grey-level co-occurrence, grey levels.

Sources: Ojala, Pietikäinen and Mäenpää (PAMI 2002) for rotation-invariant uniform local binary patterns; Haralick,
Shanmugam and Dinstein (1973) for co-occurrence features; Sørensen, Shaker and de Bruijne (TMI 2010) for LBP together
with grey-level histograms on lung CT. Patterns and matrices are scikit-image's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from desali.data.preprocess import DEFAULT_WINDOW, apply_window
from desali.errors import DataError, DesaliError

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet

PATTERNS = ((8, 1), (16, 2))
"""Neighbours and radius in pixels of the local binary patterns: 10 and 18 bins."""
LEVELS = 32
"""Equal-width grey levels of the window in the co-occurrence matrices."""
DISTANCES = (1, 2)
"""In pixels; features are means over 0, 45, 90 and 135 degrees, so a quarter turn of the image changes none."""
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
PERCENTILES = (5, 25, 50, 75, 95)
LEAST_SIDE = 8


def texture_features(images: ImageSet, window: tuple[float, float] = DEFAULT_WINDOW) -> npt.NDArray[np.float64]:
    """Features [n, 45] of each image: two LBP histograms, co-occurrence features, and the grey levels themselves.

    Hounsfield units are cut to `window` (level, width) first; 8-bit images are taken as they are, colour as its luma
    (0.299 R + 0.587 G + 0.114 B). LBP is on 256 grey levels, without the border that its circle leaves. Grey levels:
    mean, standard deviation and the 5, 25, 50, 75 and 95 % percentiles, in [0, 1].

    Raises:
        DataError: images smaller than 8 pixels. DesaliError: scikit-image is not installed.
    """
    try:
        from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
    except ModuleNotFoundError as error:
        raise DesaliError(
            f"texture features need the package {error.name}, which is not installed; install 'desali[train]'"
        ) from error

    if min(images.images.shape[1:3]) < LEAST_SIDE:
        raise DataError(
            f"{images.name}: images of {images.images.shape[1]} x {images.images.shape[2]} pixels are too small for "
            f"texture features; expected at least {LEAST_SIDE} x {LEAST_SIDE}"
        )
    angles = np.arange(4) * np.pi / 4
    rows = []
    for image in images.images:
        grey = _grey(image, images.unit, window)
        bytes_ = np.round(grey * 255).astype(np.uint8)
        parts = []
        for neighbours, radius in PATTERNS:
            codes = local_binary_pattern(bytes_, neighbours, radius, method="uniform")[radius:-radius, radius:-radius]
            parts.append(np.bincount(codes.astype(np.int64).ravel(), minlength=neighbours + 2) / codes.size)
        levels = np.minimum((grey * LEVELS).astype(np.uint8), LEVELS - 1)
        matrix = graycomatrix(levels, DISTANCES, angles, levels=LEVELS, symmetric=True, normed=True)
        parts += [graycoprops(matrix, name).mean(1) for name in PROPERTIES]
        parts.append(np.array([grey.mean(), grey.std(), *np.percentile(grey, PERCENTILES)]))
        rows.append(np.concatenate(parts))
    width = sum(neighbours + 2 for neighbours, _ in PATTERNS) + len(PROPERTIES) * len(DISTANCES) + 2 + len(PERCENTILES)
    return np.array(rows, np.float64).reshape(len(images), width)


def _grey(image: npt.NDArray[np.generic], unit: str, window: tuple[float, float]) -> npt.NDArray[np.float64]:
    """One image as grey in [0, 1]."""
    if unit == "hu":
        return apply_window(image, window).astype(np.float64)
    values = image.astype(np.float64) / 255
    return values @ np.array([0.299, 0.587, 0.114]) if values.ndim == 3 else values
