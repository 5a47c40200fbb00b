"""From items to pixels: several threads, progress, one image size, one unit; unreadable files are collected."""

from __future__ import annotations

import itertools
import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from desali.data.imageset import Unit
from desali.data.preprocess import fit
from desali.data.readers.listing import Item
from desali.errors import DataError, ImageError
from desali.output.interrupts import check
from desali.output.progress import bar

AHEAD = 32
"""Files a thread that may be decoded before the first of them is taken."""
HOPELESS = 50
"""If so many images in a row from the start cannot be read, the whole set is given up."""
NAMED = 5
"""Unreadable files that a message names."""


class Picture(NamedTuple):
    """Pixels of one image: int16 [h, w] in HU, or uint8 [h, w] or [h, w, 3]; and what must be said of them."""

    pixels: npt.NDArray[Any]
    unit: Unit
    said: str = ""


@dataclass(frozen=True)
class How:
    """How to decode.

    Attributes:
        array_key: the array that `Item.row` points into.
        hu_offset: HU = pixel + offset, for unsigned 16-bit images.
        size: display images: resize the shorter side to it and cut the centre square; None to leave them.
        resize: "bicubic" or "bilinear", see `desali.data.preprocess.fit`.
        colour: leave grey images that are stored in colour in colour.
        workers: threads; None for one a processor, eight at most.
        progress: show progress on stderr.
        title: what the bar says.
    """

    array_key: str = ""
    hu_offset: float | None = None
    size: int | None = None
    resize: str = "bicubic"
    colour: bool = False
    workers: int | None = None
    progress: bool = False
    title: str = "decoding"


@dataclass(frozen=True)
class Stacked:
    """Images in one array.

    Attributes:
        images: int16 [k, h, w], uint8 [k, h, w] or uint8 [k, h, w, 3].
        unit: "hu" or "uint8".
        kept: indices of the items that the images belong to, ascending.
        failed: (name, reason) of each item that could not be read.
        treated: what was done to images while they were read, in sentences -> of how many.
    """

    images: npt.NDArray[Any]
    unit: Unit
    kept: list[int]
    failed: list[tuple[str, str]]
    treated: Mapping[str, int] = field(default_factory=dict)


def pictures(items: Sequence[Item], how: How) -> Iterator[Picture | ImageError]:
    """The image of each item, in order, or the error that says why it cannot be read.

    Raises:
        DataError: an array file cannot be read at all.
    """
    with _quiet(), bar(len(items), how.title, "image", shown=how.progress, leave=False) as shown:
        for picture in _arrays(items, how) if how.array_key else _files(items, how):
            check()
            shown.update()
            yield picture


def stack(
    items: Sequence[Item],
    how: How,
    colour: bool | None,
    allocate: Callable[[tuple[int, ...], Any], npt.NDArray[Any]],
) -> Stacked:
    """All images that can be read, in one array.

    Grey images among colour ones are copied to three channels.

    Args:
        colour: True to make every display image colour, None to do so if one is.
        allocate: makes an array of that shape and type.

    Raises:
        DataError: no image can be read; HU and display values are mixed; or the sizes differ.
    """
    try:
        return _stack(items, how, bool(colour), allocate)
    except _ColourFound:
        return _stack(items, how, True, allocate)


class _ColourFound(Exception):
    """A colour image after grey ones."""


def _stack(
    items: Sequence[Item], how: How, colour: bool, allocate: Callable[[tuple[int, ...], Any], npt.NDArray[Any]]
) -> Stacked:
    images: npt.NDArray[Any] | None = None
    unit: Unit = "uint8"
    kept: list[int] = []
    failed: list[tuple[str, str]] = []
    treated: Counter[str] = Counter()
    for index, picture in enumerate(pictures(items, how)):
        if isinstance(picture, ImageError):
            failed.append((items[index].name, str(picture)))
            if not kept and len(failed) == HOPELESS:
                break
            continue
        pixels = picture.pixels
        if colour and picture.unit == "uint8" and pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=-1)
        if images is None:
            unit = picture.unit
            images = allocate((len(items), *pixels.shape), pixels.dtype)
        if picture.unit != unit:
            raise DataError(
                f"{items[index].path}: holds {_said(picture.unit)}, but {items[kept[0]].path} holds {_said(unit)}; "
                "a data set has one unit"
            )
        if pixels.shape[:2] != images.shape[1:3]:
            raise DataError(_sizes(items[kept[0]], images.shape[1:3], items[index], pixels.shape[:2], unit))
        if pixels.ndim > images.ndim - 1:
            raise _ColourFound
        images[len(kept)] = pixels
        kept.append(index)
        if picture.said:
            treated[picture.said] += 1
    if images is None:
        first = failed[0][1] if failed else "there is none"
        raise DataError(f"none of the first {len(failed)} images can be read; the first: {first}")
    return Stacked(images[: len(kept)], unit, kept, failed, dict(treated))


def refuse_unreadable(failed: Sequence[tuple[str, str]], total: int) -> None:
    """Raise a DataError that counts and names the unreadable images, if there are any."""
    if failed:
        shown = "; ".join(reason for _, reason in failed[:NAMED])
        more = f"; and {len(failed) - NAMED} more (`desali data check` names all)" if len(failed) > NAMED else ""
        raise DataError(
            f"{len(failed)} of {total} images cannot be read: {shown}{more}. Repair them, "
            "or leave them out with --skip-unreadable"
        )


def _said(unit: Unit) -> str:
    return "Hounsfield units" if unit == "hu" else "display values"


def _sizes(first: Item, old: tuple[int, ...], other: Item, new: tuple[int, ...], unit: Unit) -> str:
    way = (
        "pass size=SIDE to resize the shorter side and cut the centre"
        if unit == "uint8"
        else "images in HU are never resized, because a pixel is a length; cut boxes of one size"
    )
    return f"{other.path}: {new[0]} x {new[1]} pixels, but {first.path} has {old[0]} x {old[1]}; {way}"


def _arrays(items: Sequence[Item], how: How) -> Iterator[Picture | ImageError]:
    from desali.data.readers import arrays

    images = {path: arrays.read(path, how.array_key, how.hu_offset) for path in {item.path for item in items}}
    for item in items:
        yield _finished(images[item.path][item.row], item, how)


def _files(items: Sequence[Item], how: How) -> Iterator[Picture | ImageError]:
    groups = [list(group) for _, group in itertools.groupby(items, key=lambda item: (item.path, item.page))]
    workers = how.workers or min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(groups), workers * AHEAD):
            part = groups[start : start + workers * AHEAD]
            yield from itertools.chain.from_iterable(pool.map(lambda group: _file(group, how), part))


def _file(items: Sequence[Item], how: How) -> list[Picture | ImageError]:
    """Decode a file once, for all items that are cut from it."""
    from desali.data.roi import read_image

    try:
        whole = read_image(items[0].path, hu_offset=how.hu_offset, colour=how.colour, page=items[0].page)
    except ImageError as error:
        return [error for _ in items]
    pixels = whole.pixels
    if whole.unit == "unit":
        pixels = np.rint(pixels * 255).astype(np.uint8)
    return [_finished(pixels, item, how, whole.said) for item in items]


def _finished(pixels: npt.NDArray[Any], item: Item, how: How, said: str = "") -> Picture | ImageError:
    from desali.data.roi import cut_box

    name = str(item.path)
    if item.box is not None:
        try:
            pixels = cut_box(pixels, item.box, name)[1]
        except ImageError as error:
            return error
    if item.side is not None and pixels.shape[:2] != (item.side, item.side):
        pixels = resampled(pixels, item.side)
    if pixels.dtype == np.uint8:
        return Picture(pixels if how.size is None else fit(pixels, how.size, how.resize), "uint8", said)
    limits = np.iinfo(np.int16)
    if pixels.min() < limits.min or pixels.max() > limits.max:
        return ImageError(f"{name}: values from {pixels.min():g} to {pixels.max():g}, beyond 16 bits; expected HU")
    if how.size is not None and pixels.shape != (how.size, how.size):
        raise DataError(
            f"{name}: {pixels.shape[0]} x {pixels.shape[1]} pixels in HU are not resized to {how.size}, because a "
            "pixel is a length; leave size out (the network's preprocessing resizes the whole square)"
        )
    return Picture(np.rint(pixels).astype(np.int16), "hu")


def resampled(pixels: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """A square [s, s] or [s, s, 3] as one of `side` pixels: bilinear, antialiased where it shrinks (Pillow)."""
    from PIL import Image

    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
    image = Image.fromarray(pixels.astype(np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave warning filters and tifffile's log as they were: the decoders change them, in several threads at once."""
    from PIL import Image

    log = logging.getLogger("tifffile")
    was_disabled = log.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        finally:
            log.disabled = was_disabled


def in_memory(shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    """An array in memory."""
    return np.empty(shape, dtype)


def files_of(items: Iterable[Item]) -> list[Path]:
    """The files that the items are read from, each once, in order."""
    return list(dict.fromkeys(item.path for item in items))
