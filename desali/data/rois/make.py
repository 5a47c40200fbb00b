"""ROI tables: annotations in, a table out that `table:` reads."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from desali.data.readers.contours import inside_of
from desali.data.readers.table import SIDE
from desali.data.rois.boxes import Box, read_boxes
from desali.data.rois.masks import Mask, is_mask, read_masks
from desali.data.rois.options import RoiOptions
from desali.data.rois.placing import RULES, Square, on_box, without_overlap
from desali.data.rois.slices import Slice, Slices
from desali.errors import DataError, OutputError
from desali.output.columns import columns
from desali.output.files import check_writable, write_json, write_text

KIND = "desali ROI table"
COLUMNS = ("path", "y", "x", "size", SIDE, "label", "patient", "slice", "annotation")
SMALL, OUTSIDE, DOUBLE, BETWEEN = (
    "images or boxes too small or outside",
    "regions of a mask with no ROI inside",
    "overlap another of the same label",
    "overlap one of another label",
)


@dataclass(frozen=True, eq=False)
class Roi:
    """A line of the table."""

    slice: Slice
    square: Square
    label: str
    patient: str
    source: int
    annotation: str


@dataclass
class Rois:
    """What was cut.

    Attributes:
        found: the ROIs, in the order of the images.
        side: pixels that all are resampled to.
        left_out: how many, by reason.
        options: as asked.
    """

    found: list[Roi]
    side: int
    left_out: Counter[str] = field(default_factory=Counter)
    options: RoiOptions = field(default_factory=RoiOptions)

    def table(self, home: Path) -> str:
        """The table as CSV; paths are relative to its folder."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in self.found:
            path = Path(os.path.relpath(one.slice.path.resolve(), home.resolve())).as_posix()
            square = one.square
            cells = (path, square.y, square.x, square.side, self.side, one.label, one.patient)
            writer.writerow((*cells, one.slice.name, one.annotation))
        return out.getvalue()

    def summary(self) -> str:
        """Counts by label, what was left out, and the rules, for a reader."""
        by_label: dict[str, list[Roi]] = defaultdict(list)
        for one in self.found:
            by_label[one.label].append(one)
        rows = [["label", "ROIs", "patients", "slices"]]
        for label, some in sorted(by_label.items()):
            patients = {one.patient for one in some if one.patient}
            slices = {one.slice.path for one in some}
            rows.append([label, str(len(some)), str(len(patients) or "not known"), str(len(slices))])
        sides = sorted({one.square.side for one in self.found})
        pixels = f"{sides[0]}" if len(sides) == 1 else f"{sides[0]} to {sides[-1]}"
        again = "" if sides == [self.side] else f", resampled to {self.side}"
        said = [f"{self.options.size_mm:g} mm are {pixels} pixels{again}"]
        said += [f"left out: {count} {why}" for why, count in self.left_out.items() if count]
        return "\n".join([*columns(rows), *said, *RULES])

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return {
            "kind": KIND,
            "rois": len(self.found),
            "labels": dict(sorted(Counter(one.label for one in self.found).items())),
            "resampled_to": self.side,
            "left_out": {why: count for why, count in self.left_out.items() if count},
            "options": asdict(self.options),
            "rules": list(RULES),
        }


def rois(images: Path, annotations: Sequence[Path], options: RoiOptions) -> Rois:
    """Cut squares of `options.size_mm` from annotations.

    Args:
        images: a folder of DICOM slices or pictures, or one file.
        annotations: boxes as CSV, COCO JSON or Pascal VOC XML (files or a folder), masks as NIfTI or DICOM SEG.

    Raises:
        DataError: nothing to cut; a file that cannot be read; an image that is not there or whose spacing is not known;
            a pseudonym and a patient in the annotations. DesaliError: see `RoiOptions`.
    """
    slices = Slices(images)
    made: list[Roi] = []
    left: Counter[str] = Counter()
    source = 0
    for path in annotations:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; expected annotations")
        if path.is_file() and is_mask(path):
            masks = _every(read_masks(path, slices, options.names()), options.every)
            for mask in masks:
                source = _of_mask(mask, options, made, left, source)
        else:
            if options.grid:
                raise DataError(f"{path}: --grid lays ROIs over masks (NIfTI, DICOM SEG), and these are boxes")
            for box in read_boxes(path):
                source += 1
                _of_box(box, slices, options, made, left, source)
    kept = _chosen(made, options.max_overlap, left)
    if not kept:
        why = ", ".join(f"{count} {why}" for why, count in left.items() if count) or "the annotations hold no region"
        raise DataError(f"{images}: no ROI of {options.size_mm:g} mm is left ({why}); try a smaller --size-mm")
    sides = [one.square.side for one in kept]
    return Rois(kept, options.pixels or int(np.median(sides)), left, options)


def write(found: Rois, path: Path, command: Sequence[str] = ()) -> Path:
    """Write the table and its record (rois.csv.json) and return the record's path.

    Raises:
        OutputError: another suffix than .csv, or it cannot be written.
    """
    check(path)
    write_text(path, found.table(path.parent))
    beside = path.with_name(path.name + ".json")
    write_json(beside, {**found.to_dict(), "command": list(command)})
    return beside


def check(path: Path) -> None:
    """Find out before the work whether the table can be written.

    Raises:
        OutputError: another suffix than .csv, or it cannot be written.
    """
    if path.suffix.lower() != ".csv":
        raise OutputError(f"{path}: the table is written as .csv; end its name in that")
    check_writable(path)


def _every(masks: Sequence[Mask], every: int) -> list[Mask]:
    """Of each label and series the first slice and every so many after it."""
    counted: Counter[tuple[str, str]] = Counter()
    kept = []
    for mask in masks:
        key = mask.label, mask.slice.series or str(mask.slice.path.parent)
        if counted[key] % every == 0:
            kept.append(mask)
        counted[key] += 1
    return kept


def _side(one: Slice, options: RoiOptions, millimetres: float) -> int:
    spacing = one.spacing or options.spacing
    if spacing is None:
        raise DataError(
            f"{one.path}: does not say how large its pixels are; name the millimetres a pixel with --spacing"
        )
    side = round(millimetres / spacing)
    if side < 2:
        raise DataError(f"{one.path}: {millimetres:g} mm are less than two of its pixels of {spacing:g} mm")
    return side


def _of_mask(mask: Mask, options: RoiOptions, made: list[Roi], left: Counter[str], source: int) -> int:
    from scipy import ndimage

    one = mask.slice
    side, step = (_side(one, options, mm) for mm in (options.size_mm, options.step_mm or options.size_mm))
    if options.grid:
        rows, columns_ = np.flatnonzero(mask.pixels.any(1)), np.flatnonzero(mask.pixels.any(0))
        top, low = int(rows[0]), int(columns_[0])
        part = mask.pixels[top : rows[-1] + side, low : columns_[-1] + side]  # a square may reach out of the mask
        found = [Square(top + y, low + x, side) for y, x in inside_of(part, side, step, options.inside)]
        left[OUTSIDE] += not found
        made += [Roi(one, square, mask.label, one.patient, source + 1, mask.where.name) for square in found]
        return source + 1
    regions, _ = ndimage.label(mask.pixels, np.ones((3, 3), int))
    for down, across in ndimage.find_objects(regions):
        source += 1
        box = (down.start, across.start, down.stop - down.start, across.stop - across.start)
        squares = on_box(box, side, step, one.shape)
        left[SMALL] += squares is None
        made += [Roi(one, square, mask.label, one.patient, source, mask.where.name) for square in squares or []]
    return source


def _of_box(box: Box, slices: Slices, options: RoiOptions, made: list[Roi], left: Counter[str], source: int) -> None:
    one = slices.find(box.image, box.where)
    side, step = (_side(one, options, mm) for mm in (options.size_mm, options.step_mm or options.size_mm))
    squares = on_box((box.top, box.left, box.height, box.width), side, step, one.shape)
    left[SMALL] += squares is None
    patient = one.patient if one.uid else box.patient or one.patient
    made += [Roi(one, square, box.label, patient, source, Path(box.where).name) for square in squares or []]


def _chosen(made: Sequence[Roi], most: float, left: Counter[str]) -> list[Roi]:
    """Those that stay, slice by slice in the order of the images."""
    by_slice: dict[Path, list[Roi]] = defaultdict(list)
    for one in made:
        by_slice[one.slice.path].append(one)
    kept: list[Roi] = []
    for path in sorted(by_slice):
        some = by_slice[path]
        stay, doubles, between = without_overlap([(one.square, one.label, one.source) for one in some], most)
        left[DOUBLE] += doubles
        left[BETWEEN] += between
        kept += [some[index] for index in stay]
    return kept
