"""Tags of DICOM images wherever a file keeps them, and where the pixels are padding."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]

CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT
)


MODALITIES = frozenset({
    "ANN", "AR", "ASMT", "AU", "BDUS", "BI", "BMD", "CFM", "CR", "CT", "CTPROTOCOL", "DMS", "DG", "DOC", "DX", "ECG",
    "EEG", "EMG", "EOG", "EPS", "ES", "FID", "GM", "HC", "HD", "IO", "IOL", "IVOCT", "IVUS", "KER", "KO", "LEN", "LS",
    "M3D", "MG", "MR", "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPTBSV", "OPTENF", "OPV", "OSS", "OT", "PA", "PLAN",
    "POS", "PR", "PT", "PX", "REG", "RESP", "RF", "RG", "RTDOSE", "RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD",
    "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SEG", "SM", "SMR", "SR", "SRF", "STAIN", "TEXTUREMAP", "TG", "US",
    "VA", "XA", "XAPROTOCOL", "XC", "AS", "CD", "CF", "CP", "CS", "DD", "DF", "DM", "DS", "EC", "FA", "FS", "LP",
    "MA", "MS", "OPR", "ST", "VF", "DSA",
})  # fmt: skip
"""PS3.3 C.7.3.1.1.1, with the retired ones."""
RESCALE_TYPES = ("OD", "HU", "US", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT")
"""PS3.3 C.11.1.1.2."""


def modality_of(dataset: Any) -> str:
    """In capitals; CT also where the tag is missing and the file's SOP class is one of CT's."""
    modality = code(dataset.get("Modality"), MODALITIES)
    if not modality and str(dataset.get("SOPClassUID", "")) in CT_CLASSES:
        return "CT"
    return modality or "unknown modality"


def code(value: Any, known: Container[str]) -> str:
    """A coded word in capitals; "" for one that is not known, since any other text may name the patient."""
    word = str(value or "").strip().upper()
    return word if word in known else ""


def of_frame(dataset: Any, frame: int, sequence: str, name: str) -> Any:
    """A tag of one frame (from 0): the file's own, else of a functional group's `sequence` (PS3.3 C.7.6.16); None if
    it is nowhere.
    """
    own = dataset.get(name)
    if own is not None:
        return own
    for groups, at in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = dataset.get(groups) or []
        inner = (items[at].get(sequence) or []) if at < len(items) else []
        if inner and inner[0].get(name) is not None:
            return inner[0].get(name)
    return None


def first(value: Any) -> float | None:
    """The first of a tag's values as a number; None if the tag is absent or empty."""
    from pydicom.multival import MultiValue

    if isinstance(value, MultiValue):
        value = value[0] if len(value) else None
    return None if value is None or value == "" else float(value)


def padding(dataset: Any, pixels: npt.NDArray[Any]) -> Bools:
    """Where PixelPaddingValue, or the range up to PixelPaddingRangeLimit, stands (PS3.3 C.7.5.1.1.2).

    Numbers are compared modulo 2^bits in the pixels' own sign: writers store -2000 as 63536 and the other way round.
    """
    for kind in ("FloatPixelPadding", "DoubleFloatPixelPadding"):
        if dataset.get(f"{kind}Value") is not None:
            value, limit = (dataset.get(kind + end) for end in ("Value", "RangeLimit"))
            low, high = sorted((float(value), float(value if limit is None else limit)))
            return np.asarray((pixels >= low) & (pixels <= high))
    value = dataset.get("PixelPaddingValue")
    if value is None or pixels.dtype.kind not in "iu":
        return np.zeros(pixels.shape, np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit")
    bits = int(dataset.get("BitsAllocated", 16) or 16)
    signed = pixels.dtype.kind == "i"
    low, high = sorted(_wrapped(_number(end), bits, signed) for end in (value, value if limit is None else limit))
    return np.asarray((pixels >= low) & (pixels <= high))


def _number(value: Any) -> int:
    """A value that a file with an ambiguous type may hold as two raw bytes."""
    return int.from_bytes(value, "little") if isinstance(value, bytes) else int(value)


def _wrapped(value: int, bits: int, signed: bool) -> int:
    value %= 1 << bits
    return value - (1 << bits) if signed and value >= 1 << (bits - 1) else value
