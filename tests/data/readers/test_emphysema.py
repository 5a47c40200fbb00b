from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from desali.data import read_images
from desali.errors import DataError
from tests.data.readers.trees import emphysema


def test_pixels_labels_and_subjects_by_number(tmp_path: Path) -> None:
    pixels = emphysema(tmp_path)
    images = read_images(str(tmp_path))
    assert images.parameters["reader"] == "emphysema"
    assert (images.unit, images.images.shape, images.classes) == ("hu", (12, 61, 61), ("NT", "CLE", "PSE"))
    np.testing.assert_array_equal(images.images, np.stack(pixels))
    assert images.labels.tolist() == [k % 3 for k in range(12)]
    assert images.patients.tolist() == [f"subject{k % 4 + 1}" for k in range(12)]


def test_tables_on_one_line_and_as_floats(tmp_path: Path) -> None:
    emphysema(tmp_path)
    before = read_images(str(tmp_path))
    (tmp_path / "patch_labels.csv").write_text(",".join(f"{k % 3 + 1}.0" for k in range(12)))
    assert read_images(str(tmp_path)).fingerprint == before.fingerprint


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("patch_labels.csv", "1\n2\n", "12 patches, 2 labels and 12 subjects"),
        ("patch_labels.csv", "1\n2\n3\n" * 3 + "1\n2\n4\n", "value 12 is '4'"),
        ("patch_subjects.csv", "subject\n" + "1\n" * 12, "expected numbers without a header"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, name: str, text: str, match: str) -> None:
    emphysema(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=match):
        read_images(f"emphysema:{tmp_path}")


def test_a_patch_that_is_missing(tmp_path: Path) -> None:
    emphysema(tmp_path)
    (tmp_path / "patches" / "patch5.tiff").rename(tmp_path / "patches" / "patch13.tiff")
    with pytest.raises(DataError, match=r"expected patch1.tiff"):
        read_images(f"emphysema:{tmp_path}")
