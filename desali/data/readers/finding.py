"""From a specification to a listing and the images of it that are meant; nothing is decoded, nothing listed twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from desali.data.preprocess import RESIZES
from desali.data.readers.listing import Listing
from desali.data.readers.registry import Reader, resolve
from desali.data.readers.selection import Selection, select
from desali.errors import DataError, DesaliError, UnknownNameError

COMMON_OPTIONS = {
    "split": "train, validation or test, where the data set states parts; default: all images",
    "size": "display images: resize the shorter side to so many pixels and cut the centre square",
    "resize": "how display images are resized: bicubic (the default) or bilinear",
    "hu_offset": "HU = pixel + offset, for unsigned 16-bit images",
    "labels": "label:class with commas between, a table of labels by name (seven), or a .csv or .json file",
    "leave_out": "labels to leave out, with commas between",
    "classes": "the classes and their order, with commas between; without it, those of the data set",
    "unknown_patients": "together (as one patient, the default) or leave_out",
    "patients": "only the images of these patients, with commas between",
    "leave_out_patients": "all but the images of these patients, with commas between",
    "colour": "true leaves grey images that are stored in colour in colour; default: they are grey",
    "proxy": "if the labels only stand for something: what they are, in words",
}
"""Options of every reader, and what they mean; they may stand in a specification behind "?"."""


Listings = dict[tuple[str, Path, tuple[tuple[str, str], ...]], Listing]
_SELECTING = ("split", "labels", "leave_out", "classes", "unknown_patients", "patients", "leave_out_patients")


@dataclass(frozen=True)
class Found:
    """A specification that was resolved and listed, before anything is decoded.

    Attributes:
        spec: as it was given.
        reader, root: what it names.
        listing: everything that lies there.
        selection: the images that are meant, with their classes and patients.
        options: common ones and the reader's, from the specification and the call.
    """

    spec: str
    reader: Reader
    root: Path
    listing: Listing
    selection: Selection
    options: dict[str, Any]

    def choose(self, **options: Any) -> Found:
        """The same listing with other common options (see `COMMON_OPTIONS`); None counts as not given.

        Raises:
            UnknownNameError: no such option or part. DataError: see `select`.
        """
        for name in options:
            if name not in COMMON_OPTIONS:
                raise UnknownNameError("option", name, COMMON_OPTIONS)
        given = _in_range({**self.options, **{name: value for name, value in options.items() if value is not None}})
        return replace(self, options=given, selection=_selection(self.listing, given))


def find_images(spec: str, *, listings: Listings | None = None, **options: Any) -> Found:
    """Resolve a specification, list its images and give them classes and patients; no pixels are read.

    Args:
        spec: as in `read_images`.
        listings: what was listed before, by reader, path and options; used, and added to. A command that names one data
            set for several domains so lists it once.
        options: the common ones (see `COMMON_OPTIONS`) and the reader's; they win over those in the specification; None
            counts as not given.

    Raises:
        UnknownNameError: no such reader or option. DataError: see `read_images`.
    """
    try:
        reader, root, written = resolve(spec)
    except OSError as error:  # a folder that cannot be looked into, or that goes meanwhile
        if isinstance(error, DesaliError):
            raise
        raise DataError(f"{error.filename or spec}: cannot be read ({error.strerror or error})") from error
    given: dict[str, Any] = {**written, **{name: value for name, value in options.items() if value is not None}}
    for name in given:
        if name not in COMMON_OPTIONS and name not in reader.options:
            raise UnknownNameError(f"option of the reader {reader.name}", name, [*reader.options, *COMMON_OPTIONS])
    given = _in_range(given)
    own = {name: str(value) for name, value in given.items() if name in reader.options}
    listings = {} if listings is None else listings
    key = (reader.name, root.resolve(), tuple(sorted(own.items())))
    if key not in listings:
        try:
            listings[key] = reader.find(root, **own)
        except OSError as error:
            raise DataError(f"{error.filename or root}: cannot be read ({error.strerror or error})") from error
    listing = listings[key]
    return Found(spec, reader, root, listing, _selection(listing, given), given)


def describe(found: Found) -> str:
    """Where the images come from, for the reader of a figure."""
    listing, selection = found.listing, found.selection
    said = [f"{listing.kind} {listing.name!r}"]
    if found.options.get("proxy"):
        said.append(f"PROXY LABELS ({found.options['proxy']})")
    said.append(listing.patients)
    if selection.unknown_patients:
        what = "left out" if found.options.get("unknown_patients") == "leave_out" else "kept together as one patient"
        said.append(f"{selection.unknown_patients} images of unknown patients {what}")
    return "; ".join([*said, *listing.notes])


def refuse(found: Found) -> None:
    """Raise a DataError if the listing cannot be used as it is; what `desali data check` reports, this refuses."""
    listing, selection = found.listing, found.selection
    if selection.unknown_labels:
        counts = ", ".join(f"{label} ({count})" for label, count in sorted(selection.unknown_labels.items()))
        raise DataError(
            f"{found.root}: labels that no class is known for: {counts}; add them to labels=label:class,..., "
            "or leave_out=label,..."
        )
    if not selection.items:
        raise DataError(f"{found.root}: holds no images as {found.reader.name}; expected {found.reader.layout}")
    if selection.empty and "classes" not in found.options:
        raise DataError(
            f"{found.root}: no images of the class {', '.join(selection.empty)}; add some, "
            f"or leave it out with leave_out={','.join(selection.empty)}"
        )
    if selection.shared and found.options.get("split"):
        first = next(iter(selection.shared))
        raise DataError(
            f"{found.root}: {len(selection.shared)} patients are in several parts, such as {first} in "
            f"{' and '.join(selection.shared[first])}; metrics on such a split say too much, correct the split "
            f"of {listing.name}, or read all images and split by patient"
        )


def _selection(listing: Listing, options: dict[str, Any]) -> Selection:
    return select(listing, **{name: options[name] for name in _SELECTING if name in options})


def _in_range(given: dict[str, Any]) -> dict[str, Any]:
    """The options, with `size` and `hu_offset` as numbers and `colour` as true or false."""
    if "size" in given:
        given["size"] = _number("size", given["size"], int)
        if given["size"] < 1:
            raise DataError(f"size={given['size']}: expected at least 1 pixel")
    if given.get("resize", RESIZES[0]) not in RESIZES:
        raise UnknownNameError("resize", str(given["resize"]), RESIZES)
    if "colour" in given:
        given["colour"] = _truth("colour", given["colour"])
    if "hu_offset" in given:
        given["hu_offset"] = _number("hu_offset", given["hu_offset"], float)
    return given


def _truth(name: str, value: Any) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).strip().lower() not in known:
        raise DataError(f"{name}={value}: expected true or false")
    return known[str(value).strip().lower()]


def _number(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        what = "a whole number of pixels" if kind is int else "a number of HU"
        raise DataError(f"{name}={value}: expected {what}") from None
