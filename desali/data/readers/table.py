"""ROI tables in CSV or Parquet: a line an image, with its label, its patient, optionally a box and a split."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from desali.data.readers.listing import NO_PATIENTS, SPLITS, Item, Listing, relative
from desali.errors import DataError
from desali.input.files import read_text
from desali.input.tables import read_csv
from desali.input.values import one_line
from desali.limits import CELL_CHARACTERS, TEXT_BYTES

NONE = "none"
SIDE = "resampled_to"
"""Column of the pixels that a box is resampled to; `desali data rois` writes it."""
MOST_SIDE = 4096
Row = dict[str, str]


def claims(root: Path) -> bool:
    """A file called .csv, .tsv or .parquet."""
    return root.is_file() and root.suffix.lower() in (".csv", ".tsv", ".parquet")


def find(
    root: Path,
    path_column: str = "path",
    label_column: str = "label",
    patient_column: str = "patient",
    split_column: str = "",
    box_column: str = "",
    page_column: str = "",
    array: str = "",
    row_column: str = "",
) -> Listing:
    """List the images of a table; the options are in `READERS`.

    Raises:
        DataError: not readable, a column is missing, an empty cell for path or label, a box that is not three whole
            numbers, an unknown split, or rows that do not fit the array.
    """
    columns, rows = _read(root)
    patients = patient_column != NONE
    needed = [label_column, *([patient_column] if patients else [])]
    needed += [row_column] if row_column else [] if array else [path_column]
    needed += [name for name in (split_column, box_column, page_column) if name not in ("", NONE)]
    for name in needed:
        if name not in columns:
            way = "; say patient_column=none if the patients are not known" if name == patient_column else ""
            raise DataError(
                f"{root}: has no column {name!r} (columns: {', '.join(columns) or 'none'}); "
                f"name it with path_column, label_column, patient_column, ...{way}"
            )
    split = split_column or ("split" if "split" in columns else NONE)
    box = _box_reader(columns, box_column)
    page = page_column or ("page" if "page" in columns else NONE)
    home, key, count = _array(root, array)
    if array and not row_column and count != len(rows):
        raise DataError(
            f"{root}: {len(rows)} lines for {count} images in {array}; expected a line for each, or row_column=NAME"
        )
    items = []
    for index, row in enumerate(rows):
        where = f"{root}, line {index + 2}"
        label = _cell(row, label_column, where)
        number = None
        if home is not None:
            number = index if not row_column else _whole(row[row_column], f"{where}: column {row_column!r}")
            if not 0 <= number < count:
                raise DataError(f"{where}: row {number} lies outside {array} with {count} images (0 to {count - 1})")
        file = home or root.parent / _cell(row, path_column, where)
        cut = box(row, where)
        side = _whole(row[SIDE], f"{where}: column {SIDE!r}") if row.get(SIDE) else None
        if side is not None and not 1 <= side <= MOST_SIDE:
            raise DataError(f"{where}: column {SIDE!r} is {side}; expected pixels from 1 to {MOST_SIDE}")
        name = relative(file, root.parent)
        name += "" if number is None else f" row {number}"
        name += "" if cut is None else f" box {cut[0]},{cut[1]},{cut[2]}"
        shown = None if page == NONE or not row[page] else _whole(row[page], f"{where}: column {page!r}")
        if shown is not None and shown < 1:
            raise DataError(f"{where}: page {shown}; pages, slices and frames are counted from 1")
        name += "" if shown is None else f" page {shown}"
        name += "" if side is None or cut is None or side == cut[2] else f" resampled to {side}"
        patient = (row[patient_column] or None) if patients else name
        part = "" if split == NONE else _split(row[split], where)
        items.append(Item(file, name, label, patient, part, cut, number, shown, side))
    if not items:
        raise DataError(f"{root}: holds no lines below its header; expected a line for each image")
    return Listing(
        name=root.stem,
        items=items,
        labels=tuple(sorted({item.label for item in items})),
        kind="ROI table" if home is None else f"ROI table into {home.name}",
        patients=f"patients by column {patient_column!r}" if patients else NO_PATIENTS,
        unit_of_split="patient" if patients else "image",
        array_key=key,
    )


def _read(root: Path) -> tuple[list[str], list[Row]]:
    """Column names, and the lines with every cell as stripped text."""
    if not os.path.isfile(root):
        raise DataError(f"{root}: is no file; expected a table, .csv, .tsv or .parquet")
    if root.suffix.lower() == ".parquet":
        try:
            from pyarrow import parquet
        except ImportError:
            raise DataError(f"{root}: reading Parquet needs pyarrow: pip install 'desali[parquet]'") from None
        try:
            file = parquet.ParquetFile(root)
            too_large = TEXT_BYTES.exceeded(sum(_unpacked(file, k) for k in range(file.metadata.num_row_groups)))
            rows = [] if too_large else file.read().to_pylist()
            names = list(file.schema_arrow.names)
        except Exception as error:  # pyarrow's errors, OSError, UnicodeDecodeError
            raise DataError(f"{root}: not a readable Parquet file ({one_line(error)})") from error
        if too_large:
            raise DataError(f"{root}: a Parquet file that unpacks to {too_large}")
        return names, [{str(key): _text(value) for key, value in row.items()} for row in rows]
    text = read_text(root, "UTF-8 text with a header", DataError)
    return read_csv(text, str(root), DataError, "\t" if root.suffix.lower() == ".tsv" else ",", exact=True)


def _unpacked(file: Any, group: int) -> int:
    """Bytes of a row group by what its header says, and by its rows where a cell is repeated."""
    said = file.metadata.row_group(group)
    return max(int(said.total_byte_size), int(said.num_rows) * int(said.num_columns))


def _text(value: Any) -> str:
    """A Parquet cell as CSV would hold it: a missing number (NaN) is empty, and 7.0 in a column with gaps is 7."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return (str(int(value)) if whole else str(value).strip())[: CELL_CHARACTERS.value]


def _cell(row: Row, column: str, where: str) -> str:
    if not row[column]:
        raise DataError(f"{where}: the column {column!r} is empty; fill it in or remove the line")
    return row[column]


def _whole(text: str, what: str) -> int:
    try:
        number = float(text)
        if number == int(number) and abs(number) < 2**53:
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise DataError(f"{what} is {text!r}; expected a whole number")


def _split(text: str, where: str) -> str:
    if text and text.lower() not in SPLITS:
        raise DataError(f"{where}: unknown split {text!r}; expected one of {', '.join(SPLITS)}")
    return SPLITS[text.lower()] if text else ""


def _box_reader(columns: list[str], column: str) -> Callable[[Row, str], tuple[int, int, int] | None]:
    if column == NONE:
        names: list[str] = []
    elif column or "box" in columns:
        names = [column or "box"]
    else:
        names = ["y", "x", "size"] if {"y", "x", "size"} <= set(columns) else []

    def read(row: Row, where: str) -> tuple[int, int, int] | None:
        text = ",".join(row[name] for name in names).replace(";", ",").strip("()[] ")
        if not text.strip(","):
            return None
        numbers = [_whole(part, f"{where}: box {text!r}: a number") for part in text.split(",")]
        if len(numbers) != 3:
            raise DataError(f"{where}: box {text!r} must be y,x,size in whole pixels")
        return numbers[0], numbers[1], numbers[2]

    return read


def _array(root: Path, array: str) -> tuple[Path | None, str, int]:
    """The array's file, its key and how many images it holds."""
    if not array:
        return None, "", 0
    from desali.data.readers.arrays import length

    name, colon, key = array.rpartition(":")
    if not colon or not name or not key:
        raise DataError(f"array={array}: expected FILE.npz:KEY, relative to the table")
    path = root.parent / name
    return path, key, length(path, key)
