"""The images that annotations are about: where they lie, whose they are, and how large a pixel is."""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.data.formats.recognise import DICOM, NIFTI, NPY, format_of_file
from desali.data.readers.dicom_series import patient_of
from desali.data.readers.listing import images_in, relative
from desali.errors import DataError

TAGS = (
    "PatientID", "SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient",
    "ImageOrientationPatient", "InstanceNumber", "SharedFunctionalGroupsSequence", "NumberOfFrames",
)  # fmt: skip
SQUARE = 0.01
"""Difference of a pixel's sides, as a share, from which on it is not square."""


@dataclass(frozen=True, eq=False)
class Slice:
    """One image.

    Attributes:
        path, name: the file, and its path below the folder of images.
        patient: a pseudonym, or the folder below that of the images; "" if it is not known.
        shape: height and width in pixels.
        spacing: millimetres a pixel; None where the file does not say.
        uid, series: of DICOM, "" else.
        corner: the centre of the first pixel in the patient's millimetres (left, posterior, superior), and the unit
            vectors along rows and columns [3, 3]; None where they are not known.
    """

    path: Path
    name: str
    patient: str
    shape: tuple[int, int]
    spacing: float | None
    uid: str = ""
    series: str = ""
    corner: npt.NDArray[np.float64] | None = None

    @property
    def height(self) -> float:
        """Millimetres along the normal of the slice; 0 where they are not known."""
        if self.corner is None:
            return 0.0
        return float(np.dot(np.cross(self.corner[1], self.corner[2]), self.corner[0]))


class Slices:
    """All images below a folder, or one; found by their path below it, their file name or their SOPInstanceUID."""

    def __init__(self, root: Path) -> None:
        if root.is_file():
            files, home = [root], root.parent
        elif root.is_dir():
            files, home = images_in(root, deep=True), root
        else:
            raise DataError(f"{root}: no such file or folder; expected the images that the annotations are about")
        self.root = root
        self.all = [
            one for path in files if (one := _slice(path, relative(path, home), named=path == root)) is not None
        ]
        if not self.all:
            raise DataError(f"{root}: holds no images; expected DICOM files or pictures")
        self._named: dict[str, list[Slice]] = defaultdict(list)
        for one in self.all:
            for name in dict.fromkeys((one.name, one.path.name, one.path.stem, one.uid)):
                if name:
                    self._named[name].append(one)

    def find(self, name: str, where: str) -> Slice:
        """The image of that name.

        Raises:
            DataError: none, or several; `where` says who asks.
        """
        plain = name.strip().replace("\\", "/").removeprefix("./")
        found = self._named.get(plain) or self._named.get(plain.rsplit("/", 1)[-1]) or []
        if len(found) == 1:
            return found[0]
        what = f"{len(found)} images below {self.root} have that name" if found else f"no such image below {self.root}"
        raise DataError(
            f"{where}: image {name!r}: {what}; expected a path below it, a file name that is there once or a "
            "SOPInstanceUID"
        )

    def series(self) -> list[list[Slice]]:
        """The images by series (DICOM) or folder, each in order."""
        found: dict[tuple[str, str], list[Slice]] = defaultdict(list)
        for one in self.all:
            found[one.series, "" if one.series else str(one.path.parent)].append(one)
        return [sorted(some, key=lambda one: (one.height, one.name)) for _, some in sorted(found.items())]


def _slice(path: Path, name: str, named: bool) -> Slice | None:
    """An image; None for a volume or an array in a folder of images, which no line of a table can be about."""
    kind = format_of_file(path)
    if kind == DICOM:
        return _dicom(path, name)
    if kind in (NIFTI, NPY) and not named:
        return None
    folder = name.split("/")[0] if "/" in name else ""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                width, height = image.size
    except Exception as error:
        raise DataError(f"{path}: no readable image ({type(error).__name__}); remove it or copy it again") from error
    return Slice(path, name, folder, (height, width), None)


def _dicom(path: Path, name: str) -> Slice | None:
    """A slice; None for a DICOM file without pixels or with a segmentation in it."""
    from desali.data.formats.dicom_file import read_header
    from desali.data.formats.dicom_tags import of_frame

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = read_header(path, [*TAGS, "Modality"])
            if data.get("Modality") == "SEG" or not data.get("Rows"):
                return None
            frames = int(data.get("NumberOfFrames") or 1)
            shape = int(data.Rows), int(data.Columns)
            spacing = of_frame(data, 0, "PixelMeasuresSequence", "PixelSpacing")
            sides = None if spacing is None else [float(value) for value in spacing]
            corner = _corner(data)
        except Exception as error:
            raise DataError(f"{path}: DICOM whose tags cannot be read ({type(error).__name__}); export it") from error
    if frames > 1:
        raise DataError(f"{path}: holds {frames} frames; a table names files with one, export the slices one by one")
    if sides is not None and (len(sides) != 2 or min(sides) <= 0 or not np.isfinite(sides).all()):
        raise DataError(f"{path}: PixelSpacing is {sides}, expected two millimetres above 0; export the file again")
    if sides is not None and abs(sides[0] - sides[1]) > SQUARE * max(sides):
        raise DataError(
            f"{path}: its pixels are {sides[0]:g} x {sides[1]:g} mm, not square; resample the series before"
        )
    patient = patient_of(data.get("PatientID"))
    uid, series = str(data.get("SOPInstanceUID") or ""), str(data.get("SeriesInstanceUID") or "")
    return Slice(path, name, patient, shape, None if sides is None else sides[0], uid, series, corner)


def _corner(data: Any) -> npt.NDArray[np.float64] | None:
    position, directions = data.get("ImagePositionPatient"), data.get("ImageOrientationPatient")
    if position is None or directions is None or len(position) != 3 or len(directions) != 6:
        return None
    return np.array([*map(float, position), *map(float, directions)]).reshape(3, 3)
