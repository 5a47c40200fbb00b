"""A labelled set of images, in memory or mapped from a file, with the patients that splits keep together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from desali.errors import DataError
from desali.output import summary

Unit = Literal["hu", "uint8"]
UnitOfSplit = Literal["patient", "view", "sample", "image"]
BLOCK = 1024
"""Images that are hashed at a time."""
COUNTED = 100_000
"""Up to so many images, the patients are counted to show the set."""


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images with labels and patients.

    Attributes:
        name: short name, e.g. "synthetic-target".
        images: uint8 [n, h, w, 3] (colour), uint8 [n, h, w] (grey) or int16 [n, h, w] (Hounsfield units).
        labels: int64 [n], an index into `classes`.
        patients: str [n]; whom each image is of. Images of one patient never stand on both sides of a split. In a set
            without patients it is what takes their place, and `unit_of_split` says what that is.
        classes: class names.
        unit: "hu" for Hounsfield units, "uint8" for display values 0-255.
        origin: where the images come from, in words a reader of a figure needs ("synthetic", "proxy labels", ...).
        parameters: what generated or read the set, enough to make it again (JSON-serialisable).
        sources: str [n]; the file (and box or row) that each image was read from; None for images that were generated.
        splits: str [n]; the part that the data set itself puts each image in ("train", "validation", "test"; "" for
            none); None where it states no parts.
        unit_of_split: what `patients` are and a split keeps together: "patient", or "view", "sample" or "image" (every
            image by itself) of a set that has no patients.
    """

    name: str
    images: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    patients: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    unit: Unit
    origin: str
    parameters: dict[str, Any]
    sources: npt.NDArray[np.str_] | None = None
    splits: npt.NDArray[np.str_] | None = None
    unit_of_split: UnitOfSplit = "patient"

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.labels.shape != (n,) or self.patients.shape != (n,):
            raise DataError(
                f"{self.name}: labels and patients must have shape [{n}], "
                f"got {list(self.labels.shape)} and {list(self.patients.shape)}"
            )
        for name in ("sources", "splits"):
            value = getattr(self, name)
            if value is not None and value.shape != (n,):
                raise DataError(f"{self.name}: {name} must have shape [{n}], got {list(value.shape)}")
        expected = np.int16 if self.unit == "hu" else np.uint8
        if self.images.dtype != expected:
            raise DataError(f"{self.name}: images in {self.unit} must be {np.dtype(expected)}, got {self.images.dtype}")
        if n and (int(self.labels.min()) < 0 or int(self.labels.max()) >= len(self.classes)):
            raise DataError(f"{self.name}: labels must lie in [0, {len(self.classes)})")

    def __len__(self) -> int:
        return len(self.images)

    def _facts(self) -> summary.Facts:
        counted = len(set(self.patients.tolist())) if len(self) <= COUNTED else 0
        return [
            ("images", f"{len(self)} x [{summary.shape(self.images.shape[1:])}]"),
            ("pixels in", "Hounsfield units" if self.unit == "hu" else self.unit),
            ("classes", str(len(self.classes))),
            (f"{self.unit_of_split}s", str(counted or "")),
            ("held", summary.size(self.images.nbytes)),
        ]

    def __repr__(self) -> str:
        return summary.line("ImageSet", self.name, self._facts())

    def _repr_html_(self) -> str:
        counts = np.bincount(self.labels, minlength=len(self.classes))
        found = [f"{name} {count}" for name, count in zip(self.classes, counts, strict=True)]
        return summary.table(
            "ImageSet", self.name, [*self._facts(), ("a class", summary.names(found)), ("origin", self.origin)]
        )

    def hashes(self) -> list[str]:
        """SHA-256 of each image's pixels [n], whatever else is in the set."""
        return [pixel_hash(image) for image in self.images]

    def subset(self, index: npt.NDArray[Any], name: str | None = None) -> ImageSet:
        """The images at `index` (integers or a boolean mask), in that order."""
        return ImageSet(
            name or self.name,
            self.images[index],
            self.labels[index],
            self.patients[index],
            self.classes,
            self.unit,
            self.origin,
            self.parameters,
            None if self.sources is None else self.sources[index],
            None if self.splits is None else self.splits[index],
            self.unit_of_split,
        )

    @property
    def independent(self) -> bool:
        """Whether what stands in `patients` are independent units, see `independent`."""
        return independent(self.unit_of_split, self.parameters)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over pixels, labels, patients and class names."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels):
            digest.update(str((array.dtype.str, array.shape)).encode())
            for start in range(0, len(array), BLOCK):  # in parts: the images may be a file larger than the memory
                digest.update(np.ascontiguousarray(array[start : start + BLOCK]).tobytes())
        digest.update("\0".join([*self.classes, "", *map(str, self.patients)]).encode())
        return digest.hexdigest()


def independent(unit_of_split: str, parameters: Mapping[str, Any]) -> bool:
    """Whether the units that a split keeps together are independent, as far as a set says whose its images are.

    Patients, views and samples are. Images that stand for themselves are so where that is known: generated ones,
    formats of photos, and sets of which the user says so (`patient=none`). Of a folder or a table that merely states no
    patients several images may be of one.

    Args:
        unit_of_split, parameters: of an `ImageSet`, or as a card keeps them.
    """
    from desali.data.readers.registry import could_say

    if unit_of_split != "image" or "domain" in parameters:
        return True
    options = parameters.get("options")
    reader = parameters.get("reader")
    return reader is not None and not could_say(str(reader), options if isinstance(options, Mapping) else {})


def pixel_hash(pixels: npt.NDArray[Any]) -> str:
    """SHA-256 over an image's pixels, their type and their shape; of grey stored in three equal channels, of one."""
    array = np.ascontiguousarray(pixels)
    if array.ndim == 3 and array.shape[-1] == 3 and bool((array == array[..., :1]).all()):
        array = np.ascontiguousarray(array[..., 0])  # a set with colour images holds its grey ones so
    return hashlib.sha256(f"{array.dtype.str} {array.shape}".encode() + array.tobytes()).hexdigest()
