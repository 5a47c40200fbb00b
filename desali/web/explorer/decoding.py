"""Files that were dropped into the page, decoded in a process of their own: limited time and memory, nothing on disk.

Whatever a file does to a decoder, it does to that process alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from desali.data.roi import Roi, decode_image
from desali.errors import DesaliError, ImageError, SeveralPagesError
from desali.limits import EXPANSION, IMAGE_PIXELS
from desali.web.explorer.answer import Refused

SECONDS = 20.0
"""Of the decoding of one file."""
MEMORY = 2**31
"""Bytes of address space of the process."""
PIXELS = 2**24
"""Of one image."""
_TURN = threading.BoundedSemaphore(2)
_RUNNING: set[subprocess.Popen[bytes]] = set()
_FIELDS = ("unit", "window", "hu_offset", "sha256", "origin", "said", "page")
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from desali.web.explorer.decoding import child; child()"
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def pixels() -> int:
    """The most pixels of a dropped image: fewer than of a file that is named, unless the variable says otherwise."""
    return IMAGE_PIXELS.value if os.environ.get(IMAGE_PIXELS.variable) else PIXELS


def decode(data: bytes, name: str, page: int | None = None) -> Roi:
    """The image of a file's bytes.

    Args:
        name: what messages call the file; it is never opened.
        page: the page, slice or frame, from 1; None: the only one, or the one in the middle.

    Raises:
        ImageError: no image, a damaged one, or one that needs more time or memory than it may have.
        Refused: files are being decoded already.
    """
    asked = {"name": name, "page": page, "memory": MEMORY, "seconds": SECONDS}
    environment = {**os.environ, **dict.fromkeys(_THREADS, "1"), IMAGE_PIXELS.variable: str(pixels()),
                   EXPANSION.variable: str(EXPANSION.value), "PYTHONIOENCODING": "utf-8"}  # fmt: skip
    if not _TURN.acquire(timeout=SECONDS):
        raise Refused(503, f"{name}: other files are being decoded; drop it again in a moment")
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _CHILD, json.dumps(sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        _RUNNING.add(process)
        try:
            out, _ = process.communicate(json.dumps(asked).encode() + b"\n" + data, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise ImageError(f"{name}: not decoded within {SECONDS:g} s; save it as a smaller image") from None
        finally:
            _RUNNING.discard(process)
            if process.poll() is None:
                process.kill()
                process.communicate()
    finally:
        _TURN.release()
    return _roi(out, name)


def stop() -> None:
    """End the decoding of files that nobody waits for any more."""
    for process in list(_RUNNING):
        process.kill()


def _roi(out: bytes, name: str) -> Roi:
    head, _, body = out.partition(b"\n")
    try:
        said = json.loads(head)
    except ValueError:
        raise ImageError(
            f"{name}: its decoder ended without a word; the file is damaged, or needs more than {MEMORY >> 20} MiB"
        ) from None
    if "error" in said:
        raise ImageError(said["error"])
    array = np.frombuffer(bytearray(body), np.dtype(said["dtype"])).reshape(said["shape"])  # one that may be written
    window = said["window"]
    return Roi(
        pixels=array, unit=said["unit"], path=Path(name), box=None,
        window=None if window is None else (window[0], window[1]), hu_offset=said["hu_offset"],
        sha256=said["sha256"], origin=said["origin"], said=said["said"], page=said["page"],
    )  # fmt: skip


def child() -> None:
    """Read a question and a file from stdin, answer on stdout; the process's only work."""
    stream = sys.stdin.buffer
    asked = json.loads(stream.readline())
    data = stream.read()
    _limit(asked["memory"], asked["seconds"])
    body = b""
    try:
        image = _decoded(data, asked["name"], asked["page"])
        body = np.ascontiguousarray(image.pixels).tobytes()
        said: dict[str, Any] = {name: getattr(image, name) for name in _FIELDS}
        said |= {"dtype": image.pixels.dtype.str, "shape": list(image.pixels.shape)}
    except DesaliError as error:
        said = {"error": str(error)}
    except MemoryError:
        said = {"error": f"{asked['name']}: needs more than {asked['memory'] >> 20} MiB to be decoded; make it smaller"}
    except Exception as error:  # of a decoder that others wrote
        said = {"error": f"{asked['name']}: cannot be decoded ({type(error).__name__}); save it again"}
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + body)
    sys.stdout.buffer.flush()


def _decoded(data: bytes, name: str, page: int | None) -> Roi:
    try:
        return decode_image(data, name, page=page)
    except SeveralPagesError as error:
        if page is not None:
            raise
        return decode_image(data, name, page=(error.pages + 1) // 2)


def _limit(memory: int, seconds: float) -> None:
    """No more than that of this process, and no files; on Windows the time alone is limited, from outside."""
    try:
        import resource
    except ImportError:
        return
    cores, files = (0, 0), (0, 0)
    time = (int(seconds), int(seconds) + 1)
    for kind, ends in (
        (resource.RLIMIT_AS, (memory, memory)), (resource.RLIMIT_CPU, time), (resource.RLIMIT_CORE, cores),
        (resource.RLIMIT_FSIZE, files),
    ):  # fmt: skip
        try:
            resource.setrlimit(kind, ends)
        except (ValueError, OSError):  # a smaller hard limit holds already
            continue
