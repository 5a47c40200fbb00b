"""The record beside a figure: what it shows, in numbers, so that it can be made again."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from desali.errors import OutputError
from desali.input.files import read_text
from desali.input.values import parse_json
from desali.output.files import write_json


def sidecar(path: str | os.PathLike[str]) -> Path:
    """The record's path: figure.png -> figure.json.

    Raises:
        OutputError: the figure's own name ends in .json.
    """
    figure = Path(path)
    if not figure.name:
        raise OutputError(f"{figure}: names no file; give a figure's path, such as figure.png")
    if figure.suffix.lower() == ".json":
        raise OutputError(f"{figure}: a figure cannot end in .json, its record does; use .png, .pdf or .svg")
    return figure.with_suffix(".json")


def is_record(path: Path, kind: str) -> bool:
    """Whether a file is the record of a figure of that kind."""
    try:
        content = parse_json(read_text(path, "a record", OutputError), str(path), OutputError, "")
    except OutputError:
        return False
    return isinstance(content, dict) and content.get("kind") == kind


def refuse_other(side: Path, kind: str, what: str = "a figure") -> None:
    """Refuse to replace a file that is there and is not the record of a figure of that kind.

    Raises:
        OutputError: there is one.
    """
    if os.path.exists(side) and not is_record(side, kind):
        raise OutputError(f"{side}: exists and is not the record of {what}; choose another output path")


def write_sidecar(path: str | os.PathLike[str], record: Mapping[str, Any]) -> Path:
    """Write `record` as JSON beside the figure at `path`, atomically, and return where.

    Paths become text, arrays become lists, NaN and infinity become null (JSON has neither).

    Raises:
        OutputError: a value that JSON cannot hold, or a path that cannot be written.
    """
    target = sidecar(path)
    write_json(target, plain(record, str(target)))
    return target


def plain(value: Any, name: str) -> Any:
    """A value as JSON can hold it: paths as text, arrays as lists, NaN and infinity as None.

    Args:
        name: what to call its holder in a message.

    Raises:
        OutputError: a value that JSON cannot hold.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise OutputError(f"{name}: the text {value!r} holds half a character; write it anew") from None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {plain(str(key), name): plain(item, name) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, name) for item in value]
    raise OutputError(f"{name}: the record holds a {type(value).__name__}, which JSON cannot; convert it first")
