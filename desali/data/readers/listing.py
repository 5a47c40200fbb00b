"""What a reader finds before anything is decoded: one `Item` an image, and what the layout says about them all."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from desali.data.formats.recognise import is_image
from desali.data.imageset import UnitOfSplit
from desali.errors import DataError
from desali.input.files import read_text

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
NAMED = 5
"""Files that a line on files which were passed over names."""
LITTER = frozenset({
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin",
    "system volume information", "lost+found", ".ds_store", ".localized", ".trash", ".trashes", ".fseventsd",
    ".spotlight-v100", ".temporaryitems", ".documentrevisions-v100", ".apdisk", ".appledouble", ".directory",
    ".thumbnails", ".xvpics", ".git", ".svn", ".hg", ".bzr", ".dvc", ".cache", ".ipynb_checkpoints", ".idea", ".vscode",
    ".venv", "__pycache__", ".desali",
})  # fmt: skip
"""Files and folders that other programs leave behind, in small letters."""
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
        page: the page, slice or frame of a file with several, from 1; None for a file with one image.
        side: pixels that the box is resampled to, so that boxes of one length in millimetres have one size; None to
            leave it.
    """

    path: Path
    name: str
    label: str
    patient: str | None
    split: str = ""
    box: tuple[int, int, int] | None = None
    row: int | None = None
    page: int | None = None
    side: int | None = None


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
        passed: files that are no images, which nobody reads; hidden files of other programs are not counted.
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
    passed: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    salt: str = ""


NO_PATIENTS = "no patients stated: every image stands for itself"


def litter(name: str) -> bool:
    """Whether a file or folder of that name is one that another system or program leaves behind."""
    return name.lower() in LITTER or name.startswith(("._", ".trash-", ".~lock", "~$"))


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, by name: all but what other programs leave behind."""
    return sorted(one for one in folder.iterdir() if one.is_dir() and not litter(one.name))


def files_in(folder: Path, *, deep: bool = False) -> list[Path]:
    """Whatever is no folder in a folder (with `deep`, and below, through links too), by name, but for hidden files."""
    return sorted(_files(folder, deep, set()))


def _files(folder: Path, deep: bool, above: set[str]) -> Iterator[Path]:
    own = os.path.realpath(folder)
    if own in above:  # a link to a folder above
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if litter(entry.name):
                continue
            if entry.is_dir():
                if deep:
                    yield from _files(folder / entry.name, deep, above | {own})
            elif not entry.name.startswith("."):
                yield folder / entry.name


def contents(folder: Path, *, deep: bool = False) -> tuple[list[Path], list[Path]]:
    """The image files in a folder (with `deep`, and below it), and the files that are passed over, by name.

    A file is an image by its content; one that is called like an image and is none stays among them, so that whoever
    reads it says what is wrong with it.
    """
    images: list[Path] = []
    others: list[Path] = []
    for one in files_in(folder, deep=deep):
        (images if is_image(one) else others).append(one)
    return images, others


def images_in(folder: Path, suffixes: tuple[str, ...] | None = None, *, deep: bool = False) -> list[Path]:
    """The image files in a folder (with `deep`, and below it), by name; or the files with one of the suffixes."""
    if suffixes is None:
        return contents(folder, deep=deep)[0]
    return [one for one in files_in(folder, deep=deep) if one.suffix.lower() in suffixes and one.is_file()]


def passed_words(passed: Sequence[str]) -> str:
    """A line on files that were passed over; "" for none."""
    if not passed:
        return ""
    shown = ", ".join(name if name.isprintable() else ascii(name) for name in passed[:NAMED])
    more = f", and {len(passed) - NAMED} more" if len(passed) > NAMED else ""
    one = len(passed) == 1
    return f"{len(passed)} file{' is' if one else 's are'} passed over, no image{'' if one else 's'}: {shown}{more}"


def label_of(name: str) -> str:
    """The class that a folder is called by: without the spaces around it, accents in one form (NFC).

    Two systems write one name in two ways, and both are the same class.
    """
    return unicodedata.normalize("NFC", name).strip()


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
