from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from desali.data.readers.check import check, text
from desali.errors import DataError
from tests.data.readers.trees import colour, emphysema, folders, hu, medgift, picture, talisman, tiff


def test_a_clean_set_has_counts_sizes_and_units(tmp_path: Path) -> None:
    emphysema(tmp_path)
    result = check(str(tmp_path))
    assert result.findings == []
    assert result.classes == {name: {"images": 4, "patients": 4} for name in ("NT", "CLE", "PSE")}
    assert result.patients == {f"subject{k}": 3 for k in (1, 2, 3, 4)}
    assert (result.images, result.sizes, result.units) == (12, {"61x61": 12}, {"hu": 12})
    assert result.hu_range is not None
    assert -1000 <= result.hu_range[0] < result.hu_range[1] < 400
    assert "4 patients: with fewer than ten patients" in result.notes[0]
    shown = text(result)
    assert "no findings" in shown
    assert "61x61 (12)" in shown


def test_everything_that_is_wrong_is_found_at_once(tmp_path: Path) -> None:
    for k, name in enumerate(("train/a/P1/1.png", "train/b/P2/1.png", "test/a/P1/2.png", "test/b/P3/1.png")):
        picture(tmp_path / name, colour(k))
    shutil.copy(tmp_path / "train/b/P2/1.png", tmp_path / "test/b/P3/copy.png")
    shutil.copy(tmp_path / "train/b/P2/1.png", tmp_path / "test/a/P1/copy.bmp")
    (tmp_path / "train" / "c" / "P4").mkdir(parents=True)
    (tmp_path / "test" / "b" / "P3" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = check(f"folder:{tmp_path}?patient=folder")
    said = "\n".join(result.findings)
    assert "1 of 7 images cannot be read" in said
    assert "no images of the class c" in said
    assert "1 patients are in several parts" in said
    assert "1 sets of images with the same pixels, 1 of them across patients, 1 of them across splits" in said
    assert result.shared_patients == {"P1": ["test", "train"]}
    assert sorted(result.duplicates[0]["images"]) == ["test/a/P1/copy.bmp", "test/b/P3/copy.png", "train/b/P2/1.png"]
    assert result.duplicates[0]["crosses"] == ["patients", "splits", "classes"]
    assert result.unreadable[0]["file"] == "test/b/P3/bad.png"
    assert result.splits == {"train": 2, "test": 5}
    shown = text(result)
    for name in ("bad.png", "copy.bmp", "P1: test, train", "FINDING"):
        assert name in shown


def test_unknown_labels_and_patients(tmp_path: Path) -> None:
    talisman(tmp_path / "t")
    result = check(str(tmp_path / "t"), labels="healthy:NOR")
    assert result.unknown_labels == {"ground_glass": 3}
    assert "ground_glass (3)" in result.findings[0]
    assert result.unknown_patients == 1
    assert any("unknown patients" in one for one in check(str(tmp_path / "t")).findings)
    left = check(str(tmp_path / "t"), unknown_patients="leave_out")
    assert left.findings == []
    assert "2 images of unknown patients are left out" in left.notes
    (tmp_path / "t" / "other.tif").write_bytes(b"")
    assert check(str(tmp_path / "t")).strays == ["other.tif"]
    medgift(tmp_path / "m")
    mapped = check(f"{tmp_path / 'm'}?labels=seven&leave_out=healthy")
    assert mapped.left_out == {"healthy": 3}
    assert mapped.classes == {"GGO": {"images": 1, "patients": 1}}


def test_sizes_that_differ_are_a_note_for_pictures_and_a_finding_for_hu(tmp_path: Path) -> None:
    folders(tmp_path / "set", count=1)
    picture(tmp_path / "set" / "bark" / "grey.png", colour(8)[..., 0])
    assert check(str(tmp_path / "set")).notes == []
    picture(tmp_path / "set" / "bark" / "long.png", colour(9, 30, 20))
    result = check(str(tmp_path / "set"))
    assert (result.findings, result.sizes["30x20x3"]) == ([], 1)
    assert "reading needs size=SIDE" in result.notes[0]
    assert check(str(tmp_path / "set"), size=8).notes == []
    tiff(tmp_path / "set" / "moss" / "ct.tif", hu(1))
    said = check(str(tmp_path / "set")).findings
    assert said == [
        "Hounsfield units and display values are mixed",
        "images in HU differ in size; they are never resized",
    ]


def test_a_set_of_unreadable_files_is_still_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"nothing")
    result = check(f"folder:{tmp_path}")
    assert len(result.unreadable) == 1
    assert result.hu_range is None
    assert "sizes: none" in text(result)
    with pytest.raises(DataError, match="no such file"):
        check(str(tmp_path / "nowhere"))
