"""The formats that desali reads, as data; a reader's module is imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desali.errors import DataError, UnknownNameError, look_up
from desali.input.files import at_home, exists

if TYPE_CHECKING:
    from desali.data.readers.listing import Listing


@dataclass(frozen=True)
class Reader:
    """A format.

    Its module `desali.data.readers.<module>` has `find(root, **options) -> Listing`, which reads no pixels, and
    `claims(root) -> bool`, which looks at names alone.

    Attributes:
        name: as it stands before the colon of a specification.
        title: the format in words.
        layout: what lies where, in one line.
        options: options of this reader and what they mean; values are text.
        general: detection asks this reader only if no special one claims the path.
    """

    name: str
    title: str
    layout: str
    module: str
    options: dict[str, str]
    general: bool = False

    def find(self, root: Path, **options: str) -> Listing:
        """List the images under `root`.

        Raises:
            UnknownNameError: an option that this reader does not have. DataError: the layout is not as expected.
        """
        for name in options:
            if name not in self.options:
                raise UnknownNameError(f"option of the reader {self.name}", name, self.options or ("none",))
        listing: Listing = self._load().find(root, **options)
        return listing

    def claims(self, root: Path) -> bool:
        """Whether the names under `root` look like this format."""
        return bool(self._load().claims(root))

    def _load(self) -> Any:
        return importlib.import_module(f"desali.data.readers.{self.module}")


def could_say(reader: str, options: Mapping[str, Any]) -> str:
    """The option by which a reader is told whose the images are; "" if it has none, or is told that each is its own.

    Args:
        reader: its name; an unknown one has no such option.
        options: that it was given.
    """
    if options.get("patient") == "none":  # said on purpose, for photos and materials
        return ""
    known = next((one.options for one in _READERS if one.name == reader), {})
    return next((name for name in ("patient", "patient_column") if name in known), "")


_PATIENT = (
    '"none" (the default: every image stands for itself), "folder" (the level below the class), or a regular '
    'expression whose first group, or group "patient", is the patient, searched in the path below the data set'
)
_READERS = (
    Reader(
        "folder", "image folder", "PATH/[train|validation|test/]CLASS/[PATIENT/]IMAGE", "folder",
        {"patient": _PATIENT}, general=True,
    ),
    Reader(
        "imagenet", "ILSVRC2012", "PATH/train/WNID/*.JPEG and PATH/val/ILSVRC2012_val_*.JPEG", "imagenet",
        {
            "ground_truth": "the devkit's validation ground truth, a text file; default: looked for under PATH",
            "synsets": "ILSVRC2012 id to wnid: the devkit's meta.mat, or a text file with lines ID WNID",
        },
    ),
    Reader("curet", "CUReT", "PATH/sampleNN/NN-VVV.bmp (or .png), also below curetgrey or curetcol", "curet", {}),
    Reader(
        "table", "ROI table", "PATH.csv or PATH.parquet: path, label, patient, optional box and split", "table",
        {
            "path_column": "default path",
            "label_column": "default label",
            "patient_column": 'default patient; "none" if no patients are known (every image stands for itself)',
            "split_column": 'default split, if there is one; "none" to ignore it',
            "box_column": 'default box ("y,x,size"), else y, x and size, if they are there; "none" to ignore them',
            "array": "FILE.npz:KEY (relative to the table): images are rows of that array instead of files",
            "page_column": 'default page, if there is one: the page, slice or frame of a file with several; "none" to '
            "ignore it",
            "row_column": "column with the row of `array`; default: line i of the table is row i",
        },
    ),
    Reader("talisman", "Talisman ILD patches", "PATH/CLASS_patchN_patientID_K.tif, 32 x 32, HU", "talisman", {}),
    Reader(
        "medgift", "MedGIFT ILD", "PATH/PATIENT/CT-*.dcm and CT-*.txt with contours in mm", "medgift",
        {
            "window": "side of the square windows cut from contours, in pixels; default 32",
            "stride": "distance between windows, in pixels; default: the side, so that they do not overlap",
            "inside": "least share of a window's pixels inside the contour, in (0, 1]; default 0.75",
        },
    ),
    Reader(
        "emphysema", "CT Emphysema Database", "PATH/patches/patchN.tiff, patch_labels.csv, patch_subjects.csv",
        "emphysema", {},
    ),
    Reader(
        "dicom", "DICOM series", "PATH/[CLASS/]**/*.dcm; the patient is the file's PatientID", "dicom_series",
        {"label": '"folder" (the default: the first folder below PATH) or the keyword of a DICOM attribute'},
        general=True,
    ),
)  # fmt: skip
READERS: dict[str, Reader] = {reader.name: reader for reader in _READERS}


def resolve(spec: str) -> tuple[Reader, Path, dict[str, str]]:
    """A specification as reader, path and options.

    It is "reader:PATH" or a bare PATH, whose format is detected, with "?option=value&option=value" behind it or not.

    Raises:
        UnknownNameError: no such reader. DataError: no such path, no format fits, or several do.
    """
    text, options = _options(spec)
    head, colon, tail = text.partition(":")
    if colon and not exists(text) and (len(head) > 1 or not Path(tail).is_absolute()):
        reader = look_up("reader", head, READERS)
        return reader, _existing(tail, spec), options
    root = _existing(text, spec)
    return detect(root), root, options


def detect(root: Path) -> Reader:
    """The reader whose layout `root` has, by names alone.

    Raises:
        DataError: none fits, or several do; the message lists them.
    """
    for general in (False, True):
        found = [reader for reader in READERS.values() if reader.general == general and reader.claims(root)]
        if len(found) == 1:
            return found[0]
        if found:
            candidates = " or ".join(f"{reader.name}:{root}" for reader in found)
            raise DataError(f"{root}: fits several formats; say which one is meant: {candidates}")
    raise DataError(
        f"{root}: no known format fits; expected one of {', '.join(READERS)} (`desali data readers` shows the "
        "layouts); name it, for instance folder:PATH"
    )


def _options(spec: str) -> tuple[str, dict[str, str]]:
    text, mark, query = spec.partition("?")
    if not mark or exists(spec):
        return spec, {}
    options = {}
    for part in query.split("&"):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise DataError(f"{spec}: {part!r} is no option; expected ?name=value&name=value behind the path")
        options[key] = value
    return text, options


def _existing(text: str, spec: str) -> Path:
    if not text:
        raise DataError(f"{spec!r}: names no path; expected READER:PATH or PATH")
    root = at_home(text)
    if not exists(root):
        raise DataError(f"{root}: no such file or folder; check the path")
    return root
