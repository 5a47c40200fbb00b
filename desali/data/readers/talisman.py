"""Talisman: 32 x 32 patches of interstitial lung disease, 16-bit TIFF in Hounsfield units."""

from __future__ import annotations

import re
from pathlib import Path

from desali.data.readers.listing import Item, Listing, images_in, need_folder, relative
from desali.errors import DataError

NAME = re.compile(r"(?P<label>.+)_patch(?P<patch>\d+)_patient(?P<patient>-?\d+)_(?P<k>\d+)", re.IGNORECASE)
UNKNOWN = -1
"""The patient number that means: not known."""
TIFF = (".tif", ".tiff")


def claims(root: Path) -> bool:
    """A folder with at least one file of the name, in it or one level below."""
    return root.is_dir() and any(
        path.suffix.lower() in TIFF and NAME.fullmatch(path.stem) for glob in ("*", "*/*") for path in root.glob(glob)
    )


def find(root: Path) -> Listing:
    """List the patches, wherever they lie below `root`.

    Raises:
        DataError: no file of that name.
    """
    expected = "TIFF files called CLASS_patchN_patientID_K.tif"
    need_folder(root, expected)
    items, strays = [], []
    for path in images_in(root, TIFF, deep=True):
        match = NAME.fullmatch(path.stem)
        if match is None:
            strays.append(relative(path, root))
            continue
        number = int(match["patient"])
        patient = None if number == UNKNOWN else f"patient{number}"
        items.append(Item(path, relative(path, root), match["label"], patient))
    if not items:
        raise DataError(f"{root}: holds no file of that format; expected {expected}")
    return Listing(
        name="talisman",
        items=items,
        labels=tuple(sorted({item.label for item in items})),
        kind="Talisman ILD patches",
        patients="patients by file name",
        colour=False,
        strays=tuple(strays),
    )
