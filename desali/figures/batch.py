"""Many images: a figure for each, and contact sheets of all; what is already there and unchanged is not made again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from desali.data.formats.recognise import READ_WORDS
from desali.data.readers.listing import contents, passed_words, relative
from desali.data.roi import Roi
from desali.errors import DataError, ImageError, OutputError
from desali.figures.batch_maps import BatchMaps
from desali.figures.drawing.panel import Cell, Column, Grid, Panel
from desali.figures.options import ImageOptions
from desali.figures.viewer import Viewer
from desali.input.files import read_text
from desali.input.tables import read_csv
from desali.input.values import parse_json
from desali.output.interrupts import check

if TYPE_CHECKING:
    from desali.figures.block import Block

SHEET_NOTE = "Each picture has a scale of its own. No picture here explains a decision. Not a medical device."
Progress = Callable[[Sequence["Entry"]], Iterable["Entry"]]
Row = tuple[Path, tuple[int, int, int] | None, str, int | None]
"""Of a table: file, box, label, page."""


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


def entries(
    source: Path,
    box: tuple[int, int, int] | None = None,
    output: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Entry]:
    """The images of a folder (in order of their names, without those in `output`), or of a CSV table with `path`.

    A table's paths are relative to it. Optional columns: `box` ("y,x,size") or `y`, `x`, `size`; `page`; `label`.

    Args:
        report: is told in a line of files that are passed over because they are no images.

    Raises:
        DataError: nothing there, no column `path`, or a box that is not three whole numbers.
    """
    if os.path.isdir(source):
        own = None if output is None or output.resolve() == source.resolve() else output.resolve()
        found, passed = (
            [path for path in part if own is None or own not in path.resolve().parents]
            for part in contents(source, deep=True)
        )
        if passed:
            report(passed_words([relative(path, source) for path in passed]))
        rows: list[Row] = [(path, box, "", None) for path in found]
    elif os.path.isfile(source):
        rows = list(_table(source, box))
    else:
        raise DataError(f"{source}: no such folder or table; expected a folder of images or a CSV file")
    if not rows:
        raise DataError(f"{source}: holds no images; expected {READ_WORDS} files or a table of them")
    taken: set[str] = set()
    result = []
    for path, cut, label, page in rows:
        base = path.stem if cut is None else f"{path.stem}_{'_'.join(map(str, cut))}"
        base += "" if page is None else f"_page{page}"
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        result.append(Entry(path, cut, name, label, page))
    return result


def _table(source: Path, box: tuple[int, int, int] | None) -> Iterator[Row]:
    columns, rows = read_csv(read_text(source, "a CSV table in UTF-8", DataError), str(source), DataError)
    if "path" not in columns:
        raise DataError(f"{source}: has no column 'path' (columns: {', '.join(columns) or 'none'})")
    for number, row in enumerate(rows, start=2):
        cell = row.get("box") or ",".join(row[key] or "" for key in ("y", "x", "size") if key in columns)
        try:
            numbers = tuple(int(part[:20]) for part in cell.replace(";", ",").split(",")) if cell.strip(",") else None
        except ValueError:
            numbers = ()
        if numbers is not None and len(numbers) != 3:
            raise DataError(f"{source}, line {number}: box {cell!r} must be y,x,size in whole pixels")
        if not (row["path"] or "").strip():
            raise DataError(f"{source}, line {number}: the column 'path' is empty")
        page = (row.get("page") or "").strip()
        if page and not (page.isascii() and page.isdigit() and int(page[:9]) > 0):
            raise DataError(f"{source}, line {number}: page {page!r} must be a whole number from 1")
        path, label = source.parent / row["path"].strip(), (row.get("label") or "").strip()
        yield path, numbers or box, label, int(page[:9]) if page else None


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


@dataclass
class Outcome:
    """What a batch did: figures written now, figures that were already there, and images left out with the reason."""

    made: list[Path]
    kept: list[Path]
    skipped: list[str]
    sheets: list[Path]


def make(
    viewer: Viewer,
    batch: Sequence[Entry],
    folder: Path,
    command: Sequence[str],
    *,
    reading: ImageOptions | None = None,
    skip_unreadable: bool = False,
    per_page: int = 10,
    dpi: int = 110,
    maps: Path | None = None,
    progress: Progress = lambda batch: batch,
    blocked: OutputError | None = None,
) -> Outcome:
    """Write a figure for every image and the contact sheets, and the maps of all in one file where it is named.

    Args:
        reading: how images are read; box and page of an entry go before its own.
        blocked: why the folder cannot be written, if it cannot; where all is there already, nothing is written.

    Raises:
        ImageError: an image that cannot be read, unless `skip_unreadable`.
        OutputError: the folder cannot be written.
    """
    figures = {(folder / f"{entry.name}.png").resolve() for entry in batch}
    clash = figures & {entry.path.resolve() for entry in batch}
    if clash:
        raise OutputError(f"{min(clash)}: a figure would replace the image itself; choose another output folder")
    if blocked is not None and maps is not None:
        raise blocked
    outcome = Outcome([], [], [], [])
    kept_maps = None if maps is None else BatchMaps(maps, folder, command)
    rows: list[tuple[Entry, list[Cell]]] = []
    block: Block | None = None
    for entry in progress(batch):
        check()
        try:
            roi = (reading or ImageOptions()).cut(entry.path, entry.box, entry.page)
        except ImageError as error:
            if not skip_unreadable:
                raise ImageError(f"{error}; such files are left out with skip_unreadable=True") from error
            outcome.skipped.append(str(error))
            continue
        target = folder / f"{entry.name}.png"
        key = _key(viewer, roi, entry, dpi)
        drawn = _done(target, key)
        if blocked is not None:
            if not drawn:
                raise blocked
            outcome.kept.append(target)
            continue
        label = known_class(viewer, entry)
        whole = not drawn or (kept_maps is not None and not kept_maps.has(entry.name, key))
        block = viewer.look(roi, last=not whole, label=label)
        if whole:
            figure = viewer.figure(roi, f"{entry.name}{f' ({entry.label})' if entry.label else ''}", block)
            if kept_maps is not None:
                kept_maps.add(entry.name, key, figure, block, viewer.seed)
            if not drawn:
                figure.save(target, dpi=dpi, command=command, key=key)
        if kept_maps is not None:
            kept_maps.done(entry.name, key)
        (outcome.kept if drawn else outcome.made).append(target)
        rows.append((entry, sheet_row(block)))
    if kept_maps is not None and rows:
        kept_maps.finish()
    if blocked is not None:
        outcome.sheets = [folder / _sheet(k + 1) for k in range(-(-len(outcome.kept) // per_page))]
        if not all(sheet.is_file() for sheet in outcome.sheets) or (folder / _sheet(len(outcome.sheets) + 1)).is_file():
            raise blocked
    if block is not None:
        outcome.sheets = _sheets(viewer, block, rows, folder, per_page, dpi)
    return outcome


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


def _sheet(number: int) -> str:
    return f"contact-sheet-{number:03d}.png"


def _sheets(
    viewer: Viewer, block: Block, rows: Sequence[tuple[Entry, list[Cell]]], folder: Path, per_page: int, dpi: int
) -> list[Path]:
    from desali.figures.drawing.grid import save as save_grid

    last = next(iter(block.models.values())).look.views[-1].layer
    columns = [
        Column("input"),
        *(Column(name, "reconstructions") for name in block.models),
        *(Column(label, "controls") for label in block.controls),
        Column("edge detector", "controls"),
    ]
    pages = [rows[start : start + per_page] for start in range(0, len(rows), per_page)]
    written = []
    footnote = f"{viewer.origins} {SHEET_NOTE}"
    name, words = viewer.projection
    for number, page in enumerate(pages, start=1):
        title = f"{last}: {name} from {words}, page {number} of {len(pages)}"
        labels = [f"{entry.name}\n{entry.label}" if entry.label else entry.name for entry, _ in page]
        grid = Grid(labels, columns, [panels for _, panels in page], title, footnote)
        written.append(save_grid(grid, folder / _sheet(number), dpi))
    number = len(pages) + 1
    while (old := folder / _sheet(number)).is_file():  # of a longer batch before
        old.unlink()
        number += 1
    return written
