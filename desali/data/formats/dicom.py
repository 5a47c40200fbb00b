"""DICOM images through pydicom: CT as Hounsfield units, other modalities as display values."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.formats.declared import check_size, declared_size
from desali.data.formats.decoded import Decoded
from desali.data.formats.dicom_display import display
from desali.data.formats.dicom_file import open_dicom
from desali.data.formats.dicom_tags import RESCALE_TYPES, Bools, code, first, modality_of, of_frame, padding
from desali.errors import ImageError, SeveralPagesError

AIR_HU = -1024.0  # floor of the CT scale; what lies below is padding outside the field of view
MARKER = b"DICM"
MARKER_OFFSET = 128
HOUNSFIELD = ("", "HU", "HU_MOD")
_SCALE = "PixelValueTransformationSequence"


def read_dicom(data: bytes, name: str, *, frame: int | None = None, offset_given: bool = False) -> Decoded:
    """Decode one frame of a DICOM file that was read into `data`.

    CT: HU = pixel x RescaleSlope + RescaleIntercept (PS3.3 C.11.1.1.2), of the file, of its functional groups or by its
    modality table; pixel padding, found in the stored numbers, and everything below -1024 HU set to -1024. Any other
    modality has no HU: it becomes 8-bit (`desali.data.formats.dicom_display`).

    Args:
        frame: from 1; may be left out if there is one.
        offset_given: hand out a CT without an HU scale as "stored" instead of raising.

    Raises:
        ImageError: damaged, without pixels, no such frame, an unknown compression, or a CT without a scale.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about oddities of single tags that desali does not read
        try:
            dataset = open_dicom(data, name)
            modality = modality_of(dataset)
            frames = int(dataset.get("NumberOfFrames", 1) or 1)
            has_pixels = any(k in dataset for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
        except ImageError:
            raise
        except Exception as error:  # InvalidDicomError, EOFError, struct.error, ValueError, ... on damaged files
            raise ImageError(
                f"{name}: the DICOM file is truncated or damaged ({_reason(error)}); copy it again"
            ) from error
        if not has_pixels:
            raise ImageError(f"{name}: DICOM ({modality}) without pixel data; choose an image file of the series")
        if frame is None and frames > 1:
            raise SeveralPagesError(
                f"{name}: DICOM with {frames} frames; choose one with frame=1 to frame={frames}", frames
            )
        if frame is not None and not 1 <= frame <= frames:
            held = "one frame" if frames == 1 else f"frames 1 to {frames}"
            raise ImageError(f"{name}: frame={frame}: the DICOM file holds {held}")
        at = (frame or 1) - 1
        pixels = _pixels(dataset, name, at)
        try:
            outside = padding(dataset, pixels)
            if modality == "CT":
                decoded = _ct(dataset, pixels, outside, at, name, offset_given)
            else:
                decoded = display(dataset, pixels, outside, at, modality, name)
        except ImageError:
            raise
        except Exception as error:  # tags with impossible values
            raise ImageError(f"{name}: DICOM with unusable tags ({_reason(error)}); export it again") from error
    return decoded if frames == 1 else decoded.noted(f"frame {at + 1} of {frames}")


def _pixels(dataset: Any, name: str, frame: int) -> npt.NDArray[Any]:
    from pydicom._uid_dict import UID_dictionary
    from pydicom.pixels.utils import pixel_array

    try:
        _check_pixels(dataset, name, frame)
        return np.asarray(pixel_array(dataset, index=frame))
    except ImageError:
        raise
    except (RuntimeError, NotImplementedError) as error:  # no plug-in, or none that knows this variant
        syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
        compression = syntax.name if syntax in UID_dictionary else "unknown"
        raise ImageError(
            f"{name}: DICOM pixels compressed as {compression!r} cannot be decoded here; store the file uncompressed, "
            "or install the plug-ins that decode it: pip install 'desali[dicom]'"
        ) from error
    except Exception as error:
        raise ImageError(
            f"{name}: the DICOM pixels are truncated or damaged ({_reason(error)}); copy it again"
        ) from error


def _check_pixels(dataset: Any, name: str, frame: int) -> None:
    """Refuse what the header, or a compressed frame's own, asks for, before a decoder does it."""
    height, width = int(dataset.Rows), int(dataset.Columns)
    each = max(1, int(dataset.get("SamplesPerPixel", 1) or 1)) * max(1, int(dataset.get("BitsAllocated", 8) or 8) // 8)
    stored = dataset.get("PixelData") or dataset.get("FloatPixelData") or dataset.get("DoubleFloatPixelData") or b""
    check_size(height, width, each, len(stored), name, "DICOM")
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    from pydicom.encaps import get_frame

    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    coded = declared_size(get_frame(dataset.PixelData, frame, number_of_frames=frames))
    if coded is not None and coded != (height, width):
        raise ImageError(
            f"{name}: the DICOM pixels are damaged (compressed as {coded[0]} x {coded[1]}, the header says {height} x "
            f"{width}); copy it again"
        )


def _ct(dataset: Any, pixels: npt.NDArray[Any], outside: Bools, frame: int, name: str, offset_given: bool) -> Decoded:
    if pixels.ndim != 2:
        raise ImageError(f"{name}: CT with pixels of shape {list(pixels.shape)}; expected one grey slice [h, w]")
    scaled = _scaled(dataset, pixels, frame, name)
    if scaled is None:
        if not offset_given:
            raise ImageError(
                f"{name}: CT without RescaleSlope and RescaleIntercept, so its pixels are not HU; "
                "pass hu_offset= (HU = pixel + offset, often -1024)"
            )
        return Decoded(pixels.astype(np.float32), "stored", "DICOM CT without rescale tags", outside)
    values, kind, origin = scaled
    if kind not in HOUNSFIELD:
        if not offset_given:
            raise ImageError(
                f"{name}: CT whose RescaleType is {kind!r}, not HU; choose the original CT series, or pass "
                "hu_offset=0 if its rescaled values are HU all the same"
            )
        return Decoded(values.astype(np.float32), "stored", f"{origin}, RescaleType {kind!r}", outside)
    outside = (values < AIR_HU) | outside
    if outside.any():
        origin += f", {int(outside.sum())} padding pixels set to {AIR_HU:g} HU"
    return Decoded(np.where(outside, AIR_HU, values).astype(np.float32), "hu", origin)


def _scaled(
    dataset: Any, pixels: npt.NDArray[Any], frame: int, name: str
) -> tuple[npt.NDArray[np.float64], str, str] | None:
    """Values by the file's own scale, the scale's unit, and how; None if there is no scale."""
    slope, intercept = (of_frame(dataset, frame, _SCALE, tag) for tag in ("RescaleSlope", "RescaleIntercept"))
    if slope is not None and intercept is not None:
        slope, intercept = first(slope), first(intercept)
    if slope is not None and intercept is not None:
        if not (np.isfinite(slope) and np.isfinite(intercept) and slope > 0):
            raise ImageError(
                f"{name}: CT with RescaleSlope {slope:g} and RescaleIntercept {intercept:g}; expected a slope above 0"
            )
        kind = _unit(of_frame(dataset, frame, _SCALE, "RescaleType"))
        origin = f"DICOM CT, RescaleSlope {slope:g}, RescaleIntercept {intercept:g}"
        return pixels.astype(np.float64) * slope + intercept, kind, origin
    if dataset.get("ModalityLUTSequence"):
        from pydicom.pixels.processing import apply_modality_lut

        kind = _unit(dataset.ModalityLUTSequence[0].get("ModalityLUTType"))
        return np.asarray(apply_modality_lut(pixels, dataset), np.float64), kind, "DICOM CT, by its modality table"
    return None


def _unit(value: Any) -> str:
    """A scale's unit; what is there and no coded word is another unit than HU."""
    return code(value, RESCALE_TYPES) or ("unknown" if str(value or "").strip() else "")


def _reason(error: BaseException) -> str:
    """Its kind alone: the text of an error may quote the header, and a header names the patient."""
    return type(error).__name__
