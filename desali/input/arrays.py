"""Arrays of .npz and .npy files: sizes are checked against the file before memory is asked for; objects are refused."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from desali.errors import DesaliError
from desali.input.files import read_bytes, refuse_special, shown
from desali.input.values import one_line
from desali.limits import ARRAY_BYTES, expands_too_much

Source = str | os.PathLike[str] | bytes
BLOCK = 1 << 24
UNREADABLE = "cannot be read as an .npz file"
NUMPY_WRITES = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Header(NamedTuple):
    """What an array's header says; `bytes` are those of its elements."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    bytes: int


class _Refused(Exception):
    """Why a file is refused, for the message."""


def read_npz(
    source: Source,
    name: str,
    error: type[DesaliError],
    advice: str,
    keys: Sequence[str] | None = None,
    said: str = UNREADABLE,
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file, in the file's order.

    Args:
        source: a path, or the file's content.
        name: of the file, for messages.
        error: what is raised.
        advice: what to do about a file that cannot be read.
        keys: the arrays that are read, as far as they are there; None for all.
        said: what a message calls a file that cannot be read.

    Raises:
        error: no regular file, no zip file, damaged, encrypted, with objects, or larger than it can be or may be.
    """

    def read(archive: zipfile.ZipFile) -> dict[str, npt.NDArray[Any]]:
        found = {}
        for key, info in _members(archive).items():
            if keys is None or key in keys:
                with _opened(archive, info) as file:
                    found[key] = _array(file, info.file_size, key)
        return found

    result: dict[str, npt.NDArray[Any]] = _with_archive(source, name, error, advice, read, said)
    return result


def npz_headers(path: str | os.PathLike[str], name: str, error: type[DesaliError], advice: str) -> dict[str, Header]:
    """The headers of the arrays of an .npz file; no elements are read. See `read_npz`."""

    def read(archive: zipfile.ZipFile) -> dict[str, Header]:
        found = {}
        for key, info in _members(archive).items():
            with _opened(archive, info) as file:
                found[key] = _header(file, info.file_size, key)
        return found

    result: dict[str, Header] = _with_archive(path, name, error, advice, read, UNREADABLE)
    return result


def read_npy(source: Source, name: str, error: type[DesaliError], advice: str) -> npt.NDArray[Any]:
    """The array of an .npy file; see `read_npz`."""
    data = source if isinstance(source, bytes) else read_bytes(source, "an .npy file", error, ARRAY_BYTES)
    try:
        return _array(io.BytesIO(data), len(data), "the array")
    except Exception as found:
        raise error(f"{name}: unreadable as an .npy file ({_reason(found)}); {advice}") from found


def _with_archive(
    source: Source, name: str, error: type[DesaliError], advice: str, read: Callable[[zipfile.ZipFile], Any], said: str
) -> Any:
    if not isinstance(source, bytes):
        path = Path(source)
        if not path.exists():
            raise error(f"{shown(path)}: no such file; check the path")
        refuse_special(path, "an .npz file", error)
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            return read(archive)
    except Exception as found:  # BadZipFile, zlib.error, struct.error, OSError, ... on damaged files
        if isinstance(found, DesaliError):
            raise
        raise error(f"{name}: {said} ({_reason(found)}); {advice}") from found


def _reason(found: BaseException) -> str:
    if isinstance(found, MemoryError):
        return "not enough memory"
    return str(getattr(found, "strerror", None) or one_line(found))


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The archive's arrays by name, after a look at how large they are together."""
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist() if not info.is_dir()}
    total = sum(info.file_size for info in members.values())
    file: Any = archive.fp
    size = file.seek(0, os.SEEK_END)
    too_much = ARRAY_BYTES.exceeded(total) or expands_too_much(total, size)
    if too_much:
        raise _Refused(f"its arrays take {too_much}")
    for key, info in members.items():
        if info.flag_bits & 1:
            raise _Refused(f"{key[:40]!r} is encrypted")
        if info.compress_type not in NUMPY_WRITES:
            raise _Refused(f"{key[:40]!r} has a compression that NumPy does not write")
        if not info.filename.endswith(".npy"):
            raise _Refused(f"{key[:40]!r} is no .npy file")
    return members


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    return archive.open(info)


def _header(file: IO[bytes], size: int, key: str) -> Header:
    """An array's header, checked against the `size` of what holds it."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise _Refused(f"{key} has an unknown version of the format")
    length = int.from_bytes(head := file.read(2 if version == (1, 0) else 4), "little")
    text = file.read(length) if length <= 1 << 16 else b""
    if not text or len(text) != length:
        raise _Refused(f"{key} has a damaged header")
    again = io.BytesIO(head + text)
    read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(again)
    if dtype.hasobject:
        raise _Refused(f"{key} holds objects, which could run code")
    if any(extent < 0 for extent in shape) or len(shape) > 32:
        raise _Refused(f"{key} has the shape {list(shape[:8])}")
    count = math.prod(shape)
    if dtype.itemsize == 0 and count > 1:
        raise _Refused(f"{key} holds elements of no size")
    too_large = ARRAY_BYTES.exceeded(count * dtype.itemsize)
    if too_large:
        raise _Refused(f"{key} takes {too_large}")
    start = 6 + 2 + len(head) + length
    if start + count * dtype.itemsize != size:
        raise _Refused(f"{key} is truncated: its shape {list(shape[:8])} does not fit the {size} bytes that are there")
    return Header(tuple(map(int, shape)), dtype, bool(fortran), count * dtype.itemsize)


def _code_points(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"{'>' if dtype.str.startswith('>') else '<'}u4")


def _array(file: IO[bytes], size: int, key: str) -> npt.NDArray[Any]:
    header = _header(file, size, key)
    flat = np.empty(math.prod(header.shape), header.dtype)
    if header.bytes:
        left: Any = flat.view(np.uint8)
        while len(left):
            block = file.read(min(BLOCK, len(left)))
            if not block:
                raise _Refused(f"{key} is truncated")
            left[: len(block)] = np.frombuffer(block, np.uint8)
            left = left[len(block) :]
        if header.dtype.kind == "U" and int(flat.view(_code_points(header.dtype)).max()) > 0x10FFFF:
            raise _Refused(f"{key} holds text that is none")
    file.read(1)  # at the end the checksum is compared
    return flat.reshape(header.shape, order="F" if header.fortran else "C")
