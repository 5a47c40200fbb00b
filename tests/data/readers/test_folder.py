from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from desali.data import read_images
from desali.errors import DataError, UnknownNameError
from tests.data.readers.trees import colour, folders, picture


def test_pixels_labels_and_no_patients(tmp_path: Path) -> None:
    pixels = folders(tmp_path / "woods")
    images = read_images(f"folder:{tmp_path / 'woods'}")
    assert images.name == "woods"
    assert (images.classes, images.unit, images.images.dtype) == (("bark", "moss"), "uint8", np.uint8)
    assert images.sources is not None
    for k, name in enumerate(images.sources):
        np.testing.assert_array_equal(images.images[k], pixels[name])
        assert images.classes[images.labels[k]] == name.split("/")[0]
    assert images.patients.tolist() == images.sources.tolist()
    assert "every image stands for itself" in images.origin
    assert images.splits is None


def test_patients_by_folder_and_by_name(tmp_path: Path) -> None:
    for name in ("a/P1/1.png", "a/P2/1.png", "b/P1/1.png"):
        picture(tmp_path / "set" / name, colour(1))
    with pytest.raises(DataError, match="patient=folder"):
        read_images(f"folder:{tmp_path / 'set'}")
    for patient in ("folder", r"/(P\d)/", r"(?P<patient>P\d)/(1)"):
        images = read_images(f"folder:{tmp_path / 'set'}", patient=patient)
        assert images.patients.tolist() == ["P1", "P2", "P1"]
    with pytest.raises(DataError, match=r"finds no patient in 'a/P1/1.png'"):
        read_images(f"folder:{tmp_path / 'set'}", patient="(Q)")
    for bad in ("(", "P1"):
        with pytest.raises(DataError, match="patient="):
            read_images(f"folder:{tmp_path / 'set'}?patient={bad}")


def test_parts(tmp_path: Path) -> None:
    for part in ("train", "val"):
        folders(tmp_path / part)
    images = read_images(f"folder:{tmp_path}")
    assert images.splits is not None
    assert sorted(set(images.splits)) == ["train", "validation"]
    part = read_images(f"folder:{tmp_path}", split="validation")
    assert len(part) == 6
    assert part.name.endswith("-validation")
    for split in ("test", "nonsense"):
        with pytest.raises(DataError, match="train, validation"):
            read_images(f"folder:{tmp_path}", split=split)


def test_a_patient_on_both_sides_is_refused_where_a_side_is_asked_for(tmp_path: Path) -> None:
    for name in ("train/a/P1/1.png", "train/b/P2/1.png", "test/a/P1/2.png", "test/b/P3/1.png"):
        picture(tmp_path / name, colour(len(name)))
    spec = f"folder:{tmp_path}?patient=folder"
    assert len(read_images(spec)) == 4
    with pytest.raises(DataError, match="P1 in test and train"):
        read_images(spec, split="train")


def test_layouts_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no sub-folders"):
        read_images(f"folder:{tmp_path}")
    folders(tmp_path / "set")
    (tmp_path / "set" / "stone").mkdir()
    with pytest.raises(DataError, match="no images of the class stone"):
        read_images(f"folder:{tmp_path / 'set'}")
    assert read_images(f"folder:{tmp_path / 'set'}", leave_out="stone").classes == ("bark", "moss")
    picture(tmp_path / "set" / "loose.png", colour(1))
    with pytest.raises(DataError, match="beside the class folders"):
        read_images(f"folder:{tmp_path / 'set'}")
    with pytest.raises(UnknownNameError, match="did you mean 'patient'"):
        read_images(f"folder:{tmp_path / 'set'}", patiant="folder")
    with pytest.raises(DataError, match="is a file"):
        read_images(f"folder:{tmp_path / 'set' / 'loose.png'}")
