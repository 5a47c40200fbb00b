"""Named arrays on disk, as .npz or as a Zarr folder, with a JSON record beside them: all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.errors import OutputError
from desali.output.files import atomic_path, check_writable, plain_stem, write_json

KIND = "desali arrays"
SUFFIXES = (".npz", ".zarr")
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Array:
    """One array.

    Attributes:
        name: parts with "/" between; see `name_of`.
        values: of any shape.
        axes: a name for each axis.
        unit: in words.
        facts: more of the record, JSON-serialisable.
    """

    name: str
    values: npt.NDArray[Any]
    axes: tuple[str, ...]
    unit: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What the record says of it."""
        shape, kind = list(self.values.shape), str(self.values.dtype)
        said = {"shape": shape, "dtype": kind, "axes": list(self.axes), "unit": self.unit}
        return {"name": self.name, **said, **self.facts}


def name_of(*parts: str) -> str:
    """A name of parts: "map/two_stage/features.conv5"; what file names should not hold becomes "-"."""
    return "/".join(plain_stem(part).strip(".") or "-" for part in parts)


def record_path(path: str | os.PathLike[str]) -> Path:
    """The record's path: maps.npz -> maps.npz.json."""
    return Path(f"{os.fspath(path)}.json")


def check_arrays(path: str | os.PathLike[str]) -> None:
    """Find out before long work whether arrays can be written to `path`.

    Raises:
        OutputError: another suffix than .npz and .zarr, a package that is missing, something else that is there, or a
            path that cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{target}: arrays are written as .npz, or as a folder .zarr; end the name in one of them")
    if target.suffix.lower() == ".zarr":
        _zarr(target)
    if target.exists() and not _is_own(record_path(target)):
        raise OutputError(
            f"{target}: exists, and no record of such arrays ({record_path(target).name}) lies beside it; choose "
            "another output path"
        )
    if target.exists() and target.is_dir() != (target.suffix.lower() == ".zarr"):
        raise OutputError(f"{target}: is a {'folder' if target.is_dir() else 'file'}; choose another output path")
    check_writable(target.parent, folder=True)
    if record_path(target).exists() and not _is_own(record_path(target)):
        raise OutputError(f"{record_path(target)}: exists and is no record of such arrays; choose another output path")


def write_arrays(path: str | os.PathLike[str], arrays: Iterable[Array], record: Mapping[str, Any]) -> Path:
    """Write the arrays as they come, and the record beside them: `record`, and of each array what it is.

    Two arrays of one name become "name" and "name-2".

    Raises:
        OutputError: see `check_arrays`.
    """
    target = Path(path)
    check_arrays(target)
    facts: list[dict[str, Any]] = []
    taken: set[str] = set()
    with _folder(target) if target.suffix.lower() == ".zarr" else _zip(target) as add:
        for array in arrays:
            name, number = array.name, 1
            while name in taken:
                number += 1
                name = f"{array.name}-{number}"
            taken.add(name)
            add(name, array)
            facts.append({**array.to_dict(), "name": name})
        write_json(record_path(target), {"kind": KIND, "file": target.name, "arrays": facts, **record})
    return target


def read_record(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The record beside arrays; None if the arrays or it are not there, or it is another file."""
    beside = record_path(path)
    if not Path(path).exists() or not _is_own(beside):
        return None
    found: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
    return found


def read_back(path: str | os.PathLike[str], image: str | None = None) -> Iterator[Array]:
    """The arrays of an .npz file that `write_arrays` wrote, one after the other; of one image where it is named."""
    record = read_record(path)
    assert record is not None
    with np.load(path, allow_pickle=False) as stored:
        for one in record["arrays"]:
            if image is not None and one.get("image") != image:
                continue
            facts = dict(one)
            name, axes, unit = facts.pop("name"), tuple(facts.pop("axes")), facts.pop("unit")
            del facts["shape"], facts["dtype"]
            yield Array(name, stored[name], axes, unit, facts)


def _is_own(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("kind") == KIND


@contextmanager
def _zip(target: Path) -> Iterator[Any]:
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:

        def add(name: str, array: Array) -> None:
            entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with file.open(entry, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(array.values), allow_pickle=False)

        yield add


@contextmanager
def _folder(target: Path) -> Iterator[Any]:
    zarr = _zarr(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent))
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}); choose another output") from error
    try:
        group = zarr.open_group(str(temporary), mode="w")

        def add(name: str, array: Array) -> None:
            parent, _, last = name.rpartition("/")
            within = group.require_group(parent) if parent else group
            create = getattr(within, "create_array", None) or within.create_dataset  # zarr 3, zarr 2
            made = create(last, data=np.ascontiguousarray(array.values))
            made.attrs.update({"axes": list(array.axes), "unit": array.unit, **array.facts})

        yield add
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        if target.exists():
            shutil.rmtree(target)
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _zarr(target: Path) -> Any:
    try:
        import zarr
    except ImportError:
        raise OutputError(
            f"{target}: a Zarr folder needs the package 'zarr': pip install 'desali[zarr]'; or write an .npz file"
        ) from None
    return zarr
