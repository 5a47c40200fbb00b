"""DICOM images through pydicom: CT as Hounsfield units, other modalities as display values."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.formats.decoded import Decoded
from desali.errors import ImageError

AIR_HU = -1024.0  # floor of the CT scale; what lies below is padding outside the field of view
MARKER = b"DICM"
MARKER_OFFSET = 128


def read_dicom(data: bytes, name: str, *, rescale_missing_is_stored: bool = False) -> Decoded:
    """Decode a single-frame DICOM file that was read into `data`.

    CT: HU = pixel x RescaleSlope + RescaleIntercept (PS3.3 C.11.1.1.2), pixel padding and everything below -1024 HU
    set to -1024. Any other modality has no HU: it becomes 8-bit by the file's own window, else by its range, and
    MONOCHROME1 is inverted so that large is bright.

    Args:
        rescale_missing_is_stored: hand out a CT without rescale tags as "stored" instead of raising.

    Raises:
        ImageError: damaged, without pixels, several frames, an unknown compression, or a CT without rescale tags.
    """
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about oddities of single tags that desali does not read
        try:
            dataset = pydicom.dcmread(io.BytesIO(data))
            modality = str(dataset.get("Modality", "") or "unknown modality")
            frames = int(dataset.get("NumberOfFrames", 1) or 1)
            has_pixels = any(k in dataset for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
        except Exception as error:  # InvalidDicomError, EOFError, struct.error, ValueError, ... on damaged files
            raise ImageError(
                f"{name}: the DICOM file is truncated or damaged ({_reason(error)}); copy it again"
            ) from error
        if not has_pixels:
            raise ImageError(f"{name}: DICOM ({modality}) without pixel data; choose an image file of the series")
        if frames > 1:
            raise ImageError(f"{name}: DICOM with {frames} frames; expected one slice, export the wanted frame alone")
        pixels = _pixels(dataset, name)
        try:
            if modality == "CT":
                return _ct(dataset, pixels, name, rescale_missing_is_stored)
            return _display(dataset, pixels, modality, name)
        except ImageError:
            raise
        except Exception as error:  # tags with impossible values
            raise ImageError(f"{name}: DICOM with unusable tags ({_reason(error)}); export it again") from error


def _pixels(dataset: Any, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(dataset.pixel_array)
    except (RuntimeError, NotImplementedError) as error:  # no plug-in, or none that knows this variant
        syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
        compression = getattr(syntax, "name", None) or "unknown"
        raise ImageError(
            f"{name}: DICOM pixels compressed as {compression!r} cannot be decoded here; store the file uncompressed, "
            "or install the plug-ins that decode it: pip install 'desali[dicom]'"
        ) from error
    except Exception as error:
        raise ImageError(
            f"{name}: the DICOM pixels are truncated or damaged ({_reason(error)}); copy it again"
        ) from error


def _ct(dataset: Any, pixels: npt.NDArray[Any], name: str, rescale_missing_is_stored: bool) -> Decoded:
    if pixels.ndim != 2:
        raise ImageError(f"{name}: CT with pixels of shape {list(pixels.shape)}; expected one grey slice [h, w]")
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    padding = _padding(dataset, pixels)
    if slope is None or intercept is None:
        if not rescale_missing_is_stored:
            raise ImageError(
                f"{name}: CT without RescaleSlope and RescaleIntercept, so its pixels are not HU; "
                "pass --hu-offset (HU = pixel + offset, often -1024)"
            )
        return Decoded(pixels.astype(np.float32), "stored", "DICOM CT without rescale tags")
    kind = str(dataset.get("RescaleType", "") or "HU")
    if kind not in ("HU", "HU_MOD"):
        raise ImageError(f"{name}: CT whose RescaleType is {kind!r}, not HU; choose the original CT series")
    slope, intercept = float(slope), float(intercept)
    if not (np.isfinite(slope) and np.isfinite(intercept) and slope > 0):
        raise ImageError(
            f"{name}: CT with RescaleSlope {slope:g} and RescaleIntercept {intercept:g}; expected a slope above 0"
        )
    hu = pixels.astype(np.float64) * slope + intercept
    outside = (hu < AIR_HU) | padding
    origin = f"DICOM CT, RescaleSlope {slope:g}, RescaleIntercept {intercept:g}"
    if outside.any():
        origin += f", {int(outside.sum())} padding pixels set to {AIR_HU:g} HU"
    return Decoded(np.where(outside, AIR_HU, hu).astype(np.float32), "hu", origin)


def _padding(dataset: Any, pixels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where PixelPaddingValue, or the range up to PixelPaddingRangeLimit, stands (PS3.3 C.7.5.1.1.2)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(pixels.shape, np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = sorted(_signed(int(end), dataset) for end in (value, value if limit is None else limit))
    return (pixels >= ends[0]) & (pixels <= ends[1])


def _signed(value: int, dataset: Any) -> int:
    """Some writers store a negative padding value as its unsigned 16-bit twin (63536 for -2000)."""
    signed = int(dataset.get("PixelRepresentation", 0)) == 1
    return value - (1 << 16) if signed and value >= 1 << 15 else value


def _display(dataset: Any, pixels: npt.NDArray[Any], modality: str, name: str) -> Decoded:
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric == "PALETTE COLOR":
        raise ImageError(f"{name}: DICOM ({modality}) with a colour palette; export it as grey or RGB")
    if pixels.ndim == 3 and pixels.shape[-1] == 3 and pixels.dtype == np.uint8:
        return Decoded(pixels, "uint8", f"DICOM {modality}, 8-bit RGB")
    if pixels.ndim != 2:
        raise ImageError(
            f"{name}: DICOM ({modality}) of shape {list(pixels.shape)}, {pixels.dtype}; expected grey or 8-bit RGB"
        )
    grey, how = _windowed(dataset, pixels)
    if photometric == "MONOCHROME1":
        grey, how = 1.0 - grey, how + ", inverted (MONOCHROME1)"
    return Decoded(np.rint(255 * grey).astype(np.uint8), "uint8", f"DICOM {modality}, 8-bit by {how}")


def _windowed(dataset: Any, pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], str]:
    """Grey in [0, 1] by the first WindowCenter and WindowWidth (linear, PS3.3 C.11.2.1.2), else by the range."""
    from pydicom.pixels.processing import apply_modality_lut

    values = np.asarray(apply_modality_lut(pixels, dataset), np.float64)
    if not np.isfinite(values).all():
        raise ValueError("pixels with NaN or infinity")
    center, width = (_first(dataset.get(tag)) for tag in ("WindowCenter", "WindowWidth"))
    if center is not None and width is not None and width > 1:
        return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1), "its own window"
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    return (values - low) / (high - low) if high > low else np.zeros_like(values), "its range"


def _first(value: Any) -> float | None:
    """The first of a tag's values; None if the tag is absent or empty."""
    from pydicom.multival import MultiValue

    if isinstance(value, MultiValue):
        value = value[0] if len(value) else None
    return None if value is None or value == "" else float(value)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
