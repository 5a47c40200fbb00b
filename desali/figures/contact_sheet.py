"""Contact sheets: many small images with their labels, page by page."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from desali.errors import DataError
from desali.figures.grid import Column, Grid, Panel, save


def save_contact_sheet(
    images: Sequence[npt.NDArray[Any] | str | os.PathLike[str]],
    labels: Sequence[str],
    path: str | os.PathLike[str],
    per_page: int = 48,
    *,
    title: str = "",
    footnote: str = "",
    dpi: int = 150,
) -> list[Path]:
    """Write the images in reading order, `per_page` to a file.

    One page keeps the name `path`; several are numbered (sheet.png -> sheet-01.png, sheet-02.png, ...).

    Args:
        images: arrays [h, w] or [h, w, 3], uint8 or in [0, 1]; or image files, which are shown with the lung window
            when they hold Hounsfield units.
        labels: a caption per image.

    Returns:
        the files written, in order.

    Raises:
        DataError: no images, as many labels as images are not given, an array out of range, or `per_page` below 1.
        ImageError: a file that cannot be read. OutputError: a path that cannot be written.
    """
    if not images or len(labels) != len(images):
        raise DataError(
            f"a contact sheet needs a label for each image, got {len(images)} images and {len(labels)} labels"
        )
    if per_page < 1:
        raise DataError(f"a contact sheet needs at least 1 image per page, got {per_page}")
    target = Path(path)
    pages = math.ceil(len(images) / per_page)
    digits = max(2, len(str(pages)))
    columns = min(len(images), max(1, round(math.sqrt(per_page * 1.6))))
    written = []
    for page in range(pages):
        part = slice(page * per_page, (page + 1) * per_page)
        panels: list[Panel | None] = [
            Panel(_unit_range(image), label) for image, label in zip(images[part], labels[part], strict=True)
        ]
        panels += [None] * (-len(panels) % columns)
        rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
        heading = f"{title} (page {page + 1} of {pages})".strip() if pages > 1 else title
        grid = Grid([""] * len(rows), [Column("")] * columns, rows, heading, footnote)
        name = f"{target.stem}-{page + 1:0{digits}d}{target.suffix}" if pages > 1 else target.name
        written.append(save(grid, target.with_name(name), dpi))
    return written


def _unit_range(image: npt.NDArray[Any] | str | os.PathLike[str]) -> npt.NDArray[Any]:
    if isinstance(image, str | os.PathLike):
        from desali.data.preprocess import apply_window
        from desali.data.roi import read_roi

        roi = read_roi(image)
        if roi.window is not None:
            return apply_window(roi.pixels, roi.window)
        image = roi.pixels
    array = np.asarray(image)
    return array / 255.0 if array.dtype == np.uint8 else array
