"""Many images: a figure for each, and contact sheets of all; what is already there and unchanged is not made again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from desali.data.formats.recognise import READ_WORDS
from desali.data.readers.listing import contents, passed_words, relative
from desali.errors import DataError, OutputError
from desali.figures.batch_maps import BatchMaps
from desali.figures.batch_work import Entry, Made, Work
from desali.figures.drawing.panel import Grid
from desali.figures.options import ImageOptions
from desali.figures.viewer import Viewer
from desali.figures.workers import each
from desali.input.files import read_text
from desali.input.tables import read_csv
from desali.output.interrupts import check

SHEET_NOTE = "Each picture has a scale of its own. No picture here explains a decision. Not a medical device."
Progress = Callable[[Sequence["Entry"]], Iterable["Entry"]]
Row = tuple[Path, tuple[int, int, int] | None, str, int | None]
"""Of a table: file, box, label, page."""


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
    workers: int = 1,
) -> Outcome:
    """Write a figure for every image and the contact sheets, and the maps of all in one file where it is named.

    Args:
        reading: how images are read; box and page of an entry go before its own.
        blocked: why the folder cannot be written, if it cannot; where all is there already, nothing is written.
        workers: processes that make figures at the same time; PyTorch's threads are divided among them.

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
    work = Work(
        viewer, folder, command, reading or ImageOptions(), skip_unreadable, dpi, kept_maps, blocked
    )  # fmt: skip
    rows: list[tuple[Entry, Made]] = []
    with closing(each(work, batch, workers)) as results:
        for entry, made in zip(progress(batch), results, strict=False):
            check()
            if made.target is None:
                outcome.skipped.append(made.skipped)
                continue
            (outcome.kept if made.kept else outcome.made).append(made.target)
            if blocked is not None:
                continue
            if kept_maps is not None:
                kept_maps.done(entry.name, made.key)
            rows.append((entry, made))
    if kept_maps is not None and rows:
        kept_maps.finish()
    if blocked is not None:
        outcome.sheets = [folder / _sheet(k + 1) for k in range(-(-len(outcome.kept) // per_page))]
        if not all(sheet.is_file() for sheet in outcome.sheets) or (folder / _sheet(len(outcome.sheets) + 1)).is_file():
            raise blocked
    if rows:
        outcome.sheets = _sheets(viewer, rows, folder, per_page, dpi)
    return outcome


def _sheet(number: int) -> str:
    return f"contact-sheet-{number:03d}.png"


def _sheets(viewer: Viewer, rows: Sequence[tuple[Entry, Made]], folder: Path, per_page: int, dpi: int) -> list[Path]:
    from desali.figures.drawing.grid import save as save_grid

    _, shown = rows[-1]
    pages = [rows[start : start + per_page] for start in range(0, len(rows), per_page)]
    written = []
    footnote = f"{viewer.origins} {SHEET_NOTE}"
    name, words = viewer.projection
    for number, page in enumerate(pages, start=1):
        title = f"{shown.last}: {name} from {words}, page {number} of {len(pages)}"
        labels = [f"{entry.name}\n{entry.label}" if entry.label else entry.name for entry, _ in page]
        grid = Grid(labels, shown.columns, [made.cells for _, made in page], title, footnote)
        written.append(save_grid(grid, folder / _sheet(number), dpi))
    number = len(pages) + 1
    while (old := folder / _sheet(number)).is_file():  # of a longer batch before
        old.unlink()
        number += 1
    return written
