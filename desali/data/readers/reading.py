"""`read_images`: a specification in, an `ImageSet` out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from desali.data.readers.finding import Found, describe, find_images, refuse
from desali.data.readers.listing import NAMED, passed_words
from desali.errors import DataError, ImageError

if TYPE_CHECKING:
    from desali.data.imageset import ImageSet
    from desali.data.readers.cache import ImageCache
    from desali.data.readers.decode import How, Stacked
    from desali.data.readers.labels import Labels
    from desali.data.readers.listing import Item


def read_images(
    spec: str,
    *,
    size: int | None = None,
    resize: str | None = None,
    split: str | None = None,
    skip_unreadable: bool = False,
    cache: ImageCache | str | os.PathLike[str] | bool | None = None,
    hu_offset: float | None = None,
    labels: Labels = None,
    leave_out: str | Iterable[str] | None = None,
    classes: str | Iterable[str] | None = None,
    unknown_patients: str | None = None,
    colour: bool | None = None,
    patients: str | Iterable[str] | None = None,
    leave_out_patients: str | Iterable[str] | None = None,
    proxy: str | None = None,
    workers: int | None = None,
    progress: bool = False,
    report: Callable[[str], None] | None = None,
    **options: str,
) -> ImageSet:
    """Read a data set.

    Images whose patient is not known are kept together as one patient, so that no split cuts through a patient among
    them; some of them may still be of a patient that is also known by name, which only
    `unknown_patients="leave_out"` excludes.

    Args:
        spec: "reader:PATH" or PATH, whose format is then detected; "?option=value&option=value" may follow. The readers
            are in `READERS`, their options in `READERS[name].options`, options of all in `COMMON_OPTIONS`.
        size: display images: the shorter side is resized to it and the centre square cut out. Images in HU are never
            resized, because a pixel is a length.
        resize: "bicubic" (the default) or "bilinear", see `desali.data.preprocess.fit`.
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
        colour: leave grey images that are stored in colour (three equal channels) in colour; else they are grey.
        patients: only the images of these patients.
        leave_out_patients: all but the images of these patients, for instance to keep them for looking at.
        proxy: what the labels are if they only stand for something; `origin` says so.
        workers: decoding threads; None for one a processor, eight at most.
        progress: show progress on stderr, a bar or, without a terminal, lines.
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
    found = find_images(
        spec, listings=None, size=size, resize=resize, split=split, hu_offset=hu_offset, labels=labels,
        leave_out=leave_out, classes=classes, unknown_patients=unknown_patients, colour=colour, patients=patients,
        leave_out_patients=leave_out_patients, proxy=proxy, **options,
    )  # fmt: skip
    return read_found(
        found, skip_unreadable=skip_unreadable, cache=cache, workers=workers, progress=progress, report=report
    )


def read_found(
    found: Found,
    *,
    skip_unreadable: bool = False,
    cache: ImageCache | str | os.PathLike[str] | bool | None = None,
    workers: int | None = None,
    progress: bool = False,
    report: Callable[[str], None] | None = None,
) -> ImageSet:
    """Decode what `find_images` found, without listing it again; the arguments are those of `read_images`.

    Raises:
        DataError, OutputError: see `read_images`.
    """
    import numpy as np

    from desali.data.imageset import ImageSet
    from desali.data.readers.decode import How, refuse_unreadable

    refuse(found)
    listing, selection, given = found.listing, found.selection, found.options
    how = How(
        listing.array_key,
        given.get("hu_offset"),
        given.get("size"),
        given.get("resize", How.resize),
        given.get("colour", How.colour),
        workers,
        progress,
        f"decoding {listing.name}",
    )
    items = selection.items
    decoded = _decoded(items, how, listing.colour, cache)
    if not skip_unreadable:
        refuse_unreadable(decoded.failed, len(items))
    kept = [selection.names[index] for index in decoded.kept]
    _refuse_emptied(found, kept, len(decoded.failed))
    if report is not None and decoded.failed:
        report(f"{listing.name}: {len(decoded.failed)} of {len(items)} images cannot be read and are left out: "
               + ", ".join(name for name, _ in decoded.failed))  # fmt: skip
    if report is not None and listing.passed:
        report(f"{listing.name}: {passed_words(listing.passed)}")
    if report is not None:
        for said, count in decoded.treated.items():
            report(f"{listing.name}: {count} of {len(decoded.kept)} images: {said}")
    position = {name: number for number, name in enumerate(selection.classes)}
    parts = [items[index].split for index in decoded.kept]
    return ImageSet(
        name=listing.name if given.get("split") is None else f"{listing.name}-{given['split']}",
        images=decoded.images,
        labels=np.array([position[name] for name in kept], np.int64),
        patients=np.array([selection.patients[index] for index in decoded.kept], np.str_),
        classes=selection.classes,
        unit=decoded.unit,
        origin=describe(found),
        parameters=_parameters(found, decoded, Counter(kept)),
        sources=np.array([items[index].name for index in decoded.kept], np.str_),
        splits=np.array(parts, np.str_) if any(parts) else None,
        unit_of_split=listing.unit_of_split,
    )


def _decoded(
    items: Sequence[Item], how: How, colour: bool | None, cache: ImageCache | str | os.PathLike[str] | bool | None
) -> Stacked:
    """The images, decoded into memory or mapped from the cache."""
    from desali.data.readers.cache import Allocate, ImageCache
    from desali.data.readers.decode import in_memory, stack

    if cache is None or cache is False:
        return stack(items, how, colour, in_memory)
    store = cache if isinstance(cache, ImageCache) else ImageCache(None if cache is True else cache)
    key = store.key(items, how, colour)
    built: list[Stacked] = []

    def build(allocate: Allocate) -> Stacked:
        built.append(stack(items, how, colour, allocate))
        return built[-1]

    decoded = store.get(key, build)
    if decoded.failed and not built and _readable_now(items, decoded.failed, how):
        store.remove(key)
        decoded = store.get(key, build)
    return decoded


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


def _parameters(found: Found, decoded: Stacked, counts: Counter[str]) -> dict[str, Any]:
    selection, failed, passed = found.selection, decoded.failed, found.listing.passed
    options = {
        name: value if isinstance(value, (str, int, float)) else dict(value) if hasattr(value, "items") else list(value)
        for name, value in found.options.items()
    }
    return {
        "reader": found.reader.name,
        "spec": found.spec,
        "path": str(found.root),
        "options": options,
        "patients": found.listing.patients,
        **({"salt": found.listing.salt} if found.listing.salt else {}),
        "counts": {name: counts.get(name, 0) for name in selection.classes},
        **({"left_out": dict(selection.left_out)} if selection.left_out else {}),
        **({"treated": dict(decoded.treated)} if decoded.treated else {}),
        **({"passed_over": {"files": len(passed), "such_as": list(passed[:NAMED])}} if passed else {}),
        **({"unreadable": [f"{name}: {reason}" for name, reason in failed]} if failed else {}),
    }
