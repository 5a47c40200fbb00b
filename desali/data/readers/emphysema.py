"""Computed Tomography Emphysema Database: 168 patches of 61 x 61 pixels.

Sørensen, Shaker and de Bruijne, "Quantitative analysis of pulmonary emphysema using local binary patterns", IEEE TMI
29(2), 2010.
"""

from __future__ import annotations

import re
from pathlib import Path

from desali.data.readers.listing import Item, Listing, images_in, need_folder, read_lines, relative
from desali.errors import DataError

WORDS = {"NT": "normal tissue", "CLE": "centrilobular emphysema", "PSE": "paraseptal emphysema"}
LABELS = dict(zip(("1", "2", "3"), WORDS, strict=True))
PATCH = re.compile(r"patch(\d+)", re.IGNORECASE)
TABLES = ("patch_labels.csv", "patch_subjects.csv")


def claims(root: Path) -> bool:
    """The folder `patches` and both tables."""
    return (root / "patches").is_dir() and all((root / name).is_file() for name in TABLES)


def find(root: Path) -> Listing:
    """List the patches; patch N belongs to the N-th value of either table.

    Raises:
        DataError: a table is missing, has another length than there are patches, or a label that is not 1, 2 or 3.
    """
    need_folder(root, "the folder that holds patches, patch_labels.csv and patch_subjects.csv")
    need_folder(root / "patches", "the folder of patchN.tiff")
    labels, subjects = (_values(root / name) for name in TABLES)
    numbered, strays = {}, []
    for path in images_in(root / "patches", (".tif", ".tiff")):
        match = PATCH.fullmatch(path.stem)
        if match is None:
            strays.append(relative(path, root))
        else:
            numbered[int(match.group(1))] = path
    if not len(numbered) == len(labels) == len(subjects) or sorted(numbered) != list(range(1, len(labels) + 1)):
        raise DataError(
            f"{root}: {len(numbered)} patches, {len(labels)} labels and {len(subjects)} subjects; "
            "expected patch1.tiff, patch2.tiff, ... and one value for each in both tables"
        )
    for number, label in enumerate(labels, start=1):
        if label not in LABELS:
            raise DataError(f"{root / TABLES[0]}: value {number} is {label!r}; expected 1 (NT), 2 (CLE) or 3 (PSE)")
    return Listing(
        name="emphysema",
        items=[
            Item(
                numbered[number],
                relative(numbered[number], root),
                LABELS[labels[number - 1]],
                f"subject{subjects[number - 1]}",
            )
            for number in sorted(numbered)
        ],
        labels=tuple(LABELS.values()),
        kind="CT Emphysema Database",
        patients="patients by patch_subjects.csv",
        colour=False,
        strays=tuple(strays),
    )


def _values(path: Path) -> list[str]:
    """The numbers of a headerless table, in reading order, as whole numbers in text."""
    lines = read_lines(path, "a table of numbers without a header")
    cells = [cell.strip() for line in lines for cell in line.replace(";", ",").split(",") if cell.strip()]
    try:
        numbers = [int(float(cell)) for cell in cells]
        if any(abs(number) >= 2**53 for number in numbers):
            raise ValueError
        return [str(number) for number in numbers]
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: holds something that is no number; expected numbers without a header") from error
