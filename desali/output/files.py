"""Writing files so that a reader never sees half of one: write to a temporary name, then rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from desali.errors import OutputError

_MARK = re.compile(r"\..*\.desali-([0-9a-f]{8})-(\d{1,10})-")
_looked: set[tuple[int, str]] = set()
ELSEWHERE = "; choose another output path"
OF_FILES = (".png", ".pdf", ".svg", ".jpg", ".csv", ".json", ".txt", ".npz", ".tex", ".html")
"""Suffixes that nobody means for a folder."""


def plain_stem(name: str) -> str:
    """A name as part of a file's: letters, digits, "-", "_" and "." stay, all else becomes "-"."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)


@cache
def _machine() -> str:
    """Where a process number means the same process: the computer, and inside it the container."""
    try:
        names = os.readlink("/proc/self/ns/pid")
    except OSError:
        names = ""
    return hashlib.sha256(f"{platform.node()} {names}".encode()).hexdigest()[:8]


def own_mark() -> str:
    """Part of the name of a temporary file or folder of ours, which says whose it is."""
    return f".desali-{_machine()}-{os.getpid()}-"


def remove_left(folder: Path) -> None:
    """Remove what killed processes of this machine left half written in a folder; looks once a process and folder."""
    key = (os.getpid(), str(folder.absolute()))
    if key in _looked:
        return
    _looked.add(key)
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        found = _MARK.match(name)
        if found is None or found[1] != _machine() or _alive(int(found[2])):
            continue
        left = folder / name
        with contextlib.suppress(OSError):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


@contextlib.contextmanager
def _explained(target: Path, advice: str = "") -> Iterator[None]:
    """Turn the system's errors into an OutputError that names the target."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}){advice}") from error


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix); on success it replaces `path`, on failure it is removed.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    target = Path(path)
    if "\0" in str(target):
        raise OutputError(f"{str(target)!r}: no path can hold a zero byte{ELSEWHERE}")
    with _explained(target, ELSEWHERE):
        target.parent.mkdir(parents=True, exist_ok=True)
        _refuse_wrong_kind(target, target.parent, False)
        temporary = _reserve(target, target.parent)
    try:
        with _explained(target):
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _reserve(target: Path, folder: Path) -> Path:
    """Make an empty file in the folder, hidden and named after the target."""
    remove_left(folder)
    with contextlib.suppress(FileNotFoundError):
        os.lstat(target)  # a name that is too long is said now, whatever the temporary one is
    handle, name = tempfile.mkstemp(prefix=f".{target.stem[:80]}{own_mark()}", suffix=target.suffix, dir=folder)
    os.close(handle)
    return Path(name)


def check_writable(path: str | os.PathLike[str], *, folder: bool = False) -> None:
    """Find out before long work whether `path` can be written; leaves nothing behind that was not there.

    Args:
        path: a file to be written, or with `folder` a folder to write files in; neither needs to exist yet.

    Raises:
        OutputError: it cannot be written, or is a folder where a file is expected, or the other way round.
    """
    target = Path(path)
    home = target if folder else target.parent
    missing: list[Path] = []
    try:
        with _explained(target, ELSEWHERE):
            _refuse_wrong_kind(target, home, folder)
            missing = [one for one in (home, *home.parents) if not one.exists()]
            home.mkdir(parents=True, exist_ok=True)
            _reserve(target, home).unlink()
    finally:
        for made in missing:  # the deepest first
            with contextlib.suppress(OSError):
                made.rmdir()


def _refuse_wrong_kind(target: Path, home: Path, folder: bool) -> None:
    if folder and target.exists() and not target.is_dir():
        raise OutputError(f"{target}: is a file, expected a folder to write to{ELSEWHERE}")
    if folder and target.suffix.lower() in OF_FILES and not target.exists():
        raise OutputError(f"{target}: has the name of a file, and a folder to write several files to is expected here")
    if not folder and target.is_dir():
        raise OutputError(f"{target}: is a folder, expected a file name to write to")
    if not folder and target.exists() and not target.is_file():
        raise OutputError(f"{target}: is a pipe or a device, not a regular file{ELSEWHERE}")
    for one in home.parents if folder else (home, *home.parents):
        if one.is_file():
            raise OutputError(f"{target}: {one} is a file, expected a folder{ELSEWHERE}")


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` atomically as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` to `path` atomically as indented JSON with a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
