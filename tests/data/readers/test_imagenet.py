from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from desali.data import read_images
from desali.errors import DataError
from tests.data.readers.trees import colour

WNIDS = {1: "n02119789", 2: "n02100735", 3: "n01440764"}
"""ILSVRC2012 ids are not in alphabetical order."""


def _jpeg(path: Path, seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colour(seed, height, width)).save(path, format="JPEG", quality=95)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _devkit(root: Path, truth: list[int]) -> Path:
    data = root / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{one}\n" for one in truth))
    synsets = np.array(
        [(i, w, "words", "gloss", 0) for i, w in WNIDS.items()] + [(1001, "n00001740", "entity", "", 3)],
        dtype=[("ILSVRC2012_ID", int), ("WNID", object), ("words", object), ("gloss", object), ("num_children", int)],
    )
    savemat(data / "meta.mat", {"synsets": synsets[:, None]})
    return data


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for k, wnid in enumerate(WNIDS.values()):
        _jpeg(tmp_path / "train" / wnid / f"{wnid}_{k}.JPEG", k)
    for number in (1, 2, 3, 4):
        _jpeg(tmp_path / "val" / f"ILSVRC2012_val_{number:08d}.JPEG", 10 + number)
    _devkit(tmp_path, [3, 1, 1, 2])
    return tmp_path


def test_training_and_validation(tree: Path) -> None:
    images = read_images(str(tree), size=32)
    assert images.parameters["reader"] == "imagenet"
    assert images.classes == ("n01440764", "n02100735", "n02119789")
    assert images.images.shape == (7, 32, 32, 3)
    validation = read_images(f"imagenet:{tree}", split="validation")
    assert [validation.classes[label] for label in validation.labels] == [WNIDS[one] for one in (3, 1, 1, 2)]
    with Image.open(tree / "val" / "ILSVRC2012_val_00000002.JPEG") as image:
        np.testing.assert_array_equal(validation.images[1], np.asarray(image))


def test_resizing_the_shorter_side_and_cutting_the_centre(tree: Path) -> None:
    image = read_images(f"imagenet:{tree}", split="validation", size=20).images[0]
    with Image.open(tree / "val" / "ILSVRC2012_val_00000001.JPEG") as stored:
        expected = np.asarray(stored.resize((30, 20), Image.Resampling.BICUBIC))[:, 5:25]
    np.testing.assert_array_equal(image, expected)


def test_grey_and_cmyk_become_colour(tree: Path) -> None:
    Image.fromarray(colour(5)).convert("L").save(tree / "train" / WNIDS[1] / "grey.JPEG")
    Image.fromarray(colour(6)).convert("CMYK").save(tree / "train" / WNIDS[1] / "ink.JPEG")
    assert read_images(f"imagenet:{tree}", split="train", size=12).images.shape == (5, 12, 12, 3)


def test_synsets_as_text_and_sorted_validation(tree: Path, tmp_path: Path) -> None:
    text = tmp_path / "synsets.txt"
    text.write_text("".join(f"{number} {wnid}\n" for number, wnid in WNIDS.items()))
    by_text = read_images(f"imagenet:{tree}?synsets={text}", split="validation", size=8)
    assert by_text.labels.tolist() == read_images(f"imagenet:{tree}", split="validation", size=8).labels.tolist()
    for number, one in enumerate((3, 1, 1, 2), start=1):
        home = tree / "val" / WNIDS[one]
        home.mkdir(exist_ok=True)
        name = f"ILSVRC2012_val_{number:08d}.JPEG"
        (tree / "val" / name).rename(home / name)
    in_folders = read_images(f"imagenet:{tree}", split="validation", size=8)
    assert in_folders.fingerprint != by_text.fingerprint  # groups hold the path
    assert sorted(in_folders.labels) == sorted(by_text.labels)


def test_a_devkit_that_does_not_fit(tree: Path) -> None:
    data = tree / "ILSVRC2012_devkit_t12" / "data"
    truth = data / "ILSVRC2012_validation_ground_truth.txt"
    for text, match in (
        ("1\n2\n", "no line among the 2"),
        ("1\n2\n3\n7\n", "line 4 is id 7"),
        ("one\n", "expected one"),
    ):
        truth.write_text(text)
        with pytest.raises(DataError, match=match):
            read_images(f"imagenet:{tree}")
    truth.write_text("3\n1\n1\n2\n")
    (data / "meta.mat").write_bytes(b"damaged")
    with pytest.raises(DataError, match="not a readable list of synsets"):
        read_images(f"imagenet:{tree}")
    truth.unlink()
    with pytest.raises(DataError, match="ground_truth=FILE"):
        read_images(f"imagenet:{tree}")
    with pytest.raises(DataError, match="no such file"):
        read_images(f"imagenet:{tree}?ground_truth=nowhere.txt")
