"""One image of a batch: its figure, unless it is there already, and its row of the contact sheet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from desali.data.roi import Roi
from desali.errors import ImageError, OutputError
from desali.figures.batch_maps import BatchMaps
from desali.figures.drawing.panel import Cell, Column, Panel
from desali.figures.options import ImageOptions
from desali.figures.viewer import Viewer
from desali.input.files import read_text
from desali.input.values import parse_json

if TYPE_CHECKING:
    from desali.figures.block import Block


@dataclass(frozen=True)
class Entry:
    """One image of a batch.

    Attributes:
        path: the file.
        box: (y, x, size) in pixels, or None for the whole image.
        name: of its figure, without suffix; unique in the batch.
        label: class or other text from the table, "" for none.
        page: the page, slice or frame of a file with several, from 1.
    """

    path: Path
    box: tuple[int, int, int] | None
    name: str
    label: str = ""
    page: int | None = None


@dataclass(frozen=True, eq=False)
class Made:
    """What became of an image.

    Attributes:
        target: its figure; None if the image could not be read.
        kept: the figure was there already.
        skipped: why it could not be read.
        key: what the figure depends on.
        cells: its row of the contact sheet; empty where nothing may be written.
        columns: of the sheet.
        last: the layer that the sheet shows.
    """

    target: Path | None = None
    kept: bool = False
    skipped: str = ""
    key: str = ""
    cells: tuple[Cell, ...] = ()
    columns: tuple[Column, ...] = ()
    last: str = ""


@dataclass(frozen=True, eq=False)
class Work:
    """Makes the figures of a batch, see `batch.make`."""

    viewer: Viewer
    folder: Path
    command: Sequence[str]
    reading: ImageOptions
    skip_unreadable: bool
    dpi: int
    maps: BatchMaps | None
    blocked: OutputError | None

    def __call__(self, entry: Entry) -> Made:
        """Write the figure of an image, and its maps.

        Raises:
            ImageError, OutputError: see `batch.make`.
        """
        viewer = self.viewer
        try:
            roi = self.reading.cut(entry.path, entry.box, entry.page)
        except ImageError as error:
            if not self.skip_unreadable:
                raise ImageError(f"{error}; such files are left out with skip_unreadable=True") from error
            return Made(skipped=str(error))
        target = self.folder / f"{entry.name}.png"
        key = _key(viewer, roi, entry, self.dpi)
        drawn = _done(target, key)
        if self.blocked is not None:
            if not drawn:
                raise self.blocked
            return Made(target, True, key=key)
        whole = not drawn or (self.maps is not None and not self.maps.has(entry.name, key))
        block = viewer.look(roi, last=not whole, label=known_class(viewer, entry))
        if whole:
            figure = viewer.figure(roi, f"{entry.name}{f' ({entry.label})' if entry.label else ''}", block)
            if self.maps is not None:
                self.maps.add(entry.name, key, figure, block, viewer.seed)
            if not drawn:
                figure.save(target, dpi=self.dpi, command=self.command, key=key)
        last = next(iter(block.models.values())).look.views[-1].layer
        return Made(target, drawn, "", key, tuple(sheet_row(block)), tuple(sheet_columns(block)), last)


def _key(viewer: Viewer, roi: Roi, entry: Entry, dpi: int) -> str:
    """What a figure depends on, in one hash."""
    from desali import __version__

    settings = viewer.settings
    asked = asdict(replace(settings, seed=None, method=None, channels=None, device=None, preprocessing=None))
    facts = [
        __version__, roi.sha256, roi.box, roi.hu_offset, roi.page, roi.pixels.shape, entry.label, dpi,
        viewer.layers(roi), asked,
        None if viewer.seed is None else viewer.seed.to_dict(), repr(settings.rule),
        None if settings.channels is None else settings.channels.to_dict(), str(viewer.subjects[0].device), viewer.key,
        [(one.name, one.facts(), one.rule.to_dict()) for one in viewer.subjects],
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()


def _done(path: Path, key: str) -> bool:
    try:
        side = path.with_suffix(".json")
        record = parse_json(read_text(side, "a record", OutputError), str(side), OutputError, "")
    except OutputError:
        return False
    return path.is_file() and isinstance(record, dict) and record.get("key") == key


def known_class(viewer: Viewer, entry: Entry) -> str | None:
    """An image's label where it names a class of all models; else nothing is known of its class."""
    return entry.label if entry.label and all(entry.label in one.classes for one in viewer.subjects) else None


def sheet_row(block: Block) -> list[Cell]:
    """One image's row of a contact sheet: the input, each model's reconstruction from the last layer, the controls."""
    from desali.figures.drawing.display import display_map, display_positive, scale_text

    first = next(iter(block.models.values())).input
    panels: list[Cell] = [Panel(first.picture, "", "input")]
    for seen in [*block.models.values(), *block.controls.values()]:
        pixels, a = display_map(seen.look.views[-1].maps[0], colour=seen.input.colour)
        panels.append(Panel(pixels, scale_text("a", a), "reconstruction"))
    edges, top = display_positive(first.edges)
    panels.append(Panel(edges, scale_text("max", top), "control"))
    return panels


def sheet_columns(block: Block) -> list[Column]:
    """The columns of a contact sheet."""
    return [
        Column("input"),
        *(Column(name, "reconstructions") for name in block.models),
        *(Column(label, "controls") for label in block.controls),
        Column("edge detector", "controls"),
    ]
