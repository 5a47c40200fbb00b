"""Axial slices of NIfTI volumes, through nibabel."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np

from desali.data.formats.decoded import Decoded
from desali.data.formats.numbers import by_type, chosen
from desali.errors import ImageError
from desali.limits import IMAGE_BYTES

LEAST_OF_CT = -500.0
"""A CT holds air; a volume without anything so dark is none, or has lost its scale."""


def read_nifti(data: bytes, name: str, page: int | None = None, *, offset_given: bool = False) -> Decoded:
    """Decode one axial slice of a NIfTI file, compressed or not: front up, the patient's right on the left.

    Slices are counted from the feet. Bytes are display values; a volume that reaches down to air is in Hounsfield
    units; any other names no unit, because a NIfTI file does not say what was measured.

    Args:
        page: the slice, from 1; may be left out if there is one.
        offset_given: hand out a volume without air as "stored" instead of raising.

    Raises:
        ImageError: nibabel is missing; damaged; several volumes or colour; no such slice; NaN; or no unit.
    """
    nibabel: Any
    try:
        import nibabel
    except ImportError:
        raise ImageError(f"{name}: reading NIfTI needs nibabel: pip install 'desali[nifti]'") from None
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(data, name)
    try:
        kind = nibabel.Nifti2Image if data[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nibabel.Nifti1Image
        image = kind.from_bytes(data)
        if 0 in image.shape or len([side for side in image.shape[3:] if side > 1]) or len(image.shape) < 2:
            raise ImageError(
                f"{name}: NIfTI of {' x '.join(map(str, image.shape))}; expected one volume of slices, save it alone"
            )
        if image.get_data_dtype().kind not in "biuf":
            raise ImageError(f"{name}: NIfTI with values of type {image.get_data_dtype()}; expected a grey volume")
        _whole(image, len(data), name)
        volume = _axial(nibabel, image)
        scale = (float(image.dataobj.slope), float(image.dataobj.inter))
    except ImageError:
        raise
    except Exception as error:  # nibabel raises ImageFileError, HeaderDataError, ValueError, OSError, ...
        raise ImageError(
            f"{name}: the NIfTI file is truncated or damaged ({type(error).__name__}); copy it again"
        ) from error
    index = chosen(page, volume.shape[2], name, "NIfTI", "slice")
    # Only the slice is scaled: a volume of bytes would take eight times the room.
    stored = np.ascontiguousarray(volume[..., index].T[::-1, ::-1])
    pixels = nibabel.volumeutils.apply_read_scaling(stored, *scale)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ImageError(f"{name}: NIfTI slice {index + 1} holds NaN or infinity; replace them by a HU value")
    note = f"axial slice {index + 1} of {volume.shape[2]}"
    if pixels.dtype == np.uint8 or pixels.dtype.kind == "b":
        return by_type(pixels, "NIfTI", name).noted(note)
    hu = pixels.astype(np.float32)
    end = np.nanmin(volume) if scale[0] >= 0 else np.nanmax(volume)
    least = float(nibabel.volumeutils.apply_read_scaling(np.array(end), *scale))
    if least <= LEAST_OF_CT and not offset_given:
        return Decoded(hu, "hu", f"NIfTI, {image.get_data_dtype()}, read as HU, {note}")
    if not offset_given:
        raise ImageError(
            f"{name}: NIfTI whose least value is {least:g}, so it is no CT in HU (air is -1000); pass "
            "hu_offset= (HU = value + offset, often -1024), or save display values as 8-bit"
        )
    return Decoded(hu, "stored", f"NIfTI, {image.get_data_dtype()}, {note}")


def _unpacked(data: bytes, name: str) -> bytes:
    unpacker = zlib.decompressobj(31)
    try:
        whole = unpacker.decompress(data, IMAGE_BYTES.value + 1)
    except zlib.error as error:
        raise ImageError(f"{name}: the compressed NIfTI file is damaged; copy it again") from error
    too_large = IMAGE_BYTES.exceeded(len(whole))
    if too_large:
        raise ImageError(f"{name}: NIfTI that unpacks to at least {too_large}, or crop it first")
    return whole


def _whole(image: Any, held: int, name: str) -> None:
    """Refuse a header that speaks of more bytes than there are, before nibabel makes room for them."""
    needed = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
    if needed > held - int(image.dataobj.offset):
        raise ImageError(
            f"{name}: the NIfTI file is truncated: its header speaks of {needed:,} bytes of values, and "
            f"{max(0, held - int(image.dataobj.offset)):,} are there; copy it again"
        )


def _axial(nibabel: Any, image: Any) -> Any:
    """Values as they are stored [to the right, to the front, to the head]."""
    values = np.asanyarray(image.dataobj.get_unscaled())
    values = values.reshape(*values.shape[:2], -1) if values.ndim != 3 else values
    orientation = nibabel.orientations.io_orientation(image.affine)
    if np.isnan(orientation).any():
        return values
    return nibabel.orientations.apply_orientation(values, orientation)
