from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from desali.data import read_images
from desali.data.readers.contours import windows
from desali.data.readers.medgift import read_contours
from desali.errors import DataError
from tests.data.readers.trees import SPACING, contour, medgift


def test_windows_are_cut_from_the_slice_that_the_contour_names(tmp_path: Path) -> None:
    slices = medgift(tmp_path)
    images = read_images(str(tmp_path))
    assert images.parameters["reader"] == "medgift"
    assert (images.unit, images.images.shape) == ("hu", (4, 32, 32))
    assert images.classes == ("ground_glass", "healthy")
    expected = [
        (slices["101"][1][10:42, 20:52], "healthy", "101"),  # slice 2 is CT-7-10, not the second by name
        (slices["101"][1][42:74, 20:52], "healthy", "101"),
        (slices["101"][2][0:32, 0:32], "ground_glass", "101"),
        (slices["102"][0][5:37, 6:38], "healthy", "102"),
    ]
    for k, (pixels, label, patient) in enumerate(expected):
        np.testing.assert_array_equal(images.images[k], pixels)
        assert images.classes[images.labels[k]] == label
        assert images.patients[k] == patient
    assert "at least 0.75 of each inside its contour" in images.origin


def test_a_window_never_reaches_beyond_the_image(tmp_path: Path) -> None:
    medgift(tmp_path)
    head = "SpacingX: 0.5\nSpacingY: 0.5\n"
    (tmp_path / "102" / "CT-7.txt").write_text(head + contour("healthy", 1, (70, 0, 95, 95)))
    assert {name.split("/")[0] for name in read_images(str(tmp_path)).sources.tolist()} == {"101"}  # type: ignore[union-attr]
    (tmp_path / "102" / "CT-7.txt").write_text(head + contour("healthy", 1, (64, -40, 99, 95)))
    images = read_images(str(tmp_path))
    assert images.sources is not None
    assert [name.split(" box ")[1] for name in images.sources[-3:]] == ["64,0,32", "64,32,32", "64,64,32"]


def test_side_stride_and_share_are_options(tmp_path: Path) -> None:
    medgift(tmp_path)
    assert len(read_images(f"{tmp_path}?stride=16")) == 5  # 10, 26, 42 down the long contour of 64 x 32, and the others
    assert len(read_images(f"{tmp_path}?window=16&inside=1")) == 8 + 4 + 4
    assert "1 contours are too small" not in read_images(str(tmp_path)).origin
    big = read_images(f"{tmp_path}?window=40&inside=0.5", leave_out="ground_glass")
    assert big.images.shape[1:] == (40, 40)
    for bad in ("window=0", "window=8.5", "inside=0", "inside=2", "stride=x"):
        with pytest.raises(DataError, match=bad.split("=")[0]):
            read_images(f"{tmp_path}?{bad}")


def test_labels_go_to_the_seven_classes_by_an_explicit_table(tmp_path: Path) -> None:
    medgift(tmp_path)
    images = read_images(f"{tmp_path}?labels=seven")
    assert images.classes == ("GGO", "NOR")
    (tmp_path / "101" / "CT-7.txt").write_text(
        (tmp_path / "101" / "CT-7.txt").read_text() + contour("fibrosis", 1, (0, 0, 31, 31))
    )
    with pytest.raises(DataError, match=r"no class is known for: fibrosis \(1\)"):
        read_images(f"{tmp_path}?labels=seven")
    assert read_images(f"{tmp_path}?labels=seven,fibrosis:HCM").classes == ("GGO", "HCM", "NOR")
    assert read_images(f"{tmp_path}?labels=seven&leave_out=fibrosis").classes == ("GGO", "NOR")
    table = tmp_path / "table.csv"
    table.write_text("label,class\nhealthy,normal\nground_glass,ill\nfibrosis,\n")
    images = read_images(f"medgift:{tmp_path}", labels=str(table))
    assert images.classes == ("ill", "normal")
    assert images.parameters["left_out"] == {"fibrosis": 1}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("label: a\nslice_number: 1\nnb_points_on_contour: 3\n", "without label"),
        (f"SpacingX: 1\nSpacingY: 1\n{contour('a', 9, (0, 0, 40, 40))}", "slice 9, but 3"),
        (f"SpacingX: 1\nSpacingY: 0\n{contour('a', 1, (0, 0, 40, 40))}", "line 2: SpacingY is 0"),
        (f"SpacingX: 1\nSpacingY: 1\n{contour('a', 1, (0, 0, 40, 40))}1 2\n", "more points than"),
        ("SpacingX: 1\nSpacingY: 1\nlabel: a\nslice_number: 1\nnb_points_on_contour: 3\n1 2\n", "ends 2 points"),
        ("SpacingX: 1\nSpacingY: 1\nlabel: a\nslice_number: 1\nnb_points_on_contour: 3\n1 b\n", "line 6: 'b'"),
        ("SpacingX: 1\nSpacingY: 1\nlabel: a\nslice_number: 0\n", "line 4: '0'"),
    ],
)
def test_contour_files_that_do_not_follow_the_format(tmp_path: Path, text: str, match: str) -> None:
    medgift(tmp_path)
    (tmp_path / "101" / "CT-7.txt").write_text(text)
    with pytest.raises(DataError, match=match):
        read_images(f"medgift:{tmp_path}")


def test_points_are_divided_by_the_spacing(tmp_path: Path) -> None:
    path = tmp_path / "CT-1.txt"
    path.write_text(
        "SpacingX: 0.5\nSpacingY: 0.25\nlabel: a b\nslice_number: 4\nnb_points_on_contour: 2\n3 4\n1.5 -2\n"
    )
    (found,) = read_contours(path)
    assert (found.label, found.slice_number, found.points) == ("a b", 4, [(6.0, 16.0), (3.0, -8.0)])
    assert SPACING == 0.5


@settings(max_examples=20)
@given(
    points=st.lists(st.tuples(st.floats(-5, 60), st.floats(-5, 60)), min_size=3, max_size=8),
    side=st.integers(1, 12),
    stride=st.integers(1, 12),
    inside=st.floats(0.1, 1),
)
def test_every_window_has_its_share_inside(
    points: list[tuple[float, float]], side: int, stride: int, inside: float
) -> None:
    outline = Outline(np.asarray(points))
    for y, x in windows(points, side, stride, inside):
        assert y >= 0
        assert x >= 0
        centres = [(x + i, y + j) for j in range(side) for i in range(side)]
        assert outline.contains_points(centres).mean() >= inside - 1e-9
