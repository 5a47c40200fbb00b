"""DICOM images of other modalities than CT as 8-bit display values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.formats.decoded import Decoded
from desali.data.formats.dicom_tags import Bools, first, of_frame
from desali.errors import ImageError

Floats = npt.NDArray[np.float64]


def display(dataset: Any, pixels: npt.NDArray[Any], outside: Bools, frame: int, modality: str, name: str) -> Decoded:
    """Grey by the file's own window or table, else by the range of what is no padding; 8-bit RGB as it is.

    MONOCHROME1 is inverted, so that large is bright; padding is black; a palette gives its colours.

    Raises:
        ImageError: pixels that are neither grey nor 8-bit RGB.
    """
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        table = np.asarray(apply_color_lut(pixels, dataset))
        levels = table >> 8 if table.dtype.itemsize > 1 else table
        return Decoded(levels[..., :3].astype(np.uint8), "uint8", f"DICOM {modality} with a palette, 8-bit RGB")
    if pixels.ndim == 3 and pixels.shape[-1] == 3 and pixels.dtype == np.uint8:
        lossy = photometric != "RGB" or str(dataset.get("LossyImageCompression", "")) == "01"
        return Decoded(pixels, "uint8", f"DICOM {modality}, 8-bit RGB", lossy=lossy)
    if pixels.ndim != 2:
        raise ImageError(
            f"{name}: DICOM ({modality}) of shape {list(pixels.shape)}, {pixels.dtype}; expected grey or 8-bit RGB"
        )
    grey, how = _grey(dataset, pixels, outside, frame)
    if photometric == "MONOCHROME1":
        grey, how = 1.0 - grey, how + ", inverted (MONOCHROME1)"
    if outside.any():
        grey, how = np.where(outside, 0.0, grey), how + f", {int(outside.sum())} padding pixels black"
    return Decoded(np.rint(255 * grey).astype(np.uint8), "uint8", f"DICOM {modality}, 8-bit by {how}")


def _grey(dataset: Any, pixels: npt.NDArray[Any], outside: Bools, frame: int) -> tuple[Floats, str]:
    """In [0, 1] by the first VOI table or window (PS3.3 C.11.2), else by the range."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi

    values = np.asarray(apply_modality_lut(pixels, dataset))
    slope, intercept = (
        first(of_frame(dataset, frame, "PixelValueTransformationSequence", tag))
        for tag in ("RescaleSlope", "RescaleIntercept")
    )
    if values is pixels and slope is not None and intercept is not None:
        values = pixels.astype(np.float64) * slope + intercept
    if not np.isfinite(values).all():
        raise ValueError("pixels with NaN or infinity")
    if dataset.get("VOILUTSequence"):
        table = np.asarray(apply_voi(np.rint(values).astype(np.int64), dataset), np.float64)
        return table / (2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1), "its own table"
    values = np.asarray(values, np.float64)
    center, width = (
        first(of_frame(dataset, frame, "FrameVOILUTSequence", tag)) for tag in ("WindowCenter", "WindowWidth")
    )
    function = str(of_frame(dataset, frame, "FrameVOILUTSequence", "VOILUTFunction") or "LINEAR").strip().upper()
    if center is not None and width is not None:
        if function == "SIGMOID" and width > 0:
            with np.errstate(over="ignore"):
                return 1 / (1 + np.exp(-4 * (values - center) / width)), "its own window (sigmoid)"
        if function == "LINEAR_EXACT" and width > 0:
            return np.clip((values - center) / width + 0.5, 0, 1), "its own window (exact)"
        if width > 1:
            return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1), "its own window"
    inside = values[~outside]
    low, high = float(inside.min(initial=np.inf)), float(inside.max(initial=-np.inf))
    grey = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.clip(grey, 0, 1), "its range"
