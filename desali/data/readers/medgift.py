"""MedGIFT ILD: CT series with contours of tissue types in millimetres; ROI windows are cut from the contours.

Depeursinge et al., "Building a reference multimedia database for interstitial lung diseases", CMIG 36(3), 2012.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from desali.data.formats.dicom_file import read_tags
from desali.data.readers.contours import windows
from desali.data.readers.listing import Item, Listing, folders_in, need_folder, read_lines, relative
from desali.errors import DataError
from desali.limits import IMAGE_PIXELS, POINTS

EXPECTED = "a folder per patient with CT-*.dcm and CT-*.txt"
LEAST_MM, MOST_MM = 1e-4, 1e3
"""A pixel's side."""
FARTHEST = 1e5
"""Pixels of a contour's point from the corner of its slice."""
MOST_SLICES = 1e6
NUMBER = re.compile(r"(\d+)$")


class Contour(NamedTuple):
    """A labelled contour on slice `slice_number` (counted from 1); `points` are (x, y) in pixels."""

    label: str
    slice_number: int
    points: list[tuple[float, float]]


def claims(root: Path) -> bool:
    """A folder with CT-*.txt, itself or one level below."""
    return root.is_dir() and any(next(iter(root.glob(glob)), None) for glob in ("CT-*.txt", "*/CT-*.txt"))


def find(root: Path, window: str = "32", stride: str = "", inside: str = "0.75") -> Listing:
    """List the windows of every contour of every patient; the patient is the folder.

    Raises:
        DataError: no contours, a contour file that does not follow the format, a slice that is not there, or options
            out of range.
    """
    need_folder(root, EXPECTED)
    side = _number(window, "window", 1)
    step = _number(stride or window, "stride", 1)
    share = _number(inside, "inside", 0)
    if max(side, step) > IMAGE_PIXELS.value or side != int(side) or step != int(step) or not 0 < share <= 1:
        raise DataError(
            f"window={window}, stride={stride}, inside={inside}: expected whole pixels, and inside in (0, 1]"
        )
    texts = sorted(path for folder in (root, *folders_in(root)) for path in folder.glob("CT-*.txt"))
    if not texts:
        raise DataError(f"{root}: holds no contours; expected {EXPECTED}")
    items: list[Item] = []
    labels: dict[str, None] = {}
    missed = 0
    shape = lru_cache(_shape)  # of a slice with several contours once
    for text in texts:
        slices = _slices(text)
        for contour in read_contours(text):
            labels[contour.label] = None
            path = _slice(slices, contour.slice_number, text)
            boxes = windows(contour.points, int(side), int(step), share, shape(path))
            missed += not boxes
            name = relative(path, root)
            items += [
                Item(path, f"{name} box {y},{x},{int(side)}", contour.label, text.parent.name, box=(y, x, int(side)))
                for y, x in boxes
            ]
    rule = f"windows of {side:g} pixels every {step:g}, at least {share:g} of each inside its contour"
    return Listing(
        name="medgift",
        items=items,
        labels=tuple(sorted(labels)),
        kind=f"MedGIFT ILD, {rule}",
        patients="patients by folder",
        colour=False,
        notes=(f"{missed} contours are too small for a window",) if missed else (),
    )


def read_contours(path: Path) -> list[Contour]:
    """The contours of a text file, in pixels (millimetres divided by the spacing).

    Raises:
        DataError: a key is missing or out of place, or a contour has fewer points than it says.
    """
    spacing: dict[str, float] = {}
    contours: list[Contour] = []
    label, slice_number, left = "", 0, 0
    for number, line in enumerate(read_lines(path, "a MedGIFT contour file"), start=1):
        cells = re.split(r"[\s:=]+", line.strip(), maxsplit=1)
        if not cells[0] or cells[0].startswith(("#", "%")):
            continue
        where = f"{path}, line {number}"
        key, value = cells[0], cells[1].strip() if len(cells) > 1 else ""
        if left:
            x, y = _number(key, where), _number(value, where)
            point = x / spacing["x"], y / spacing["y"]
            if max(map(abs, point)) > FARTHEST:
                raise DataError(f"{where}: a point {max(map(abs, point)):.3g} pixels away; expected one in the slice")
            contours[-1].points.append(point)
            left -= 1
        elif key in ("SpacingX", "SpacingY"):
            spacing[key[-1].lower()] = _number(value, where)
            if not LEAST_MM <= spacing[key[-1].lower()] <= MOST_MM:
                raise DataError(f"{where}: {key} is {value}; expected millimetres above 0, some tenths to some")
        elif key == "label":
            label = value
        elif key == "slice_number":
            slice_number = int(_number(value, where, 1, MOST_SLICES))
        elif key == "nb_points_on_contour":
            if not label or not slice_number or len(spacing) != 2:
                raise DataError(f"{where}: a contour without label, slice_number, SpacingX or SpacingY before it")
            left = int(_number(value, where, 0))
            too_many = POINTS.exceeded(left)
            if too_many:
                raise DataError(f"{where}: a contour of {too_many}")
            contours.append(Contour(label, slice_number, []))
        elif re.fullmatch(r"[-+.\d].*", key):
            raise DataError(f"{where}: more points than nb_points_on_contour says")
    if left:
        raise DataError(f"{path}: ends {left} points before its last contour does; copy it again")
    return contours


def _shape(path: Path) -> tuple[int, int] | None:
    """Rows and columns of a slice; None if it is damaged, which is said when it is decoded."""
    tags = read_tags(path, ("Rows", "Columns"))
    try:
        return int(tags["Rows"]), int(tags["Columns"])
    except (KeyError, TypeError, ValueError):
        return None


def _number(text: str, where: str, least: float = float("-inf"), most: float = float("inf")) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most or number == float("inf"):
        wanted = "a number" if least < 0 else f"one of at least {least:g}"
        raise DataError(f"{where}: {text[:80]!r} is no number that fits here; expected {wanted}")
    return number


def _slices(text: Path) -> list[Path]:
    """The series of a contour file: DICOM files that begin with its name, else all beside it; by number, then name."""
    every = [path for path in text.parent.iterdir() if path.suffix.lower() == ".dcm" and path.name.startswith("CT-")]
    own = [path for path in every if path.name.startswith(f"{text.stem}-")] or every
    return sorted(own, key=lambda path: (_last_number(path), path.name))


def _last_number(path: Path) -> int:
    match = NUMBER.search(path.stem)
    return int(match.group(1)[-18:]) if match else -1


def _slice(slices: list[Path], number: int, text: Path) -> Path:
    """Slice `number`, counted from 1 in the order of the files' last numbers."""
    if not 1 <= number <= len(slices):
        raise DataError(f"{text}: a contour on slice {number}, but {len(slices)} CT-*.dcm are beside it")
    return slices[number - 1]
