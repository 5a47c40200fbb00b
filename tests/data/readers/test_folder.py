from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from desali.data import read_images
from desali.data.readers import detect
from desali.data.readers.check import check
from desali.errors import DataError, UnknownNameError
from desali.figures.batch import entries
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


LITTER = (".DS_Store", "._0.png", "Thumbs.db", "desktop.ini", ".hidden.png", "~$0.png")
ODD = ("healthy ", " lead", "肺炎", ".dot", "nan", "😀", "a,b", "$x$", "it's", "NA", "x=y&z")


def test_what_other_systems_leave_behind_is_ignored_everywhere(tmp_path: Path) -> None:
    root = tmp_path / "set"
    folders(root)
    plain = read_images(f"folder:{root}")
    for place in (root, root / "bark", root / "__MACOSX" / "bark", root / "bark" / "@eaDir", root / ".git" / "x"):
        place.mkdir(parents=True, exist_ok=True)
        for name in LITTER:
            (place / name).write_bytes(b"\0\5\x16\7")
        picture(place / "._picture.png", colour(5))
    picture(root / "__MACOSX" / "bark" / "a.png", colour(5))
    picture(root / "bark" / ".ipynb_checkpoints" / "a.png", colour(5))
    said: list[str] = []
    again = read_images(f"folder:{root}", report=said.append)
    assert again.fingerprint == plain.fingerprint
    assert said == []
    assert "passed_over" not in again.parameters
    assert len(entries(root, report=said.append)) == len(plain)
    assert said == []


def test_files_that_are_no_images_are_counted_and_named(tmp_path: Path) -> None:
    root = tmp_path / "set"
    folders(root)
    (root / "README").write_text("read me")
    (root / "bark" / "notes.txt").write_text("some notes")
    Image.fromarray(colour(1)).save(root / "moss" / "moving.gif")
    (root / "moss" / "gone.lnk").symlink_to(tmp_path / "nowhere")
    said: list[str] = []
    images = read_images(f"folder:{root}", report=said.append)
    names = "README, bark/notes.txt, moss/gone.lnk, moss/moving.gif"
    assert said == [f"set: 4 files are passed over, no images: {names}"]
    assert images.parameters["passed_over"] == {"files": 4, "such_as": names.split(", ")}
    assert f"4 files are passed over, no images: {names}" in check(f"folder:{root}").notes
    said.clear()
    assert len(entries(root, report=said.append)) == len(images)
    assert said == [f"4 files are passed over, no images: {names}"]


def test_an_image_is_known_by_its_content(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for label in ("bark", "moss"):
        path = picture(root / label / "a.png", colour(1 if label == "bark" else 2))
        path.rename(root / label / "a")
        path = picture(root / label / "b.jpg", colour(3))
        path.rename(root / label / "b.dat")
    assert len(read_images(f"folder:{root}")) == 4
    assert detect(root).name == "folder"
    assert [entry.path.name for entry in entries(root)] == ["a", "b.dat", "a", "b.dat"]
    (root / "bark" / "c.png").write_text("no picture")
    with pytest.raises(DataError, match=r"1 of 5 images cannot be read: .*c\.png: not an image in a known format"):
        read_images(f"folder:{root}")


def test_class_folders_with_odd_names(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for k, name in enumerate(ODD):
            picture(tmp_path / part / name / "a.png", colour(k))
    images = read_images(f"folder:{tmp_path}")
    assert set(images.classes) == {name.strip() for name in ODD}
    again = read_images(f"folder:{tmp_path}", classes=images.classes, split="test")
    assert again.classes == images.classes
    assert len(again) == len(ODD)


def test_one_class_written_in_two_forms_of_unicode_is_one(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "re\N{LATIN SMALL LETTER E WITH ACUTE}seau" / "a.png", colour(1))
    picture(tmp_path / "test" / "ree\N{COMBINING ACUTE ACCENT}seau" / "a.png", colour(2))
    assert len(read_images(f"folder:{tmp_path}").classes) == 1


def test_patient_folders_may_be_links_and_a_loop_ends(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "a.png", colour(1))
    picture(tmp_path / "set" / "bark" / "p1" / "a.png", colour(2))
    (tmp_path / "set" / "bark" / "p2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    images = read_images(f"folder:{tmp_path / 'set'}", patient="folder")
    assert sorted(images.patients.tolist()) == ["p1", "p2"]


def test_grey_that_is_stored_in_colour_makes_a_grey_set(tmp_path: Path) -> None:
    for label in ("bark", "moss"):
        picture(tmp_path / "set" / label / "a.png", np.repeat(colour(1)[..., :1], 3, axis=-1))
    said: list[str] = []
    spec = f"folder:{tmp_path / 'set'}"
    grey = read_images(spec, report=said.append, cache=tmp_path / "cache")
    assert grey.images.ndim == 3
    assert said == ["set: 2 of 2 images: Stored in colour, but its channels are equal: taken as grey (colour keeps "
                    "them apart)."]  # fmt: skip
    again = read_images(spec, cache=tmp_path / "cache")
    assert again.parameters["treated"] == grey.parameters["treated"]
    assert read_images(spec, colour=True, cache=tmp_path / "cache").images.ndim == 4
    assert read_images(f"{spec}?colour=true").images.ndim == 4
    with pytest.raises(DataError, match="colour=maybe: expected true or false"):
        read_images(f"{spec}?colour=maybe")
