"""Boxes of annotations, as CSV, COCO JSON and Pascal VOC XML write them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desali.errors import DataError
from desali.input.files import read_text
from desali.input.tables import read_csv
from desali.input.values import one_line, parse_json

PATH = ("path", "image", "file", "filename", "file_name", "image_id", "sopinstanceuid")
LABEL = ("label", "class", "category", "name")
CORNERS = (("x_min", "y_min", "x_max", "y_max"), ("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"))
SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
CENTRES = (("center_x", "center_y"), ("x_center", "y_center"), ("x", "y"))
EXPECTED = "x_min,y_min,x_max,y_max, or x,y,width,height, or the centre x,y, in pixels"


@dataclass(frozen=True)
class Box:
    """A box on an image.

    Attributes:
        image: as the annotation names it.
        label: of the box.
        top, left, height, width: in pixels from the image's upper left corner; a centre has no extent.
        where: for messages.
        patient: as the annotation says; "" if it does not.
    """

    image: str
    label: str
    top: float
    left: float
    height: float
    width: float
    where: str
    patient: str = ""


def read_boxes(path: Path) -> list[Box]:
    """The boxes of a CSV table, a COCO file, or a VOC file or folder of them.

    Raises:
        DataError: not readable, another layout, or numbers that are no box; the message names file and line.
    """
    if path.is_dir():
        files = sorted(one for one in path.rglob("*.xml") if not one.name.startswith("."))
        if not files:
            raise DataError(f"{path}: holds no .xml file; expected annotations in Pascal VOC's form")
        return [box for file in files for box in _voc(file)]
    kinds = {".csv": _csv, ".tsv": _csv, ".json": _coco, ".xml": _voc}
    if path.suffix.lower() not in kinds:
        raise DataError(f"{path}: expected boxes as .csv, .json (COCO) or .xml (Pascal VOC)")
    return list(kinds[path.suffix.lower()](path))


def _text(path: Path) -> str:
    return read_text(path, "annotations as text", DataError)


def _csv(path: Path) -> Iterator[Box]:
    header, lines = read_csv(_text(path), str(path), DataError, "\t" if path.suffix.lower() == ".tsv" else ",")
    columns = [name.lower() for name in header]
    rows = [{name.lower(): cell for name, cell in row.items()} for row in lines]
    image, label = (next((name for name in names if name in columns), None) for names in (PATH, LABEL))
    for what, found, names in (("image", image, PATH), ("label", label, LABEL)):
        if found is None:
            raise DataError(
                f"{path}: has no column of the {what} (columns: {', '.join(columns) or 'none'}); name it {names[0]!r}"
            )
    form = next((names for names in (*CORNERS, *SIDES, *CENTRES) if set(names) <= set(columns)), None)
    if form is None:
        raise DataError(f"{path}: has no columns of a box (columns: {', '.join(columns)}); expected {EXPECTED}")
    for number, row in enumerate(rows, start=2):
        where = f"{path}, line {number}"
        values = [_number(row.get(name, ""), f"{where}: column {name!r}") for name in form]
        left, top = values[:2]
        if form in CORNERS:
            width, height = values[2] - left, values[3] - top
        else:
            width, height = values[2:] if form in SIDES else (0.0, 0.0)
        assert image is not None
        assert label is not None
        for column in (image, label):
            if not row[column]:
                raise DataError(f"{where}: the column {column!r} is empty; fill it in or remove the line")
        yield _box(row[image], row[label], (top, left, height, width), where, row.get("patient", ""), form in CENTRES)


def _coco(path: Path) -> Iterator[Box]:
    data = parse_json(_text(path), str(path), DataError, "expected a COCO file")
    try:
        images = {one["id"]: str(one["file_name"]) for one in data["images"]}
        names = {one["id"]: str(one["name"]) for one in data["categories"]}
        annotations = list(data["annotations"])
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: no COCO file ({error} is missing or has another form); expected images, categories, annotations"
        ) from None
    for number, one in enumerate(annotations, start=1):
        where = f"{path}, annotation {number}"
        try:
            image, label, box = images[one["image_id"]], names[one["category_id"]], list(one["bbox"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{where}: {error} is missing or not among the file's images and categories") from None
        if len(box) != 4:
            raise DataError(f"{where}: bbox has {len(box)} numbers, expected x, y, width, height")
        left, top, width, height = (_number(value, f"{where}: bbox") for value in box)
        yield _box(image, label, (top, left, height, width), where)


def _voc(path: Path) -> Iterator[Box]:
    """Pascal VOC counts pixels from 1, and the last one belongs to the box."""
    from xml.etree import ElementTree

    text = _text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(f"{path}: declares a document type or entities, which annotations need not; remove them")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not XML ({one_line(error)}); expected annotations in Pascal VOC's form") from None
    image = (root.findtext("filename") or "").strip()
    if root.tag != "annotation" or not image:
        raise DataError(f"{path}: no Pascal VOC file; expected <annotation> with <filename> and <object>")
    for number, one in enumerate(root.iter("object"), start=1):
        where = f"{path}, object {number}"
        label, bounds = (one.findtext("name") or "").strip(), one.find("bndbox")
        if not label or bounds is None:
            raise DataError(f"{where}: has no <name> or no <bndbox>")
        left, top, right, bottom = (
            _number(bounds.findtext(name) or "", f"{where}: {name}") for name in ("xmin", "ymin", "xmax", "ymax")
        )
        yield _box(image, label, (top - 1, left - 1, bottom - top + 1, right - left + 1), where)


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or abs(number) > 1e9 or isinstance(value, bool):
        raise DataError(f"{what} is {str(value)[:40]!r}; expected a number of pixels")
    return number


def _box(
    image: str, label: str, box: tuple[float, float, float, float], where: str, patient: str = "", point: bool = False
) -> Box:
    if min(box[2:]) < 0 or (min(box[2:]) == 0 and not point):
        raise DataError(f"{where}: the box is {box[3]:g} x {box[2]:g} pixels; expected {EXPECTED}")
    return Box(image, label, *box, where, patient)
