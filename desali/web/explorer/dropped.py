"""A file that is dropped into a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from desali.data.roi import Roi
from desali.errors import ImageError
from desali.web.explorer.answer import Refused
from desali.web.explorer.shelf import Entry, Shelf
from desali.web.explorer.state import whole

UPLOAD = 64 * 2**20
"""Bytes of a dropped file."""
Decode = Callable[[bytes, str, int | None], Roi]


def drop(shelf: Shelf, decode: Decode, params: Mapping[str, str], body: bytes | None) -> Entry:
    """Take a file's image to the others.

    Args:
        decode: see `Session`.
        params: its "name", and of several pages the number of one, "slice".
        body: its bytes.

    Raises:
        Refused: no bytes, too many, or no image.
    """
    name = _name(params.get("name", ""))
    if not body:
        raise Refused(400, f"{name}: no bytes came; drop the file again")
    if len(body) > UPLOAD:
        raise Refused(413, f"{name}: {len(body) >> 20} MiB, more than the {UPLOAD >> 20} MiB accepted")
    try:
        image = decode(body, name, whole(params, "slice", 1))
    except ImageError as error:
        raise Refused(415, str(error)) from error
    return shelf.drop(name, image)


def _name(given: str) -> str:
    """The name of a dropped file as a page may show it and a command may hold it."""
    last = given.replace("\\", "/").rpartition("/")[2][:200]
    return "".join(letter for letter in last if letter.isprintable()).strip() or "dropped image"
