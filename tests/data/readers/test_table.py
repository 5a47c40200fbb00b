from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desali.data import read_images
from desali.errors import DataError
from tests.data.readers.trees import colour, hu, picture, tiff

TEXT = (
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=8)
    .map(str.strip)
    .filter(bool)
)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(tmp_path: Path) -> list[dict[str, Any]]:
    tiff(tmp_path / "ct" / "1.tif", hu(1, 64))
    tiff(tmp_path / "ct" / "2.tif", hu(2, 64))
    return [
        {"path": "ct/1.tif", "label": "NOR", "patient": "A", "box": "3,5,32", "split": "train"},
        {"path": "ct/1.tif", "label": "GGO", "patient": "A", "box": "30;32;32", "split": "train"},
        {"path": "ct/2.tif", "label": "GGO", "patient": "B", "box": "0,0,32", "split": "test"},
    ]


def check_rois(images: Any) -> None:
    assert (images.unit, images.images.shape) == ("hu", (3, 32, 32))
    np.testing.assert_array_equal(images.images[0], hu(1, 64)[3:35, 5:37])
    np.testing.assert_array_equal(images.images[1], hu(1, 64)[30:62, 32:64])
    np.testing.assert_array_equal(images.images[2], hu(2, 64)[:32, :32])
    assert images.classes == ("GGO", "NOR")
    assert images.labels.tolist() == [1, 0, 0]
    assert images.patients.tolist() == ["A", "A", "B"]
    assert images.splits.tolist() == ["train", "train", "test"]
    assert images.sources[1] == "ct/1.tif box 30,32,32"


def test_csv_with_boxes_and_parts(tmp_path: Path) -> None:
    check_rois(read_images(str(write(tmp_path / "rois.csv", rows_of(tmp_path)))))
    assert len(read_images(f"table:{tmp_path / 'rois.csv'}", split="test", classes="GGO,NOR")) == 1


def test_parquet_and_tsv(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    text = "\n".join("\t".join(map(str, row)) for row in [list(rows[0]), *(row.values() for row in rows)])
    (tmp_path / "rois.tsv").write_text(text)
    check_rois(read_images(str(tmp_path / "rois.tsv")))
    if importlib.util.find_spec("pyarrow") is None:
        pytest.skip("PACKAGE ABSENT: pyarrow (extra parquet). Reading Parquet was NOT checked.")
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rois.parquet")
    check_rois(read_images(str(tmp_path / "rois.parquet")))
    gaps = pyarrow.table({**{name: [row[name] for row in rows] for name in rows[0] if name != "patient"},
                          "patient": pyarrow.array([7.0, *[float("nan")] * (len(rows) - 1)])})  # fmt: skip
    parquet.write_table(gaps, tmp_path / "gaps.parquet")
    assert set(read_images(str(tmp_path / "gaps.parquet")).patients) == {"7", "(unknown patients)"}
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable Parquet"):
        read_images(str(tmp_path / "bad.parquet"))


def test_columns_of_other_names_and_y_x_size(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", colour(1))
    rows = [
        {"file": "a.png", "diagnosis": d, "case": c, "y": y, "x": 1, "size": 4}
        for d, c, y in (("p", "7", 0), ("q", "8", 5))
    ]
    spec = f"table:{write(tmp_path / 't.csv', rows)}?path_column=file&label_column=diagnosis&patient_column=case"
    images = read_images(spec)
    np.testing.assert_array_equal(images.images[1], colour(1)[5:9, 1:5])
    assert images.patients.tolist() == ["7", "8"]
    whole = read_images(spec, box_column="none")
    np.testing.assert_array_equal(whole.images[1], colour(1))


@settings(max_examples=25)
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8))
def test_any_labels_and_patients_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    home = tmp_path_factory.mktemp("table")
    patches = np.stack([hu(k, 4) for k in range(len(rows))])
    np.savez_compressed(home / "rois.npz", hu=patches)
    table = write(home / "t.csv", [{"label": label, "patient": patient} for label, patient in rows])
    images = read_images(f"table:{table}?array=rois.npz:hu")
    np.testing.assert_array_equal(images.images, patches)
    assert [images.classes[label] for label in images.labels] == [label for label, _ in rows]
    assert images.patients.tolist() == [patient for _, patient in rows]


def test_rows_of_an_array(tmp_path: Path) -> None:
    patches = np.stack([hu(k, 8) for k in range(4)])
    np.savez(tmp_path / "rois.npz", hu=patches, stored=(patches + 1024).astype(np.uint16), grey=colour(1, 4, 8))
    rows = [{"label": "abc"[k], "patient": "P", "index": 3 - k} for k in range(3)]
    spec = f"table:{write(tmp_path / 't.csv', rows)}?array=rois.npz"
    for key, offset in (("hu", None), ("stored", -1024.0)):
        images = read_images(f"{spec}:{key}", row_column="index", hu_offset=offset)
        np.testing.assert_array_equal(images.images, patches[[3, 2, 1]])
        assert images.images.dtype == np.int16
    with pytest.raises(DataError, match="3 lines for 4 images"):
        read_images(f"{spec}:hu")
    with pytest.raises(DataError, match="needs hu_offset"):
        read_images(f"{spec}:stored", row_column="index")
    with pytest.raises(DataError, match="no array 'nothing'"):
        read_images(f"{spec}:nothing")
    rows[2]["index"] = 4
    write(tmp_path / "t.csv", rows)
    with pytest.raises(DataError, match="row 4 lies outside"):
        read_images(f"{spec}:hu", row_column="index")
    (tmp_path / "rois.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"cannot be read as an .npz"):
        read_images(f"{spec}:hu", row_column="index")


def test_unknown_patients_stay_together(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", hu=np.stack([hu(k, 4) for k in range(4)]))
    rows = [{"label": "ab"[k % 2], "patient": ["A", "", "", "B"][k]} for k in range(4)]
    spec = f"table:{write(tmp_path / 't.csv', rows)}?array=r.npz:hu"
    images = read_images(spec)
    assert images.patients.tolist() == ["A", "(unknown patients)", "(unknown patients)", "B"]
    assert "2 images of unknown patients kept together" in images.origin
    assert read_images(spec, unknown_patients="leave_out").patients.tolist() == ["A", "B"]


def test_some_patients_are_read_and_others_kept_for_looking_at(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", hu=np.stack([hu(k, 4) for k in range(8)]))
    rows = [{"label": "ab"[k % 2], "patient": "AABBCC"[k] if k < 6 else ""} for k in range(8)]
    spec = f"table:{write(tmp_path / 't.csv', rows)}?array=r.npz:hu"
    assert read_images(f"{spec}&patients=C,A").patients.tolist() == ["A", "A", "C", "C"]
    assert read_images(f"{spec}&leave_out_patients=A").patients.tolist() == [*"BBCC", *["(unknown patients)"] * 2]
    assert read_images(spec, patients=["A", "B"], leave_out_patients="A").patients.tolist() == ["B", "B"]
    with pytest.raises(DataError, match=r"patients: t has no patient 'D'; it has A, B, C$"):
        read_images(spec, patients="A,D")
    with pytest.raises(DataError, match="leave no image"):
        read_images(spec, patients="A", leave_out_patients="A")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"box": "1,2"}, "line 3: box '1,2' must be y,x,size"),
        ({"box": "1,2,x"}, "expected a whole number"),
        ({"box": "50,50,32"}, "outside the image"),
        ({"path": ""}, "line 3: the column 'path' is empty"),
        ({"label": " "}, "line 3: the column 'label' is empty"),
        ({"split": "later"}, "unknown split 'later'"),
        ({"path": "ct/none.tif"}, "no such file"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, change: dict[str, str], match: str) -> None:
    rows = rows_of(tmp_path)
    rows[1].update(change)
    with pytest.raises(DataError, match=match):
        read_images(str(write(tmp_path / "rois.csv", rows)))


def test_bad_tables(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    for text, match in (
        ("path,label\na,b\n", "patient_column=none"),
        ("a;b\n", "has no column 'label'"),
        ("path,label,patient\n", "no lines below its header"),
        ("path,label,patient\na,b\n", "line 2: has not 3 cells"),
        ("", "columns: none"),
    ):
        table.write_text(text)
        with pytest.raises(DataError, match=match):
            read_images(f"table:{table}")
    table.write_bytes(b"path,label,patient\n\xff,b,c\n")
    with pytest.raises(DataError, match="expected UTF-8"):
        read_images(f"table:{table}")


def test_a_page_of_a_file_with_several_is_an_image(tmp_path: Path) -> None:
    import tifffile

    pages = np.stack([hu(k, 16) for k in range(3)])
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    table = tmp_path / "rois.csv"
    table.write_text('path,page,box,label,patient\nstack.tif,3,"0,0,8",a,p\nstack.tif,1,"4,4,8",b,q\n')
    images = read_images(f"table:{table}")
    np.testing.assert_array_equal(images.images, [pages[2, :8, :8], pages[0, 4:12, 4:12]])
    assert images.sources is not None
    assert images.sources.tolist() == ["stack.tif box 0,0,8 page 3", "stack.tif box 4,4,8 page 1"]
    table.write_text("path,page,label,patient\nstack.tif,0,a,p\n")
    with pytest.raises(DataError, match="counted from 1"):
        read_images(f"table:{table}")
