"""A contact sheet: a few images of every class on one labelled picture."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from desali.data.imageset import ImageSet
from desali.data.synthetic.randomness import whole_number
from desali.errors import DataError
from desali.output.files import atomic_path

LEVEL, WIDTH = -600, 1500  # the usual lung window, HU
_CELL, _GAP, _LABEL = 96, 4, 120


def _display(image_set: ImageSet, index: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """uint8 RGB [k, h, w, 3] of the chosen images; Hounsfield units through the lung window."""
    images = image_set.images[index]
    if image_set.unit == "hu":
        grey = (images.astype(np.float32) - (LEVEL - WIDTH / 2)) / WIDTH
        images = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
    return images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=-1)


def sheet(image_set: ImageSet, path: str | os.PathLike[str], per_class: int = 8) -> None:
    """Write a PNG with `per_class` images of each class, spread over the set, and its name and origin on top.

    Raises:
        DataError: an empty set or `per_class` below 1.
        OutputError: the file cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    per_class = whole_number("per_class", per_class, 1)
    if not len(image_set):
        raise DataError(f"{image_set.name}: holds no images, expected at least one for a sheet")
    title = f"{image_set.name}: {image_set.origin}"
    if image_set.unit == "hu":
        title += f"; window level {LEVEL}, width {WIDTH} HU"
    font = ImageFont.load_default(15)
    head = 28
    width = max(_LABEL + per_class * (_CELL + _GAP), int(font.getlength(title)) + 16)
    picture = Image.new("RGB", (width, head + len(image_set.classes) * (_CELL + _GAP)), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((8, 6), title, "black", font=font)
    for row, name in enumerate(image_set.classes):
        top = head + row * (_CELL + _GAP)
        pen.text((8, top + _CELL // 2 - 8), name, "black", font=font)
        members = np.flatnonzero(image_set.labels == row)
        chosen = members[np.unique(np.linspace(0, len(members) - 1, min(per_class, len(members))).astype(int))]
        for column, pixels in enumerate(_display(image_set, chosen)):
            tile = Image.fromarray(pixels).resize((_CELL, _CELL), Image.Resampling.NEAREST)
            picture.paste(tile, (_LABEL + column * (_CELL + _GAP), top))
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")
