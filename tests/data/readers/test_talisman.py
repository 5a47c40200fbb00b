from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desali.data import read_images
from desali.data.readers.talisman import NAME
from desali.errors import DataError
from tests.data.readers.trees import hu, talisman, tiff


def test_pixels_labels_and_patients(tmp_path: Path) -> None:
    pixels = talisman(tmp_path)
    images = read_images(str(tmp_path))
    assert images.parameters["reader"] == "talisman"
    assert (images.unit, images.images.shape, images.classes) == ("hu", (5, 32, 32), ("ground_glass", "healthy"))
    assert images.sources is not None
    for k, name in enumerate(images.sources):
        np.testing.assert_array_equal(images.images[k], pixels[name])
        number = name.split("_patient")[1].split("_")[0]
        assert images.patients[k] == ("(unknown patients)" if number == "-1" else f"patient{number}")
    assert "2 images of unknown patients kept together as one patient" in images.origin
    known = read_images(str(tmp_path), unknown_patients="leave_out")
    assert sorted(set(known.patients)) == ["patient3", "patient4"]
    assert "2 images of unknown patients left out" in known.origin


@given(
    label=st.lists(st.sampled_from(["ground", "glass", "patch1", "patient", "x"]), min_size=1).map("_".join),
    patch=st.integers(0, 10**6),
    patient=st.integers(-1, 10**6),
    k=st.integers(0, 99),
)
def test_names_come_apart_again(label: str, patch: int, patient: int, k: int) -> None:
    match = NAME.fullmatch(f"{label}_patch{patch}_patient{patient}_{k}")
    assert match is not None
    assert (match["label"], int(match["patch"]), int(match["patient"]), int(match["k"])) == (label, patch, patient, k)


def test_hu_patches_are_not_resized(tmp_path: Path) -> None:
    talisman(tmp_path)
    assert len(read_images(str(tmp_path), size=32)) == 5
    with pytest.raises(DataError, match="not resized to 64"):
        read_images(str(tmp_path), size=64)
    tiff(tmp_path / "healthy_patch9_patient9_1.tif", hu(1, 40))
    with pytest.raises(DataError, match="40 x 40 pixels, but"):
        read_images(str(tmp_path))


def test_unsigned_patches_need_their_offset(tmp_path: Path) -> None:
    for k, name in enumerate(("a_patch1_patient1_1.tif", "b_patch1_patient1_1.tif")):
        tiff(tmp_path / name, (hu(k).astype(np.int32) + 1024).astype(np.uint16))
    with pytest.raises(DataError, match="hu_offset="):
        read_images(str(tmp_path))
    np.testing.assert_array_equal(read_images(str(tmp_path), hu_offset=-1024).images[0], hu(0))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no file of that format"):
        read_images(f"talisman:{tmp_path / 'empty'}")
