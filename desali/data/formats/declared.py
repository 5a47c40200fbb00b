"""How many pixels an image says it has, read off its first bytes, before a decoder believes it."""

from __future__ import annotations

import struct

from desali.errors import ImageError
from desali.limits import IMAGE_BYTES, IMAGE_PIXELS, expands_too_much

PNG, BMP, JPEG = b"\x89PNG\r\n\x1a\n", b"BM", b"\xff\xd8"
JPEG_2000 = b"\xff\x4f\xff\x51"
"""Start of a code stream and of its SIZ segment, alone or inside a JP2 file (ISO/IEC 15444-1, A.5.1)."""
FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""JPEG and JPEG-LS markers that begin a frame and hold its size (ITU-T T.81, B.2.2; T.87, C.2.2)."""
ALONE = {0x01, *range(0xD0, 0xD8)}


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) that a PNG, BMP, JPEG, JPEG-LS or JPEG 2000 stream says it has; None if it is none of them."""
    try:
        if data.startswith(PNG):
            width, height = struct.unpack_from(">II", data, 16)
            return height, width
        if data.startswith(BMP):
            old = struct.unpack_from("<I", data, 14)[0] == 12
            width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
            return abs(height), abs(width)
        if data.startswith(JPEG):
            return _jpeg(data)
        at = data.find(JPEG_2000, 0, 1 << 16)
        if at >= 0:
            right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
            return bottom - top, right - left
    except struct.error:
        pass
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """Of the largest frame before the first scan."""
    largest: tuple[int, int] | None = None
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in ALONE or marker in (0x00, 0xD8):
            at += 2
            continue
        if marker in (0xDA, 0xD9):
            break
        if marker in FRAMES and at + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 5)
            if largest is None or height * width > largest[0] * largest[1]:
                largest = height, width
        at += 2 + max(2, struct.unpack_from(">H", data, at + 2)[0])
    return largest


def check_size(height: int, width: int, bytes_a_pixel: int, held: int, name: str, what: str) -> None:
    """Refuse an image before it is decoded.

    Args:
        bytes_a_pixel: of all its channels, decoded.
        held: bytes that its pixels take in the file.
        name, what: of file and format, for a message.

    Raises:
        ImageError: more pixels or bytes than `desali.limits` accepts, or more than so few bytes can hold.
    """
    pixels = height * width
    size = pixels * bytes_a_pixel
    too_large = IMAGE_PIXELS.exceeded(pixels) or IMAGE_BYTES.exceeded(size)
    if too_large:
        raise ImageError(f"{name}: {what} of {height} x {width} pixels: {too_large}, or crop it first")
    too_much = expands_too_much(size, held)
    if too_much:
        raise ImageError(
            f"{name}: {what} of {height} x {width} pixels in {held} bytes is truncated or damaged, it would unpack to "
            f"{too_much}"
        )
