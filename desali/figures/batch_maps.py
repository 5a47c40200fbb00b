"""The arrays behind a batch of figures in one file: kept image by image, so that an interrupted batch goes on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.figures.maps import ORDER, of_block
from desali.output.arrays import Array, check_arrays, name_of, read_back, read_record, write_arrays

if TYPE_CHECKING:
    from desali.figures.block import Block
    from desali.figures.figure import Figure

FOLDER = ".maps"


@dataclass
class BatchMaps:
    """The maps of the images of a batch.

    Attributes:
        path: the .npz file or .zarr folder of all.
        folder: of the batch; parts lie in a hidden folder there until all images are done.
        command: for the record.
    """

    path: Path
    folder: Path
    command: Sequence[str]
    _images: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_arrays(self.path)

    def has(self, name: str, key: str) -> bool:
        """Whether the maps of an image are there, made with everything that `key` stands for."""
        if (read_record(self._part(name)) or {}).get("key") == key:
            return True
        whole = read_record(self.path) or {}
        return self.path.suffix.lower() == ".npz" and {"name": name, "key": key} in whole.get("images", [])

    def add(self, name: str, key: str, figure: Figure, block: Block, seed: Any) -> None:
        """Keep the maps of one image."""
        record = {"key": key, "figure": figure.to_dict()}
        write_arrays(self._part(name), of_block(block, seed, name), record)

    def done(self, name: str, key: str) -> None:
        """The image belongs to the whole."""
        self._images.append((name, key))

    def finish(self) -> None:
        """Put the parts together; nothing happens where the whole is there already."""
        images = [{"name": name, "key": key} for name, key in self._images]
        old = read_record(self.path) or {}
        if old.get("images") != images:
            figures = {one["name"]: self._figure(one["name"], old) for one in images}
            record = {"command": list(self.command), "order": ORDER, "images": images, "figures": figures}
            write_arrays(self.path, self._arrays(), record)
        shutil.rmtree(self.folder / FOLDER, ignore_errors=True)

    def _arrays(self) -> Iterator[Array]:
        for name, key in self._images:
            part = self._part(name)
            if (read_record(part) or {}).get("key") == key:
                yield from read_back(part)
            else:
                yield from read_back(self.path, name)

    def _figure(self, name: str, old: dict[str, Any]) -> Any:
        part = read_record(self._part(name))
        return part["figure"] if part is not None else old["figures"][name]

    def _part(self, name: str) -> Path:
        mark = hashlib.sha256(name.encode()).hexdigest()[:8]
        return self.folder / FOLDER / f"{name_of(name)}-{mark}.npz"
