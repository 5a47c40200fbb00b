"""One process a folder: a second one is refused with a clear message instead of writing over the first one's files."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from desali.errors import OutputError

NAME = ".desali-lock"


@contextlib.contextmanager
def locked(folder: Path, part: str = "") -> Iterator[None]:
    """Hold a folder, or with `part` a part of what is made there, for this process alone.

    The system gives the lock back when the process ends, however it ends. Where it cannot lock (a disk that is only
    read, a network disk without locks, Windows) nothing is held.

    Raises:
        OutputError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = folder / f"{NAME}{f'-{part}' if part else ''}"
    file = _open(path)
    if file is None:
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(200).decode("utf-8", "replace").strip()
            raise OutputError(
                f"{folder}: another process works there{f' ({holder})' if holder else ''}; wait until it is done, or "
                "choose another folder"
            ) from None
        except OSError:  # a file system without locks
            yield
            return
        with contextlib.suppress(OSError):
            file.truncate(0)
            file.write(f"process {os.getpid()}: {' '.join(['desali', *sys.argv[1:]])[:150]}\n".encode())
            file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _open(path: Path) -> BinaryIO | None:
    """The lock's file; None where it cannot be made, which whoever writes there will say."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+b")
    except OSError:
        return None
