"""Image folders: the class is a sub-folder; patients by a folder level or by a regular expression."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from desali.data.formats.recognise import BMP, JPEG, PNG, TIFF, format_of_file
from desali.data.readers.listing import (
    NO_PATIENTS,
    PICTURES,
    SPLITS,
    Item,
    Listing,
    contents,
    folders_in,
    label_of,
    litter,
    need_folder,
    relative,
)
from desali.errors import DataError
from desali.input.patterns import search_all

EXPECTED = "a folder with one sub-folder of images per class"
OPENED = 8
"""Files without a suffix that detection looks into."""


def claims(root: Path) -> bool:
    """A folder with a sub-folder that holds pictures, perhaps below parts and patients."""
    return root.is_dir() and any(_holds_pictures(root, depth) for depth in (1, 2, 3))


def _holds_pictures(root: Path, depth: int) -> bool:
    """Whether there is a picture so many folders below; of files whose names say nothing, a few are opened."""
    opened = 0
    for path in root.glob("/".join("*" * (depth + 1))):
        if path.name.startswith(".") or any(litter(part) for part in path.relative_to(root).parts):
            continue
        if path.suffix.lower() in PICTURES:
            return True
        if not path.suffix and opened < OPENED:
            opened += 1
            if format_of_file(path) in (PNG, JPEG, BMP, TIFF):
                return True
    return False


def find(root: Path, patient: str = "none") -> Listing:
    """List the images of an image folder.

    Args:
        patient: "none", "folder", or a regular expression (see `READERS`).

    Raises:
        DataError: no classes, images beside the class folders, sub-folders of unstated meaning, a bad regular
            expression, or a path that it does not match.
    """
    need_folder(root, EXPECTED)
    named = patient in ("none", "folder")
    if not named:
        search_all(patient, (), "patient", "patient", DataError)  # a bad one is said before the layout
    parts = _parts(root)
    items: list[Item] = []
    labels: dict[str, None] = {}
    passed: list[Path] = []
    if parts[0][1] != root:
        passed += contents(root)[1]
    for split, home in parts:
        loose, others = contents(home)
        passed += others
        if loose:
            raise DataError(f"{loose[0]}: lies beside the class folders; expected {EXPECTED}, move it into one")
        seen: dict[str, Path] = {}
        for folder in folders_in(home):
            label = label_of(folder.name)
            if label in seen:
                raise DataError(
                    f"{folder}: the class {label!r} has two folders, the other is {seen[label]}; spaces around the "
                    "name do not count, put the images into one of them"
                )
            labels[label], seen[label] = None, folder
            images, others = contents(folder, deep=True)
            items += _class(root, folder, images, label, split, patient)
            passed += others
    if not labels:
        raise DataError(f"{root}: holds no sub-folders; expected {EXPECTED}")
    if not named:
        items = _owned(patient, items)
    said = NO_PATIENTS if patient == "none" else f"patients by {'sub-folder' if named else 'file name'}"
    return Listing(
        name=root.resolve().name,
        items=items,
        labels=tuple(sorted(labels)),
        kind="image folder",
        patients=said,
        unit_of_split="image" if patient == "none" else "patient",
        passed=tuple(relative(path, root) for path in passed),
    )


def _parts(root: Path) -> list[tuple[str, Path]]:
    """The parts of the set: (split, folder); one without a name if the sub-folders are classes."""
    folders = folders_in(root)
    if folders and all(folder.name.lower() in SPLITS for folder in folders):
        return [(SPLITS[folder.name.lower()], folder) for folder in folders]
    return [("", root)]


def _class(root: Path, folder: Path, images: list[Path], label: str, split: str, patient: str) -> list[Item]:
    if patient == "folder":
        loose = [path for path in images if path.parent == folder]
        if loose:
            raise DataError(f"{loose[0]}: lies beside the patient folders; with patient=folder every image is in one")
        owners = [(path, path.relative_to(folder).parts[0]) for path in images]
        return [Item(path, relative(path, root), label, owner, split) for path, owner in owners]
    if patient == "none":
        nested = [path.relative_to(folder).parts[0] for path in images if path.parent != folder]
        if nested:
            raise DataError(
                f"{folder / nested[0]}: a folder inside a class; say patient=folder if these are patients, "
                "or patient=REGEXP to find them in the path"
            )
    items = []
    for path in images:
        name = relative(path, root)
        items.append(Item(path, name, label, name, split))
    return items


def _owned(patient: str, items: list[Item]) -> list[Item]:
    """The items with the patient that the regular expression finds in each one's path."""
    owners = search_all(patient, [item.name for item in items], "patient", "patient", DataError)
    for item, owner in zip(items, owners, strict=True):
        if not owner:
            raise DataError(f"{item.path}: patient={patient} finds no patient in {item.name!r}; correct the expression")
    return [replace(item, patient=owner) for item, owner in zip(items, owners, strict=True)]
