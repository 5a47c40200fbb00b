from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from desali.errors import DataError, ImageError
from desali.figures.contact_sheet import save_contact_sheet


def test_pages_are_numbered_and_hold_every_image(tmp_path: Path) -> None:
    images = [np.full((8, 8), i / 10) for i in range(7)]
    labels = [f"patch {i}" for i in range(7)]
    written = save_contact_sheet(images, labels, tmp_path / "sheet.png", per_page=3, title="Patches", dpi=60)
    assert [path.name for path in written] == ["sheet-01.png", "sheet-02.png", "sheet-03.png"]
    assert sorted(tmp_path.iterdir()) == written
    greys = np.concatenate([np.unique(np.asarray(Image.open(path).convert("L"))) for path in written])
    assert {round(255 * i / 10) for i in range(7)} <= {int(g) for g in greys} | {int(g) + 1 for g in greys}


def test_one_page_keeps_its_name_and_files_are_read(
    tmp_path: Path, lung_patch_tiff: Path, lung_patch_png: Path, dicom_slice: Path
) -> None:
    files = [lung_patch_tiff, lung_patch_png, dicom_slice]
    written = save_contact_sheet(files, ["tiff", "png", "dicom"], tmp_path / "out" / "sheet.pdf")
    assert written == [tmp_path / "out" / "sheet.pdf"]
    assert written[0].read_bytes().startswith(b"%PDF")


def test_mistakes_are_named(tmp_path: Path) -> None:
    image = np.zeros((4, 4), np.uint8)
    with pytest.raises(DataError, match="1 images and 2 labels"):
        save_contact_sheet([image], ["a", "b"], tmp_path / "s.png")
    with pytest.raises(DataError, match="0 images"):
        save_contact_sheet([], [], tmp_path / "s.png")
    with pytest.raises(DataError, match="at least 1"):
        save_contact_sheet([image], ["a"], tmp_path / "s.png", per_page=0)
    with pytest.raises(ImageError, match="no such file"):
        save_contact_sheet([tmp_path / "none.png"], ["a"], tmp_path / "s.png")
    assert not list(tmp_path.iterdir())
