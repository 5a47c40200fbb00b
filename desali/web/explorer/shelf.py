"""The images of the explorer: those of a data set, files, tensors, and what was dropped into the page."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from desali.data.preprocess import Preprocessing
from desali.data.roi import Roi
from desali.errors import DataError
from desali.figures.inputs import to_image
from desali.web.explorer.answer import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from desali.data.imageset import ImageSet

MOST_LISTED = 2000
"""Images of a set that a page lists."""
UPLOADS = 256 * 2**20
"""Bytes of dropped images that are kept; the oldest go first."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One image.

    Attributes:
        id: what the address calls it.
        label, patient: "" where they are not known.
        size: height and width.
        hu: whether it is in Hounsfield units.
        load: gives it: a Roi, or a tensor [C, H, W] as the networks take it.
        path: the file, where the whole file is the image; None else.
        tensor: whether it is a tensor, which no preprocessing changes.
        set, origin: the image set it is of and where that comes from, as the set says it; "" for single images.
    """

    id: str
    name: str
    label: str
    patient: str
    size: tuple[int, int]
    hu: bool
    load: Callable[[], Roi | Tensor]
    path: Path | None = None
    tensor: bool = False
    set: str = ""
    origin: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what the networks are given of it."""
        image = self.load()
        if isinstance(image, Roi):
            array = np.ascontiguousarray(image.pixels)
            said = f"{image.unit} {array.dtype.str} {array.shape} {image.window if image.window_chosen else None}"
        else:
            array = image.detach().cpu().contiguous().numpy()
            said = f"tensor {array.dtype.str} {array.shape}"
        return hashlib.sha256(said.encode() + array.tobytes()).hexdigest()

    @property
    def nbytes(self) -> int:
        """Of its pixels."""
        image = self.load()
        return int(image.pixels.nbytes) if isinstance(image, Roi) else image.nbytes

    def framed(self, rule: Any, box: Sequence[float]) -> dict[str, float]:
        """A window (top, left, height, width) of a network's input, in pixels of the image; it may reach outside."""
        top, left, height, width = box
        if not self.tensor and isinstance(rule, Preprocessing):
            above, before, tall, wide = rule.frame(self.size, "hu" if self.hu else "uint8")
            down, across = tall / rule.size, wide / rule.size
            top, left = top * down + above, left * across + before
            height, width = height * down, width * across
        return {"top": round(top, 2), "left": round(left, 2), "height": round(height, 2), "width": round(width, 2)}


class Shelf:
    """All images by id; dropped ones come and go."""

    def __init__(self, entries: Sequence[Entry], images: ImageSet | Tensor | None, notes: Sequence[str] = ()) -> None:
        self._fixed = {one.id: one for one in entries}
        self._dropped: OrderedDict[str, Entry] = OrderedDict()
        self._count = 0
        self._lock = threading.Lock()
        self.images = images
        self.notes = list(notes)

    @property
    def entries(self) -> list[Entry]:
        """In the order of the page."""
        with self._lock:
            return [*self._fixed.values(), *self._dropped.values()]

    def __getitem__(self, id: str) -> Entry:
        """The image of an id.

        Raises:
            Refused: there is none.
        """
        with self._lock:
            found = self._fixed.get(id) or self._dropped.get(id)
        if found is None:
            what = "was dropped long ago and is no longer kept; drop it again" if id[:1] == "u" else "there is none"
            raise Refused(404, f"image {id[:40]!r}: {what}" if id else "image is missing: name one")
        return found

    def drop(self, name: str, image: Roi) -> Entry:
        """Take an image that was dropped into the page."""
        with self._lock:
            for known in self._dropped.values():
                if known.name == name and getattr(known.load(), "sha256", "") == image.sha256:
                    return known
            self._count += 1
            entry = _entry(f"u{self._count}", name, image)
            self._dropped[entry.id] = entry
            while len(self._dropped) > 1 and sum(one.nbytes for one in self._dropped.values()) > UPLOADS:
                self._dropped.popitem(last=False)
        return entry


def shelf(images: Any = None, files: Sequence[Path] = (), seed: int = 0) -> Shelf:
    """Images as a page lists them.

    Args:
        images: an `ImageSet`, a tensor [N, C, H, W] as the networks take it, a list of what `desali.show` takes as one
            image, or None.
        files: image files; one that cannot be read is left out with a note.
        seed: draws what is listed of a large set.

    Raises:
        DataError: something else. ImageError: an array that is no image.
    """
    from desali.data.imageset import ImageSet

    entries: list[Entry] = []
    notes: list[str] = []
    probe: Any = None
    if isinstance(images, ImageSet):
        probe, entries, notes = _of_set(images, seed)
    elif hasattr(images, "dim") and hasattr(images, "is_floating_point"):
        if images.dim() != 4:
            raise DataError(f"images must be a tensor [N, C, H, W], got {list(images.shape)}")
        probe = images.detach()
        entries = [_entry(str(k), f"image {k}", to_image(images[k])) for k in range(min(len(images), MOST_LISTED))]
        if len(images) > MOST_LISTED:
            notes.append(f"The first {MOST_LISTED} of {len(images)} images are listed.")
    elif isinstance(images, Sequence) and not isinstance(images, str | bytes):
        made = [to_image(one) for one in images]
        entries = [_entry(str(k), _name(one, k), one) for k, one in enumerate(made)]
    elif images is not None:
        raise DataError(
            f"images must be an ImageSet, a tensor [N, C, H, W] or a list of images, got {type(images).__name__}"
        )
    for path in files:
        entries += _of_file(path, f"f{len(entries)}", notes)
    return Shelf(entries, probe, notes)


def _of_file(path: Path, id: str, notes: list[str]) -> list[Entry]:
    from desali.data.roi import read_image
    from desali.errors import ImageError

    try:
        image = read_image(path)
    except ImageError as error:
        notes.append(f"passed over: {error}")
        return []
    return [_entry(id, path.name, image, path)]


def _name(image: Roi | Tensor, k: int) -> str:
    return image.name if isinstance(image, Roi) and image.path is not None else f"image {k}"


def _entry(id: str, name: str, image: Roi | Tensor, path: Path | None = None) -> Entry:
    """An image in memory."""
    of_roi = isinstance(image, Roi)
    height, width = image.pixels.shape[:2] if isinstance(image, Roi) else image.shape[-2:]
    hu = isinstance(image, Roi) and image.unit == "hu"
    return Entry(id, name, "", "", (int(height), int(width)), hu, lambda: image, path, not of_roi)


def _of_set(images: ImageSet, seed: int) -> tuple[ImageSet, list[Entry], list[str]]:
    from desali.comparison.probe_set import draw_index

    notes = []
    if len(images) > MOST_LISTED:
        index = draw_index(images, max(1, MOST_LISTED // len(images.classes)), seed)[:MOST_LISTED]
        notes.append(
            f"{len(index)} of the {len(images)} images of {images.name} are listed, drawn by seed {seed}: the classes "
            "in equal parts, the patients in turns."
        )
        images = images.subset(index)

    def entry(k: int) -> Entry:
        source = "" if images.sources is None else str(images.sources[k])
        label = images.classes[int(images.labels[k])]
        name = source.replace("\\", "/").rpartition("/")[2] or f"{label} {k}"
        pixels = images.images
        return Entry(
            str(k), name, label, str(images.patients[k]), (int(pixels.shape[1]), int(pixels.shape[2])),
            images.unit == "hu", lambda: to_image(np.asarray(pixels[k])), set=images.name, origin=images.origin,
        )  # fmt: skip

    return images, [entry(k) for k in range(len(images))], notes
