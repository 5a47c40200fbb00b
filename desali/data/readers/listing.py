"""What a reader finds before anything is decoded: one `Item` an image, and what the layout says about them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from desali.data.imageset import UnitOfSplit
from desali.errors import DataError
from desali.input.files import read_text

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
IMAGES = (*PICTURES, ".dcm")
SPLITS = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
          "validation": "validation", "test": "test", "evaluation": "test"}  # fmt: skip
"""Names of parts as data sets write them, and what desali calls them."""


@dataclass(frozen=True)
class Item:
    """One image of a data set.

    Attributes:
        path: the file that holds it.
        name: the file relative to the data set, with box or row: what messages and `ImageSet.sources` say.
        label: the label as the data set writes it.
        patient: whom (or what) it belongs to; None where the data set does not know.
        split: "train", "validation", "test", or "" where the data set states none.
        box: (y, x, size) in pixels, or None for the whole image.
        row: the index into an array file, or None for an image file.
    """

    path: Path
    name: str
    label: str
    patient: str | None
    split: str = ""
    box: tuple[int, int, int] | None = None
    row: int | None = None


@dataclass(frozen=True)
class Listing:
    """What a reader found.

    Attributes:
        name: of the data set, short.
        items: the images, in an order that depends on the data set alone.
        labels: every label that the layout declares, with images or without, in the data set's order.
        kind: what the images are, for a figure's record, e.g. "image folder".
        patients: what the patients are, in words.
        unit_of_split: what an item's `patient` is, see `ImageSet`.
        colour: True or False where the format is known to be in colour or grey; None to find out.
        array_key: the key in the array file that `Item.row` points into; "" for none.
        strays: files that look as if they belong to the set and do not fit its format.
        notes: facts that the reader of a figure needs.
        salt: fingerprint of the salt of the patients' pseudonyms; "" where patients are named as the data set does.
    """

    name: str
    items: Sequence[Item]
    labels: tuple[str, ...]
    kind: str
    patients: str
    unit_of_split: UnitOfSplit = "patient"
    colour: bool | None = None
    array_key: str = ""
    strays: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    salt: str = ""


NO_PATIENTS = "no patients stated: every image stands for itself"


def folders_in(folder: Path) -> list[Path]:
    """The visible folders in a folder, by name."""
    return sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith((".", "__MACOSX")))


def images_in(folder: Path, suffixes: tuple[str, ...] = IMAGES, *, deep: bool = False) -> list[Path]:
    """The image files in a folder (with `deep`, and below it), by name."""
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(
        one for one in found if one.suffix.lower() in suffixes and not one.name.startswith(".") and one.is_file()
    )


def relative(path: Path, root: Path) -> str:
    """The path relative to the data set, with forward slashes; the path itself where it lies outside."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def need_folder(root: Path, expected: str) -> None:
    """Raise a DataError that says what was expected, unless `root` is a folder."""
    if not root.is_dir():
        what = "is a file" if root.exists() else "no such folder"
        raise DataError(f"{root}: {what}; expected {expected}")


def read_lines(path: Path, expected: str) -> list[str]:
    """The lines of a UTF-8 text file.

    Raises:
        DataError: missing or not readable as text; `expected` says what it should be.
    """
    return read_text(path, expected, DataError).splitlines()
