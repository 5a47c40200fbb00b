"""`read_images`: a specification in, an `ImageSet` out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from desali.data.readers.registry import Reader, resolve
from desali.errors import DataError, ImageError, UnknownNameError

if TYPE_CHECKING:
    from pathlib import Path

    from desali.data.imageset import ImageSet
    from desali.data.readers.cache import ImageCache
    from desali.data.readers.decode import How
    from desali.data.readers.labels import Labels
    from desali.data.readers.listing import Item, Listing
    from desali.data.readers.selection import Selection

COMMON_OPTIONS = {
    "split": "train, validation or test, where the data set states parts; default: all images",
    "size": "display images: resize the shorter side to so many pixels and cut the centre square",
    "hu_offset": "HU = pixel + offset, for unsigned 16-bit images",
    "labels": "label:class with commas between, a table of labels by name (seven), or a .csv or .json file",
    "leave_out": "labels to leave out, with commas between",
    "classes": "the classes and their order, with commas between; without it, those of the data set",
    "unknown_patients": "together (one group, the default) or leave_out",
    "proxy": "if the labels only stand for something: what they are, in words",
}
"""Options of every reader, and what they mean; they may stand in a specification behind "?"."""


class Found(NamedTuple):
    """A specification that was resolved and listed, before anything is decoded."""

    reader: Reader
    root: Path
    listing: Listing
    selection: Selection
    options: dict[str, Any]


def find_images(spec: str, **options: Any) -> Found:
    """Resolve a specification, list its images and give them classes and groups; no pixels are read.

    `options` are the common ones (see `COMMON_OPTIONS`) and the reader's; they win over those in the specification;
    None counts as not given.

    Raises:
        UnknownNameError: no such reader or option. DataError: see `read_images`.
    """
    from desali.data.readers.selection import select

    reader, root, written = resolve(spec)
    given: dict[str, Any] = {**written, **{name: value for name, value in options.items() if value is not None}}
    for name in given:
        if name not in COMMON_OPTIONS and name not in reader.options:
            raise UnknownNameError(f"option of the reader {reader.name}", name, [*reader.options, *COMMON_OPTIONS])
    if "size" in given:
        given["size"] = _number("size", given["size"], int)
        if given["size"] < 1:
            raise DataError(f"size={given['size']}: expected at least 1 pixel")
    if "hu_offset" in given:
        given["hu_offset"] = _number("hu_offset", given["hu_offset"], float)
    own = {name: str(value) for name, value in given.items() if name in reader.options}
    try:
        listing = reader.find(root, **own)
    except OSError as error:
        raise DataError(f"{error.filename or root}: cannot be read ({error.strerror or error})") from error
    chosen = {
        name: given[name] for name in ("split", "labels", "leave_out", "classes", "unknown_patients") if name in given
    }
    return Found(reader, root, listing, select(listing, **chosen), given)


def read_images(
    spec: str,
    *,
    size: int | None = None,
    split: str | None = None,
    skip_unreadable: bool = False,
    cache: ImageCache | str | os.PathLike[str] | bool | None = None,
    hu_offset: float | None = None,
    labels: Labels = None,
    leave_out: str | Iterable[str] | None = None,
    classes: str | Iterable[str] | None = None,
    unknown_patients: str | None = None,
    proxy: str | None = None,
    workers: int | None = None,
    progress: bool = False,
    report: Callable[[str], None] | None = None,
    **options: str,
) -> ImageSet:
    """Read a data set.

    Patients are the groups. Images whose patient is not known form one group together, so that no split cuts through
    a patient among them; some of them may still be of a patient that is also known by name, which only
    `unknown_patients="leave_out"` excludes.

    Args:
        spec: "reader:PATH" or PATH, whose format is then detected; "?option=value&option=value" may follow. The readers
            are in `READERS`, their options in `READERS[name].options`, options of all in `COMMON_OPTIONS`.
        size: display images: the shorter side is resized to it (bicubic) and the centre square cut out. Images in HU
            are never resized, because a pixel is a length.
        split: "train", "validation" or "test", where the data set states parts; None for all images.
        skip_unreadable: leave out images that cannot be read; their names and reasons are in
            `parameters["unreadable"]`.
        cache: None to decode into memory; True for the user's cache folder (DESALI_CACHE), a folder, or an
            `ImageCache`, to map the decoded images from a file that the next call finds again.
        hu_offset: HU = pixel + offset, for unsigned 16-bit images.
        labels: which class a label belongs to (see `desali.data.readers.labels.label_table`); None if labels are
            classes.
        leave_out: labels to leave out.
        classes: the classes and their order, for instance a trained model's; these may then be without images.
        unknown_patients: "together" (the default) or "leave_out".
        proxy: what the labels are if they only stand for something; `origin` says so.
        workers: decoding threads; None for one a processor, eight at most.
        progress: show a progress bar on stderr.
        report: called with a line of text when images are left out.
        options: of the reader.

    Returns:
        Images int16 [n, h, w] in HU, or uint8 [n, h, w] or [n, h, w, 3], possibly mapped read-only; `sources` names
        where each comes from, `splits` the part it is in; `parameters` holds specification and options.

    Raises:
        DataError: no such path, not the format, unreadable images (counted and named), an empty class, labels that no
            class is known for, a patient in several parts when one of them is asked for, or differing sizes or units.
        UnknownNameError: no such reader, option or part.
        OutputError: the cache cannot be written.
    """
    import numpy as np

    from desali.data.imageset import ImageSet
    from desali.data.readers.cache import ImageCache
    from desali.data.readers.decode import How, in_memory, refuse_unreadable, stack

    found = find_images(
        spec, size=size, split=split, hu_offset=hu_offset, labels=labels, leave_out=leave_out, classes=classes,
        unknown_patients=unknown_patients, proxy=proxy, **options,
    )  # fmt: skip
    refuse(found)
    listing, selection, given = found.listing, found.selection, found.options
    how = How(
        listing.array_key, given.get("hu_offset"), given.get("size"), workers, progress, f"decoding {listing.name}"
    )
    items = selection.items
    if cache is None or cache is False:
        decoded = stack(items, how, listing.colour, in_memory)
    else:
        store = cache if isinstance(cache, ImageCache) else ImageCache(None if cache is True else cache)
        key = store.key(items, how, listing.colour)
        build = lambda allocate: stack(items, how, listing.colour, allocate)  # noqa: E731
        decoded = store.get(key, build)
        if decoded.failed and _readable_now(items, decoded.failed, how):
            store.remove(key)
            decoded = store.get(key, build)
    if not skip_unreadable:
        refuse_unreadable(decoded.failed, len(items))
    kept = [selection.names[index] for index in decoded.kept]
    _refuse_emptied(found, kept, len(decoded.failed))
    if report is not None and decoded.failed:
        report(f"{listing.name}: {len(decoded.failed)} of {len(items)} images cannot be read and are left out: "
               + ", ".join(name for name, _ in decoded.failed))  # fmt: skip
    position = {name: number for number, name in enumerate(selection.classes)}
    parts = [items[index].split for index in decoded.kept]
    return ImageSet(
        name=listing.name if given.get("split") is None else f"{listing.name}-{given['split']}",
        images=decoded.images,
        labels=np.array([position[name] for name in kept], np.int64),
        groups=np.array([selection.groups[index] for index in decoded.kept], np.str_),
        classes=selection.classes,
        unit=decoded.unit,
        origin=describe(found),
        parameters=_parameters(found, spec, decoded.failed, Counter(kept)),
        sources=np.array([items[index].name for index in decoded.kept], np.str_),
        splits=np.array(parts, np.str_) if any(parts) else None,
    )


def describe(found: Found) -> str:
    """Where the images come from, for the reader of a figure."""
    listing, selection = found.listing, found.selection
    said = [f"{listing.kind} {listing.name!r}"]
    if found.options.get("proxy"):
        said.append(f"PROXY LABELS ({found.options['proxy']})")
    said.append(listing.patients)
    if selection.unknown_patients:
        what = "left out" if found.options.get("unknown_patients") == "leave_out" else "kept together as one group"
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
            f"{' and '.join(selection.shared[first])}; figures on such a split say too much, correct the split "
            f"of {listing.name}, or read all images and split by patient"
        )


def _readable_now(items: Sequence[Item], failed: list[tuple[str, str]], how: How) -> bool:
    """Whether an image that could not be read when the cache was filled can be: a plug-in or a right came since."""
    from desali.data.readers.decode import pictures

    names = {name for name, _ in failed}
    missing = [item for item in items if item.name in names]
    return any(not isinstance(one, ImageError) for one in pictures(missing, replace(how, progress=False)))


def _refuse_emptied(found: Found, kept: list[str], failed: int) -> None:
    emptied = sorted(set(found.selection.names) - set(kept))
    if emptied and "classes" not in found.options and failed:
        raise DataError(f"{found.root}: every image of the class {', '.join(emptied)} is unreadable; repair them")


def _parameters(found: Found, spec: str, failed: list[tuple[str, str]], counts: Counter[str]) -> dict[str, Any]:
    selection = found.selection
    options = {
        name: value if isinstance(value, (str, int, float)) else dict(value) if hasattr(value, "items") else list(value)
        for name, value in found.options.items()
    }
    return {
        "reader": found.reader.name,
        "spec": spec,
        "path": str(found.root),
        "options": options,
        "patients": found.listing.patients,
        "counts": {name: counts.get(name, 0) for name in selection.classes},
        **({"left_out": dict(selection.left_out)} if selection.left_out else {}),
        **({"unreadable": [f"{name}: {reason}" for name, reason in failed]} if failed else {}),
    }


def _number(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        what = "a whole number of pixels" if kind is int else "a number of HU"
        raise DataError(f"{name}={value}: expected {what}") from None
