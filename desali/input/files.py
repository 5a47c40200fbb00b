"""Bytes and text of a regular file: a FIFO, a socket or a device is refused at once, and so is what is too large."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from desali.errors import DesaliError
from desali.limits import TEXT_BYTES, Limit

KINDS = (
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a message: on one line, and printable on every terminal."""
    text = os.fspath(path)
    return text if text.isprintable() else ascii(text)


def kind_of(mode: int) -> str:
    """What a file of that mode is, in words; "" for a regular file."""
    return "" if stat.S_ISREG(mode) else next((said for is_kind, said in KINDS if is_kind(mode)), "no regular file")


def read_bytes(
    path: str | os.PathLike[str], expected: str, error: type[DesaliError], limit: Limit, missing: str = ""
) -> bytes:
    """The content of a regular file.

    Args:
        expected: what it should be, for a message.
        error: what is raised.
        limit: of its bytes.
        missing: what to do where there is no such file; by default what was expected is said.

    Raises:
        error: missing, not a regular file, too large, or unreadable.
    """
    name = shown(path)
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            kind = kind_of(status.st_mode)
            if kind:
                raise error(f"{name}: is {kind}, not a regular file; expected {expected}")
            too_large = limit.exceeded(status.st_size)
            if too_large:
                raise error(f"{name}: is a file of {too_large}")
            return file.read()
    except FileNotFoundError:
        raise error(f"{name}: no such file; {missing or f'expected {expected}'}") from None
    except IsADirectoryError:
        raise error(f"{name}: is a folder; expected {expected}") from None
    except (OSError, ValueError) as found:
        if isinstance(found, DesaliError):
            raise
        kind = _kind(path)
        if kind:
            raise error(f"{name}: is {kind}, not a regular file; expected {expected}") from None
        reason = getattr(found, "strerror", None) or found
        raise error(f"{name}: cannot be read ({reason}); expected {expected}") from found


def _kind(path: str | os.PathLike[str]) -> str:
    try:
        return kind_of(os.stat(path).st_mode)
    except (OSError, ValueError):
        return ""


def read_text(
    path: str | os.PathLike[str],
    expected: str,
    error: type[DesaliError],
    limit: Limit = TEXT_BYTES,
    missing: str = "",
) -> str:
    """The content of a UTF-8 text file, without a byte order mark; see `read_bytes`."""
    data = read_bytes(path, expected, error, limit, missing)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error(f"{shown(path)}: cannot be read (not UTF-8 text); expected {expected}") from None


def at_home(text: str | os.PathLike[str]) -> Path:
    """A path as a user writes it: "~" is the home folder; "~somebody" stays as it is where nobody is called so."""
    try:
        return Path(text).expanduser()
    except (RuntimeError, ValueError):
        return Path(text)


def cache_folder() -> Path:
    """The environment's DESALI_CACHE, else `desali` in the user's cache folder."""
    given = os.environ.get("DESALI_CACHE")
    if given:
        return at_home(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "desali"


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is something at a path; a text that no path can be (too long, a zero byte) names nothing."""
    try:
        return os.path.exists(path)
    except (OSError, ValueError):
        return False


def refuse_special(path: Path, expected: str, error: type[DesaliError]) -> None:
    """Raise an error if `path` is there and is neither a regular file nor a folder: opening it might wait for ever."""
    kind = _kind(path)
    if kind not in ("", "a folder"):
        raise error(f"{shown(path)}: is {kind}, not a regular file; expected {expected}")
