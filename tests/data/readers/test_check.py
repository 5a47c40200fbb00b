from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image

from desali.data.readers import find_images
from desali.data.readers.alike import nearly_same, thumbnail
from desali.data.readers.check import check, text
from desali.errors import DataError
from tests.data.readers.trees import colour, emphysema, folders, hu, medgift, picture, talisman, tiff, write_slice


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
    assert left.findings == [
        "class and patient are confounded: 2 of 2 images of ground_glass are of patient4",
        "class and patient are confounded: 1 of 1 images of healthy are of patient3",
    ]
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
    assert (result.sizes["30x20x3"], len(result.findings)) == (1, 1)
    assert "patients are not stated, so every image stands for itself" in result.findings[0]
    assert "reading needs size=SIDE" in result.notes[0]
    assert check(str(tmp_path / "set"), size=8).notes == []
    tiff(tmp_path / "set" / "moss" / "ct.tif", hu(1))
    said = check(str(tmp_path / "set")).findings
    assert said[-2:] == [
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


def test_patients_that_are_not_stated_are_a_finding_where_they_could_be(tmp_path: Path) -> None:
    folders(tmp_path / "set", count=2)
    (finding,) = check(str(tmp_path / "set")).findings
    assert "name the patients (patient=...), or say patient=none" in finding
    assert check(str(tmp_path / "set"), patient="none").findings == []
    (tmp_path / "rois.csv").write_text("path,label\n" + "".join(
        f"{path.relative_to(tmp_path).as_posix()},{path.parent.name}\n" for path in (tmp_path / "set").rglob("*.png")
    ))  # fmt: skip
    (finding,) = check(f"table:{tmp_path / 'rois.csv'}?patient_column=none").findings
    assert "patient_column=..." in finding


def test_nearly_the_same_picture_on_both_sides_of_a_split_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for k in range(12):
            picture(tmp_path / part / "ab"[k % 2] / f"P{part[1]}{k}" / "1.png", smooth(rng))
    same = smooth(np.random.default_rng(7))
    picture(tmp_path / "train" / "a" / "Pr0" / "same.png", same)
    lighter = Image.fromarray(same).resize((40, 40), Image.Resampling.BICUBIC).point(lambda value: 0.8 * value + 30)
    lighter.save(tmp_path / "test" / "a" / "Pe0" / "lighter.jpg", quality=60)
    result = check(f"folder:{tmp_path}?patient=folder")
    (pair,) = result.near_duplicates
    assert set(pair["images"]) == {"train/a/Pr0/same.png", "test/a/Pe0/lighter.jpg"}
    assert (pair["crosses"], pair["likeness"] > 0.985) == ("splits", True)
    assert result.duplicates == []
    assert "1 pairs of images that are nearly the same across splits" in result.findings
    assert "lighter.jpg" in text(result)
    shutil.move(tmp_path / "test" / "a" / "Pe0" / "lighter.jpg", tmp_path / "train" / "a" / "Pr0" / "lighter.jpg")
    assert check(f"folder:{tmp_path}?patient=folder").near_duplicates == []


def smooth(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    small = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((48, 48), Image.Resampling.BICUBIC))


def test_a_shared_border_does_not_make_two_pictures_alike() -> None:
    rng = np.random.default_rng(3)
    pictures = rng.integers(90, 110, (2, 48, 48)).astype(np.uint8)
    pictures[:, :, 40:] = 255
    found = [thumbnail(one) for one in pictures]
    assert [one for one in found if one is None] == []
    stacked = [one for one in found if one is not None]
    assert float(stacked[0] @ stacked[1]) > 0.985
    assert list(nearly_same(stacked, ["a", "b"])) == []
    assert [pair[:2] for pair in nearly_same([stacked[0], stacked[0]], ["a", "b"])] == [(0, 1)]
    assert thumbnail(np.full((9, 9), 7, np.uint8)) is None


@pytest.mark.parametrize("date", ["2021-03-0{}", "201{}0401", "scan_2020.1{}.05"])
def test_a_folder_date_that_gives_the_class_away_is_a_finding(tmp_path: Path, date: str) -> None:
    rng = np.random.default_rng(1)
    for k in range(8):
        for clear in (True, False):
            label = "ab"[k % 2 if clear else k // 2 % 2]
            day = date.format(1 + k % 2)
            picture(tmp_path / f"{clear}" / label / f"P{k}" / day / "1.png", smooth(rng))
    told = check(f"folder:{tmp_path / 'True'}?patient=folder")
    assert any(
        "class and folder date are confounded: the folder date alone tells 100 %" in one for one in told.findings
    )
    assert check(f"folder:{tmp_path / 'False'}?patient=folder").confounded == []


def test_classes_whose_dates_lie_apart_are_a_finding(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for k in range(10):
        picture(tmp_path / "ab"[k // 5] / f"P{k}" / f"2021-0{1 + k // 5}-1{k}" / "1.png", smooth(rng))
    (finding,) = check(f"folder:{tmp_path}?patient=folder").findings
    assert finding == "class and folder date are confounded: nearly all of a is before the other classes"


def test_a_scanner_that_gives_the_class_away_is_a_finding(tmp_path: Path) -> None:
    for k in range(8):
        for clear in (True, False):
            label = "ab"[k % 2 if clear else k // 2 % 2]
            path = write_slice(tmp_path / f"{clear}" / label / f"{k}.dcm", hu(k), patient=f"P{k}")
            data = pydicom.dcmread(path)
            data.Manufacturer = ("SIEMENS", "GE")[k % 2]
            data.save_as(path)
    told = check(f"dicom:{tmp_path / 'True'}").findings
    assert told == [
        "class and scanner are confounded: the scanner alone tells 100 % of the cases (GE: b 4; SIEMENS: a 4)"
    ]
    assert check(f"dicom:{tmp_path / 'False'}").findings == []


def test_spaces_around_a_class_name_do_not_count(tmp_path: Path) -> None:
    for part, name in (("train", "wood "), ("train", "bark"), ("test", "wood"), ("test", "bark ")):
        picture(tmp_path / part / name / "1.png", colour(len(name)))
    assert find_images(str(tmp_path)).selection.classes == ("bark", "wood")
    picture(tmp_path / "train" / "bark " / "2.png", colour(3))
    with pytest.raises(DataError, match=r"the class 'bark' has two folders"):
        find_images(str(tmp_path))
