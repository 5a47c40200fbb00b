from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from desali.data import read_images
from desali.errors import DataError
from tests.data.readers.trees import colour, picture


@pytest.mark.parametrize(
    ("home", "suffix", "grey"), [("", "bmp", False), ("curetgrey", "png", True), ("curetcol", "png", False)]
)
def test_the_three_trees(tmp_path: Path, home: str, suffix: str, grey: bool) -> None:
    pixels = {}
    for sample in (1, 2, 61):
        for view in (1, 12, 205):
            array = colour(sample * 300 + view)
            name = f"sample{sample:02d}/{sample:02d}-{view:03d}.{suffix}"
            pixels[name] = array[..., 0] if grey else array
            picture(tmp_path / home / name, pixels[name])
    (tmp_path / home / "sample01" / "notes.txt").write_text("not an image")
    images = read_images(str(tmp_path))
    assert images.parameters["reader"] == "curet"
    assert images.classes == ("sample01", "sample02", "sample61")
    assert images.patients.tolist() == ["view 001", "view 012", "view 205"] * 3
    assert images.sources is not None
    for k, name in enumerate(images.sources):
        np.testing.assert_array_equal(images.images[k], pixels[name.removeprefix(f"{home}/")])
    assert "new views of known samples" in images.origin


def test_both_crops_under_one_path_are_not_mixed(tmp_path: Path) -> None:
    for home in ("curetgrey", "curetcol"):
        picture(tmp_path / home / "sample01" / "01-001.png", colour(1))
    with pytest.raises(DataError, match="choose one"):
        read_images(str(tmp_path))
    with pytest.raises(DataError, match="no folder sampleNN"):
        read_images(f"curet:{tmp_path / 'curetcol' / 'sample01'}")
