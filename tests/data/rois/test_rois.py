"""ROI tables: each form of annotation, each rule, the way back through `table:`, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from desali.data.readers import read_images
from desali.data.readers.dicom_series import patient_of
from desali.data.roi import read_image
from desali.data.rois.make import check, rois, write
from desali.data.rois.options import RoiOptions
from desali.data.rois.placing import Square, on_box, overlap, without_overlap
from desali.errors import DataError, DesaliError, OutputError
from tests.data.rois.series import ct_series, nifti, segmentation

SIDE = RoiOptions(size_mm=4)  # 8 pixels of 0.5 mm


@pytest.fixture
def series(tmp_path: Path) -> Path:
    ct_series(tmp_path / "ct")
    return tmp_path / "ct"


def lines(found: Any) -> list[tuple[str, int, int, int, str]]:
    return [(one.slice.name, one.square.y, one.square.x, one.square.side, one.label) for one in found.found]


def cut(series: Path, text: str, options: RoiOptions = SIDE, name: str = "boxes.csv") -> Any:
    path = series.parent / name
    path.write_text(text)
    return rois(series, [path], options)


HEAD = "path,label,x_min,y_min,x_max,y_max\n"


def test_each_form_of_boxes_gives_the_same_squares(series: Path) -> None:
    expected = [("s1.dcm", 16, 10, 8, "a"), ("s3.dcm", 20, 20, 8, "b")]
    corners = HEAD + "s1.dcm,a,12,18,16,22\ns3.dcm,b,22,20,26,28\n"
    assert lines(cut(series, corners)) == expected
    assert lines(cut(series, "file,class,x,y,w,h\ns1,a,12,18,4,4\ns3,b,22,20,4,8\n")) == expected
    assert lines(cut(series, "image,label,x,y\ns1.dcm,a,14,20\n./s3.dcm,b,24,24\n")) == expected
    coco = {
        "images": [{"id": 7, "file_name": "s1.dcm"}, {"id": 9, "file_name": "deep/s3.dcm"}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [12, 18, 4, 4]},
            {"image_id": 9, "category_id": 2, "bbox": [22, 20, 4, 8]},
        ],
    }
    assert lines(cut(series, json.dumps(coco), name="boxes.json")) == expected
    folder = series.parent / "voc"
    folder.mkdir()
    for name, label, box in (("s1.dcm", "a", (13, 19, 16, 22)), ("s3.dcm", "b", (23, 21, 26, 28))):
        bounds = "".join(
            f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        )
        (folder / f"{name}.xml").write_text(
            f"<annotation><filename>{name}</filename><object><name>{label}</name><bndbox>{bounds}</bndbox></object>"
            "</annotation>"
        )
    assert lines(rois(series, [folder], SIDE)) == expected


def test_the_spacing_decides_how_many_pixels(tmp_path: Path) -> None:
    for name, spacing in (("one", 0.5), ("two", 0.8)):
        ct_series(tmp_path / "ct" / name, 1, spacing=spacing, patient=name)
    text = "path,label,x,y\none/s0.dcm,a,20,20\ntwo/s0.dcm,b,20,20\n"
    found = cut(tmp_path / "ct", text)
    assert [(one[3], one[4]) for one in lines(found)] == [(8, "a"), (5, "b")]
    write(found, tmp_path / "out" / "rois.csv")
    images = read_images(f"table:{tmp_path / 'out' / 'rois.csv'}", cache=False)
    assert images.images.shape == (2, 6, 6)  # of the median
    assert images.images.dtype == np.int16
    assert sorted(set(images.patients)) == sorted({patient_of("one"), patient_of("two")})
    again = cut(tmp_path / "ct", text, RoiOptions(size_mm=4, pixels=8))
    write(again, tmp_path / "rois.csv")
    whole = read_images(f"table:{tmp_path / 'rois.csv'}", cache=False).images
    assert np.array_equal(whole[0], read_image(tmp_path / "ct/one/s0.dcm", box=(16, 16, 8)).pixels)  # left as it is


def test_small_large_at_the_border_and_outside(series: Path) -> None:
    def one(*box: float) -> list[tuple[int, int]]:
        found = on_box(box, 8, 8, (48, 40))  # type: ignore[arg-type]
        assert found is not None
        return [(square.y, square.x) for square in found]

    assert one(20, 20, 2, 2) == [(17, 17)]
    assert one(0, 0, 8, 8) == [(0, 0)]
    assert one(4, 4, 16, 17) == [(4, 5), (4, 13), (12, 5), (12, 13)]  # as many as lie inside, about the centre
    assert one(4, 10, 20, 3) == [(6, 8), (14, 8)]  # two down, one across
    assert one(46, 38, 2, 2) == [(40, 32)]  # moved inside
    assert one(0, 1, 0, 0) == [(0, 0)]
    assert one(-6, -4, 15, 12) == [(1, 0)]  # of the box 9 x 8 pixels are left
    assert on_box((60, 2, 4, 4), 8, 8, (48, 40)) is None
    assert on_box((2, 2, 4, 4), 50, 50, (48, 40)) is None
    found = cut(series, HEAD + "s0.dcm,a,38,46,40,48\ns0.dcm,a,100,100,110,110\n")
    assert lines(found) == [("s0.dcm", 40, 32, 8, "a")]
    assert "left out: 1 images or boxes too small or outside" in found.summary()
    with pytest.raises(DataError, match=r"no ROI of 40 mm is left \(1 images or boxes too small or outside\)"):
        cut(series, HEAD + "s0.dcm,a,3,3,9,9\n", RoiOptions(size_mm=40))


@given(
    st.tuples(st.floats(0, 40), st.floats(0, 40), st.floats(0, 40), st.floats(0, 40)),
    st.integers(2, 30), st.integers(1, 30),
)  # fmt: skip
@settings(max_examples=80)
def test_squares_lie_in_the_image_and_cover_what_they_can(
    box: tuple[float, float, float, float], side: int, step: int
) -> None:
    shape = (41, 37)
    found = on_box(box, side, step, shape)
    if found is None:
        assert side > 37 or box[0] + box[2] / 2 > 41 or box[1] + box[3] / 2 > 37
        return
    assert found
    assert len(set(found)) == len(found)
    assert all(0 <= one.y <= shape[0] - side and 0 <= one.x <= shape[1] - side for one in found)
    if step >= side:
        assert all(overlap(one, other) == 0 for one in found for other in found if one != other)


def test_of_two_that_overlap(series: Path) -> None:
    doubles = cut(
        series, HEAD + "s0.dcm,a,10,10,18,18\ns0.dcm,a,11,11,19,19\ns0.dcm,b,30,30,34,34\ns1.dcm,b,10,10,18,18\n"
    )
    assert [one[0::4] for one in lines(doubles)] == [("s0.dcm", "a"), ("s0.dcm", "b"), ("s1.dcm", "b")]
    assert doubles.left_out["overlap another of the same label"] == 1
    between = cut(series, HEAD + "s0.dcm,a,10,10,18,18\ns0.dcm,b,11,11,19,19\ns0.dcm,b,30,30,34,34\n")
    assert [one[4] for one in lines(between)] == ["b"]
    assert between.left_out["overlap one of another label"] == 2
    assert overlap(Square(0, 0, 8), Square(0, 4, 8)) == 0.5
    assert without_overlap([(Square(0, 0, 8), "a", 1), (Square(0, 4, 8), "b", 2)], 0.5) == ([0, 1], 0, 0)
    assert without_overlap([(Square(0, 0, 8), "a", 1), (Square(0, 1, 8), "a", 1)], 0.5) == ([0, 1], 0, 0)  # one box's


def masks() -> Any:
    """Value 1: a square on slices 1 to 3; value 2: two regions on slice 2."""
    found = np.zeros((4, 48, 40), np.uint8)
    found[1:, 4:28, 4:30] = 1
    found[2, 40:44, 10:14] = found[2, 40:44, 30:34] = 2
    return found


EXPECTED = [("s2.dcm", 38, 8, 8, "nodule"), ("s2.dcm", 38, 28, 8, "nodule")]


@pytest.mark.parametrize("flip", [False, True])
def test_nifti_masks_lie_on_their_slices_by_position(series: Path, flip: bool) -> None:
    pytest.importorskip("nibabel")
    path = nifti(series.parent / "mask.nii.gz", masks(), flip=flip)
    options = RoiOptions(size_mm=4, labels=("2:nodule",))
    assert lines(rois(series, [path], options)) == EXPECTED
    grid = RoiOptions(size_mm=4, labels=("1:lung",), grid=True, every=2)
    found = lines(rois(series, [path], grid))
    assert {one[0] for one in found} == {"s1.dcm", "s3.dcm"}  # of three slices the first and the one two after it
    assert [one[1:3] for one in found if one[0] == "s1.dcm"] == [
        (y, x) for y in (4, 12, 20) for x in (4, 12, 20)
    ]  # the last column, from 28 on, is in the mask by a quarter
    part = RoiOptions(size_mm=4, labels=("1:lung",), grid=True, inside=0.25)
    assert len(rois(series, [path], part).found) == 3 * 12
    all_of = lines(rois(series, [path], RoiOptions(size_mm=4, every=9)))
    assert {one[4] for one in all_of} == {"1", "2"}


def test_segmentations_lie_on_the_slices_they_name(series: Path) -> None:
    pytest.importorskip("highdicom")
    files = sorted(series.glob("*.dcm"))
    path = segmentation(series.parent / "seg.dcm", files, masks(), ["lung", "nodule"])
    found = rois(series, [path], RoiOptions(size_mm=4, labels=("2:nodule",)))
    assert lines(found) == EXPECTED
    every = rois(series, [path], RoiOptions(size_mm=4, max_overlap=0, grid=True))
    assert {one.label for one in every.found} <= {"lung", "nodule"}
    inside = segmentation(series / "seg.dcm", files, masks(), ["lung", "nodule"])  # beside the slices: no image
    assert lines(rois(series, [inside], RoiOptions(size_mm=4, labels=("2:finding",))))[0][4] == "finding"
    ct_series(series.parent / "other", patient="other")
    with pytest.raises(DataError, match="segments 4 images, none of them below"):
        rois(series.parent / "other", [path], SIDE)


def test_masks_of_pictures_go_by_order(tmp_path: Path) -> None:
    pytest.importorskip("nibabel")
    folder = tmp_path / "ct" / "P7"
    folder.mkdir(parents=True)
    for number in range(4):
        Image.fromarray(np.full((48, 40), 10 * number, np.uint8)).save(folder / f"s{number}.png")
    path = nifti(tmp_path / "mask.nii", masks())
    with pytest.raises(DataError, match=r"s1.png: does not say how large its pixels are; .* with --spacing"):
        rois(tmp_path / "ct", [path], SIDE)
    found = rois(tmp_path / "ct", [path], RoiOptions(size_mm=4, spacing=0.5, labels=("2:nodule",)))
    assert [(one.slice.name, one.patient, one.square.y) for one in found.found] == [("P7/s2.png", "P7", 38)] * 2
    (folder / "s3.png").unlink()
    with pytest.raises(DataError, match="4 slices of 48 x 40 pixels for 3 images without positions"):
        rois(tmp_path / "ct", [path], RoiOptions(spacing=0.5))


def test_the_table_is_read_as_it_is_and_names_nobody(series: Path, tmp_path: Path) -> None:
    found = cut(series, HEAD + "s1.dcm,a,12,18,16,22\ns3.dcm,b,22,20,26,28\n")
    table = tmp_path / "out" / "rois.csv"
    record = write(found, table, ["desali", "data", "rois"])
    text = table.read_text() + record.read_text() + found.summary()
    assert not any(word in text for word in ("DOE", "JOHN", "77"))
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["patient"] for row in rows] == [patient_of("DOE^JOHN 77")] * 2
    assert [row["slice"] for row in rows] == ["s1.dcm", "s3.dcm"]
    assert json.loads(record.read_text())["labels"] == {"a": 1, "b": 1}
    images = read_images(f"table:{table}", cache=False)
    assert images.classes == ("a", "b")
    assert np.array_equal(images.images[0], read_image(series / "s1.dcm", box=(16, 10, 8)).pixels)
    assert np.array_equal(images.images[1], read_image(series / "s3.dcm", box=(20, 20, 8)).pixels)


def test_colour_pictures_and_their_patients(tmp_path: Path) -> None:
    for name in ("P1", "P2"):
        (tmp_path / "ct" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "ct" / name / "x.png")
    text = "path,label,x,y,patient\nP1/x.png,a,10,10,\nP2/x.png,b,10,10,Q\n"
    found = cut(tmp_path / "ct", text, RoiOptions(size_mm=4, spacing=1))
    assert [one.patient for one in found.found] == ["P1", "Q"]
    with pytest.raises(DataError, match=r"line 2: image 'x.png': 2 images below .* have that name"):
        cut(tmp_path / "ct", "path,label,x,y\nx.png,a,10,10\n", RoiOptions(spacing=1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label,x,y\na,1,2\n", r"has no column of the image \(columns: label, x, y\); name it 'path'"),
        ("path,x,y\ns0.dcm,1,2\n", "has no column of the label"),
        ("path,label,x\ns0.dcm,a,2\n", "has no columns of a box .* expected x_min,y_min,x_max,y_max"),
        (HEAD + "s0.dcm,a,1,2,3,oops\n", r"line 2: column 'y_max' is 'oops'; expected a number of pixels"),
        (HEAD + "s0.dcm,a,1,2,3,nan\n", "expected a number of pixels"),
        (HEAD + "s0.dcm,a,9,2,3,4\n", r"line 2: the box is -6 x 2 pixels"),
        (HEAD + "s9.dcm,a,1,2,3,4\n", r"line 2: image 's9.dcm': no such image below"),
        (HEAD + "s0.dcm,,1,2,3,4\n", "line 2: the column 'label' is empty"),
        (HEAD, r"no ROI of 4 mm is left \(the annotations hold no region\)"),
    ],
)
def test_what_is_no_table_of_boxes_is_said(series: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        cut(series, text)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", b"{", "not JSON"),
        ("a.json", b"[" * 9999, "not JSON"),
        ("a.json", b'{"images": []}', "no COCO file"),
        ("a.json", b'{"images": [], "categories": [], "annotations": [{"image_id": 3}]}', "annotation 1: 3 is missing"),
        ("a.xml", b"<a>", "not XML"),
        ("a.xml", b"<!DOCTYPE x [<!ENTITY a 'b'>]><annotation/>", "declares a document type or entities"),
        ("a.xml", b"<annotation><filename>s0</filename><object/></annotation>", "object 1: has no <name>"),
        ("a.csv", b"\xff\xfe\x00", "not UTF-8 text"),
        ("a.txt", b"1,2", r"expected boxes as .csv, .json \(COCO\) or .xml"),
        ("a.nii", b"nothing", "the NIfTI file is truncated or damaged"),
        ("a.dcm", b"\0" * 128 + b"DICM" + b"x" * 40, "no readable DICOM SEG"),
    ],
)
def test_broken_annotations_are_one_line(series: Path, name: str, content: bytes, words: str) -> None:
    path = series.parent / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as raised:
        rois(series, [path], SIDE)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_options_and_outputs_are_checked(series: Path, tmp_path: Path) -> None:
    for wrong in (("lung",), ("0:lung",), ("x:lung",), ("1:",)):
        with pytest.raises(DesaliError, match="labels must be VALUE:NAME"):
            RoiOptions(labels=wrong)
    with pytest.raises(OutputError, match=r"rois.txt: the table is written as .csv"):
        check(tmp_path / "rois.txt")
    with pytest.raises(DataError, match="--grid lays ROIs over masks"):
        cut(series, HEAD, RoiOptions(grid=True))
    with pytest.raises(DataError, match="no such file or folder; expected annotations"):
        rois(series, [tmp_path / "nothing.csv"], SIDE)
    with pytest.raises(DataError, match="no such file or folder; expected the images"):
        rois(tmp_path / "nowhere", [], SIDE)
    with pytest.raises(DataError, match=r"0.6 mm are less than two of its pixels"):
        cut(series, HEAD + "s0.dcm,a,1,2,3,4\n", RoiOptions(size_mm=0.6))
