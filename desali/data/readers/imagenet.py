"""ILSVRC2012: training folders by WordNet id, a flat validation folder with the development kit's ground truth.

Russakovsky et al., "ImageNet large scale visual recognition challenge", IJCV 115(3), 2015.
"""

from __future__ import annotations

import re
from pathlib import Path

from desali.data.readers.listing import NO_PATIENTS, Item, Listing, folders_in, images_in, read_lines, relative
from desali.data.readers.synsets import read_meta
from desali.errors import DataError
from desali.input.files import at_home
from desali.input.values import one_line

WNID = re.compile(r"n\d{8}")
VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})")
VALIDATION_FOLDERS = ("val", "validation", "ILSVRC2012_img_val")
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
SYNSETS = "meta.mat"
EXPECTED = "train/WNID/*.JPEG, or a validation folder (val) with the devkit"


def claims(root: Path) -> bool:
    """`train` with a folder called like a WordNet id, or a flat or sorted validation folder."""
    if not root.is_dir():
        return False
    home = _validation(root)
    return any(WNID.fullmatch(one.name) for one in _training(root)) or (
        home is not None and any(VALIDATION.match(one.name) or WNID.fullmatch(one.name) for one in home.iterdir())
    )


def find(root: Path, ground_truth: str = "", synsets: str = "") -> Listing:
    """List training and validation images; classes are WordNet ids, in alphabetical order, as networks number them.

    Raises:
        DataError: neither part is there, the devkit's files are missing or damaged, or name no class for an image.
    """
    home = _validation(root) if root.is_dir() else None
    if not root.is_dir() or (home is None and not _training(root)):
        raise DataError(f"{root}: not the layout of ILSVRC2012; expected {EXPECTED}")
    items, strays = [], []
    labels: dict[str, None] = {}
    for folder in _training(root):
        if WNID.fullmatch(folder.name) is None:
            strays.append(relative(folder, root))
            continue
        labels[folder.name] = None
        for path in images_in(folder):
            items.append(Item(path, relative(path, root), folder.name, relative(path, root), "train"))
    if home is not None:
        for path, label in _validation_labels(root, home, ground_truth, synsets):
            labels.setdefault(label, None)
            items.append(Item(path, relative(path, root), label, relative(path, root), "validation"))
    return Listing(
        name="ilsvrc2012",
        items=items,
        labels=tuple(sorted(labels)),
        kind="ILSVRC2012",
        patients=NO_PATIENTS,
        unit_of_split="image",
        colour=True,
        strays=tuple(strays),
    )


def _training(root: Path) -> list[Path]:
    return folders_in(root / "train") if (root / "train").is_dir() else []


def _validation(root: Path) -> Path | None:
    return next((root / name for name in VALIDATION_FOLDERS if (root / name).is_dir()), None)


def _validation_labels(root: Path, home: Path, ground_truth: str, synsets: str) -> list[tuple[Path, str]]:
    sorted_folders = [one for one in folders_in(home) if WNID.fullmatch(one.name)]
    if sorted_folders:  # as many tools leave it
        return [(path, folder.name) for folder in sorted_folders for path in images_in(folder)]
    truth = _devkit_file(root, ground_truth, GROUND_TRUTH, "ground_truth")
    ids = _whole_numbers(truth)
    names = _names(_devkit_file(root, synsets, SYNSETS, "synsets"))
    result = []
    for path in images_in(home):
        match = VALIDATION.fullmatch(path.stem)
        number = int(match.group(1)) if match else 0
        if not 1 <= number <= len(ids):
            raise DataError(
                f"{path}: has no line among the {len(ids)} of {truth.name}; expected ILSVRC2012_val_00000001.JPEG, ..."
            )
        if ids[number - 1] not in names:
            raise DataError(f"{truth}: line {number} is id {ids[number - 1]}, which the synsets do not name")
        result.append((path, names[ids[number - 1]]))
    return result


def _devkit_file(root: Path, given: str, name: str, option: str) -> Path:
    if given:
        path = at_home(given)
        if not path.is_file():
            raise DataError(f"{option}={given}: no such file; expected the devkit's {name}")
        return path
    for pattern in (name, f"data/{name}", f"*devkit*/{name}", f"*devkit*/data/{name}"):
        found = sorted(root.glob(pattern))
        if found:
            return found[0]
    raise DataError(f"{root}: the validation images need the devkit's {name}, not found; pass {option}=FILE")


def _whole_numbers(path: Path) -> list[int]:
    lines = read_lines(path, "one ILSVRC2012 id on each line")
    try:
        return [int(line[:20]) for line in lines if line.strip()]
    except ValueError as error:
        raise DataError(f"{path}: {one_line(error)}; expected one ILSVRC2012 id (1, 2, ...) on each line") from error


def _names(path: Path) -> dict[int, str]:
    """ILSVRC2012 id -> WordNet id, of the leaves; from the devkit's meta.mat or from lines "ID WNID ..."."""
    expected = "the devkit's meta.mat, or lines ID WNID"
    if path.suffix.lower() == ".mat":
        return read_meta(path, expected)
    try:
        pairs = [line.replace(",", " ").split() for line in read_lines(path, expected) if line.strip()]
        return {int(pair[0][:20]): pair[1] for pair in pairs}
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: not a list of synsets ({one_line(error)}); expected {expected}") from error
