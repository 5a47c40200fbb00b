"""A folder of decoded image sets, mapped from disk instead of held in memory, with a limit on its size."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.readers.decode import How, Stacked, files_of
from desali.data.readers.listing import Item
from desali.errors import DataError, OutputError
from desali.input.files import at_home, cache_folder
from desali.output.files import own_mark, remove_left

VERSION = 2
"""Of the format; entries of another version are never found."""
IMAGES, FACTS = "images.npy", "facts.json"
DEFAULT_LIMIT = 20 * 2**30
"""Bytes, unless the environment's DESALI_CACHE_LIMIT says otherwise."""
STALE_SECONDS = 24 * 3600
"""A half-written entry as old as this was left by a process that was killed."""
BLOCK = 1 << 24
Allocate = Callable[[tuple[int, ...], Any], npt.NDArray[Any]]


def default_limit() -> int:
    """Bytes: the environment's DESALI_CACHE_LIMIT in GiB, else `DEFAULT_LIMIT`.

    Raises:
        DataError: it is no number above 0.
    """
    given = os.environ.get("DESALI_CACHE_LIMIT")
    if not given:
        return DEFAULT_LIMIT
    try:
        size = float(given)
    except ValueError:
        size = 0.0
    if not 0 < size < float("inf"):
        raise DataError(f"DESALI_CACHE_LIMIT={given}: expected a number of GiB above 0, for instance 250")
    return int(size * 2**30)


class ImageCache:
    """Stacked images by what they were decoded from: paths, sizes and modification times of the files, and how.

    An entry appears whole or not at all. A damaged one is found by its checksum, removed and made again. Before an
    entry is written, the ones longest unused go until all fit the limit.

    Args:
        folder: of the cache; made when needed.
        limit: bytes that all entries together may take; `default_limit()` if None.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, limit: int | None = None) -> None:
        self.folder = cache_folder() if folder is None else at_home(folder)
        self.limit = default_limit() if limit is None else limit

    def key(self, items: Sequence[Item], how: How, colour: bool | None) -> str:
        """A name for the decoded images: 32 hexadecimal digits."""
        digest = hashlib.sha256(
            json.dumps([VERSION, how.array_key, how.hu_offset, how.size, how.resize, how.colour, colour]).encode()
        )
        for path in files_of(items):
            try:
                stat = path.stat()
                facts: list[Any] = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
            except OSError:
                facts = [str(path.absolute()), None, None]
            digest.update(json.dumps(facts).encode())
        for item in items:
            digest.update(json.dumps([item.name, item.box, item.row, item.page]).encode())
        return digest.hexdigest()[:32]

    def get(self, key: str, build: Callable[[Allocate], Stacked]) -> Stacked:
        """The entry `key`, mapped read-only; made by `build` if it is missing or damaged.

        Args:
            build: is given a function that allocates the array in the cache, and fills it.

        Raises:
            DataError: the images take more than the limit. OutputError: the folder cannot be written.
        """
        found = self._open(key)
        if found is not None:
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_left(self.folder)
            temporary = Path(tempfile.mkdtemp(prefix=f".{key}{own_mark()}", dir=self.folder))
        except OSError as error:
            raise OutputError(
                f"{self.folder}: the cache cannot be written ({error.strerror or error}); choose another folder, "
                "for instance with DESALI_CACHE"
            ) from error
        try:
            self._write(temporary, build)
            with contextlib.suppress(OSError):  # another process was faster with the same entry
                temporary.rename(self.folder / key)
            found = self._open(key)
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(
                f"{self.folder}: the cache cannot be written ({error.strerror or error}); free space or choose "
                "another folder, for instance with DESALI_CACHE"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        if found is None:
            raise OutputError(f"{self.folder / key}: cannot be read back right after writing; check the disk")
        return found

    def remove(self, key: str) -> None:
        """Remove the entry `key`, if it is there."""
        shutil.rmtree(self.folder / key, ignore_errors=True)

    def _write(self, folder: Path, build: Callable[[Allocate], Stacked]) -> None:
        def allocate(shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            if size > self.limit:
                raise DataError(
                    f"{self.folder}: the decoded images take {size / 2**30:.1f} GiB, the cache may hold "
                    f"{self.limit / 2**30:.1f} GiB; raise the limit with DESALI_CACHE_LIMIT (in GiB), or lower size"
                )
            self._make_room(size)
            free = shutil.disk_usage(self.folder).free
            if size > free:  # a mapped file that outgrows the disk would end the process instead of raising
                raise OutputError(
                    f"{self.folder}: the decoded images take {size / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are "
                    "free; free space, choose another folder with DESALI_CACHE, or lower size"
                )
            return np.lib.format.open_memmap(folder / IMAGES, mode="w+", dtype=dtype, shape=shape)

        decoded = build(allocate)
        base = decoded.images
        while isinstance(base, np.memmap) and isinstance(base.base, np.memmap):
            base = base.base
        if isinstance(base, np.memmap):
            base.flush()
        facts = {
            "version": VERSION,
            "unit": decoded.unit,
            "kept": decoded.kept,
            "failed": decoded.failed,
            "treated": dict(decoded.treated),
            "bytes": (folder / IMAGES).stat().st_size,
            "crc32": _checksum(folder / IMAGES),
        }
        (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")

    def _open(self, key: str) -> Stacked | None:
        """The entry, or None after removing it if it is damaged."""
        folder = self.folder / key
        if not folder.is_dir():
            return None
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            path = folder / IMAGES
            if path.stat().st_size != facts["bytes"] or _checksum(path) != facts["crc32"]:
                raise ValueError("damaged")
            images = np.load(path, mmap_mode="r", allow_pickle=False)
            failed = [(str(name), str(reason)) for name, reason in facts["failed"]]
            treated = {str(said): int(count) for said, count in facts["treated"].items()}
            decoded = Stacked(images[: len(facts["kept"])], facts["unit"], list(facts["kept"]), failed, treated)
        except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, SyntaxError, AttributeError):
            shutil.rmtree(folder, ignore_errors=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(folder / FACTS)  # used now
        return decoded

    def _make_room(self, size: int) -> None:
        """Remove what was longest unused until `size` more bytes fit, and what killed processes left half written."""
        entries = []
        for folder in self.folder.iterdir():
            if not folder.is_dir():
                continue
            with contextlib.suppress(OSError):
                if folder.name.startswith("."):
                    if time.time() - folder.stat().st_mtime > STALE_SECONDS:
                        shutil.rmtree(folder, ignore_errors=True)
                elif (folder / FACTS).is_file():
                    used = (folder / FACTS).stat().st_mtime
                    entries.append((used, sum(one.stat().st_size for one in folder.iterdir()), folder))
        total = sum(entry[1] for entry in entries)
        for _, taken, folder in sorted(entries, key=lambda entry: entry[0]):
            if total + size <= self.limit:
                break
            shutil.rmtree(folder, ignore_errors=True)
            total -= taken


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            value = zlib.crc32(block, value)
    return value
