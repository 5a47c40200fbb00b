"""What a file is, by its first bytes: the one place that decides whether a file is an image."""

from __future__ import annotations

import os
import stat
import struct
import zlib
from pathlib import Path

from desali.data.formats.dicom import MARKER, MARKER_OFFSET

HEAD = 1024
"""Bytes that are enough to tell."""
PNG, JPEG, BMP, TIFF, DICOM, NPY, NIFTI = "PNG", "JPEG", "BMP", "TIFF", "DICOM", "NumPy array", "NIfTI"
READ = (PNG, JPEG, BMP, TIFF, DICOM, NPY, NIFTI)
"""Formats that desali reads."""
READ_WORDS = "PNG, JPEG, BMP, TIFF, DICOM, .npy or NIfTI"
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".dcm", ".dicom", ".npy", ".nii", ".nii.gz"),
)
"""A file with one of these is meant to be an image, whatever it holds: it is read, and said to be damaged if it is."""
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_OTHERS = {
    b"GIF8": "GIF", b"\0\0\0\x0cjP  ": "JPEG 2000", b"\xff\x4f\xff\x51": "JPEG 2000", b"8BPS": "Photoshop file",
    b"%PDF": "PDF", b"v/1\x01": "OpenEXR", b"\0\0\1\0": "icon", b"\x93NUMPY": "NumPy array", b"PK\3\4": "ZIP archive",
    b"\x89HDF": "HDF5 file", b"NRRD": "NRRD", b"gimp xcf": "GIMP file", b"FUJIFILM": "raw photograph",
    b"SIMPLE  =": "FITS", b"P5": "PGM", b"P6": "PPM", b"#?RADIANCE": "Radiance picture", b"\xff\x0a": "JPEG XL",
}  # fmt: skip


def format_of(head: bytes) -> str:
    """The format of a file by its first `HEAD` bytes: one of `READ`, the name of another one, or "" if unknown."""
    if head[MARKER_OFFSET : MARKER_OFFSET + 4] == MARKER:
        return DICOM
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(_TIFF):
        return TIFF
    if head.startswith(b"BM") and _is_bmp(head):
        return BMP
    if head.startswith(b"\x93NUMPY"):
        return NPY
    if is_nifti(head):
        return NIFTI
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"avif"):
        return "HEIF or AVIF"
    if head[:512].lstrip()[:5].lower() in (b"<svg ", b"<?xml") and b"<svg" in head.lower():
        return "SVG"
    return next((name for start, name in _OTHERS.items() if head.startswith(start) and len(start) > 2), "")


def is_nifti(head: bytes) -> bool:
    """Whether this is the head of a NIfTI file, compressed with gzip or not; its header alone (.hdr) counts too."""
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(31).decompress(head, 352)
        except zlib.error:
            return False
    if head[:4] in (struct.pack("<i", 348), struct.pack(">i", 348)):
        return head[344:348] in (b"n+1\0", b"ni1\0")
    return head[:4] in (struct.pack("<i", 540), struct.pack(">i", 540)) and head[4:7] in (b"n+2", b"ni2")


def _is_bmp(head: bytes) -> bool:
    return len(head) >= 18 and head[6:10] == b"\0\0\0\0" and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADERS


def format_of_file(path: str | os.PathLike[str]) -> str:
    """`format_of` a file; "" for what is no regular file or cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ""
        with open(path, "rb") as file:
            return format_of(file.read(HEAD))
    except (OSError, ValueError):
        return ""


def is_image(path: Path) -> bool:
    """Whether a file is an image or is meant to be one: by its suffix, or else by its content."""
    return path.name.lower().endswith(SUFFIXES) or format_of_file(path) in READ
