"""Opening DICOM files: a deflated one is measured before it is inflated; a header is read alone where it is enough."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from desali.errors import ImageError
from desali.input.files import read_bytes, refuse_special
from desali.limits import IMAGE_BYTES, expands_too_much

DEFLATED = (b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.4.95", b"1.2.840.10008.1.2.8.1")
"""Transfer syntaxes whose data set, or part of it, is compressed by deflate (PS3.5 A.5)."""
HEAD = 4096
BLOCK = 1 << 20


def open_dicom(data: bytes, name: str, **options: Any) -> Any:
    """The data set in the content `data` of a file; `options` are those of `pydicom.dcmread`.

    Raises:
        ImageError: it inflates to more than `desali.limits` accepts. Whatever pydicom raises on a damaged file.
    """
    import pydicom

    if any(syntax in data[:HEAD] for syntax in DEFLATED):
        _check_inflated(data, name)
    return pydicom.dcmread(io.BytesIO(data), **options)


def read_tags(path: Path, tags: Sequence[str]) -> dict[str, Any]:
    """Some tags of a file by keyword, None for one that it lacks; nothing where the file cannot be read.

    What is wrong with it is said when its pixels are decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = read_header(path, tags)
            return {name: dataset.get(name) for name in tags}
        except Exception:
            return {}


def read_header(path: Path, tags: Sequence[str]) -> Any:
    """A file's data set up to its pixels, with these tags alone; raises whatever pydicom does on a damaged file."""
    import pydicom

    refuse_special(path, "a DICOM file", ImageError)
    with path.open("rb") as file:
        head = file.read(HEAD)
    if any(syntax in head for syntax in DEFLATED):
        data = read_bytes(path, "a DICOM file", ImageError, IMAGE_BYTES)
        return open_dicom(data, path.name, stop_before_pixels=True, specific_tags=list(tags))
    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags))


def _check_inflated(data: bytes, name: str) -> None:
    from pydicom.filereader import _read_file_meta_info, read_preamble

    file = io.BytesIO(data)
    read_preamble(file, False)
    _read_file_meta_info(file)
    inflater, size, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, data[file.tell() :]
    while rest and not inflater.eof:
        size += len(inflater.decompress(rest, BLOCK))
        rest = inflater.unconsumed_tail
        too_large = IMAGE_BYTES.exceeded(size) or expands_too_much(size, len(data))
        if too_large:
            raise ImageError(f"{name}: deflated DICOM that unpacks to at least {too_large}")
