from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from desali.data import READERS, read_images
from desali.data.preprocess import fit
from desali.data.readers import detect
from desali.data.readers.labels import LABEL_TABLES, label_table
from desali.data.synthetic.classes import TARGET_CLASSES
from desali.errors import DataError, DesaliError, UnknownNameError
from tests.data.readers.trees import colour, emphysema, folders, hu, medgift, picture, talisman, tiff, write_slice


@pytest.mark.parametrize("make", [talisman, emphysema, medgift])
def test_a_format_is_told_from_its_names_and_is_the_same_when_named(tmp_path: Path, make: object) -> None:
    make(tmp_path)  # type: ignore[operator]
    bare = read_images(str(tmp_path))
    named = read_images(f"{make.__name__}:{tmp_path}")  # type: ignore[attr-defined]
    assert bare.parameters["reader"] == named.parameters["reader"] == make.__name__  # type: ignore[attr-defined]
    assert bare.fingerprint == named.fingerprint
    assert detect(tmp_path).name == bare.parameters["reader"]


def test_several_formats_are_an_error_that_lists_them(tmp_path: Path) -> None:
    folders(tmp_path)
    write_slice(tmp_path / "ct" / "1.dcm", hu(1))
    with pytest.raises(DataError, match=f"folder:{tmp_path} or dicom:{tmp_path}"):
        read_images(str(tmp_path))
    talisman(tmp_path / "a")
    emphysema(tmp_path)
    with pytest.raises(DataError, match=r"talisman:.* or emphysema:"):
        read_images(str(tmp_path))


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("nowhere", "no such file or folder"),
        ("foldr:nowhere", "did you mean 'folder'"),
        ("folder:", "names no path"),
        ("", "names no path"),
        ("folder:nowhere", "no such file"),
        ("{}?patient", "is no option"),
        ("{}", "no known format fits"),
    ],
)
def test_bad_specifications(tmp_path: Path, spec: str, match: str) -> None:
    with pytest.raises(DesaliError, match=match) as error:
        read_images(spec.format(tmp_path))
    assert "\n" not in str(error.value)


def test_options_in_the_specification_and_in_the_call(tmp_path: Path) -> None:
    folders(tmp_path / "set")
    images = read_images(f"{tmp_path / 'set'}?size=6&proxy=guessed&leave_out=moss")
    assert images.images.shape == (3, 6, 6, 3)
    assert "PROXY LABELS (guessed)" in images.origin
    assert read_images(f"{tmp_path / 'set'}?size=6", size=5).images.shape[1] == 5
    again = read_images(images.parameters["spec"])
    assert again.fingerprint == images.fingerprint
    for bad in ("size=x", "size=0", "hu_offset=x", "labels=x", "classes=bark,bark", "leave_out=stone"):
        with pytest.raises(DataError):
            read_images(f"{tmp_path / 'set'}?{bad}")
    with pytest.raises(UnknownNameError, match="choose from together, leave_out"):
        read_images(f"{tmp_path / 'set'}?unknown_patients=guess")


def test_unreadable_images_are_counted_named_and_skipped_only_on_request(tmp_path: Path) -> None:
    folders(tmp_path / "set", count=20)
    for k in range(7):
        (tmp_path / "set" / "bark" / f"{k}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"7 of 40 images cannot be read: .*0\.png.* and 2 more .*--skip-unreadable"):
        read_images(str(tmp_path / "set"))
    said: list[str] = []
    images = read_images(str(tmp_path / "set"), skip_unreadable=True, report=said.append)
    assert len(images) == 33
    assert len(images.parameters["unreadable"]) == 7
    assert "7 of 40" in said[0]
    for path in (tmp_path / "set" / "bark").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="every image of the class bark is unreadable"):
        read_images(str(tmp_path / "set"), skip_unreadable=True)
    for path in (tmp_path / "set" / "moss").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="none of the first 40 images can be read"):
        read_images(str(tmp_path / "set"), skip_unreadable=True)


def test_classes_of_a_trained_model(tmp_path: Path) -> None:
    folders(tmp_path / "set")
    images = read_images(str(tmp_path / "set"), classes=["moss", "stone", "bark"])
    assert images.classes == ("moss", "stone", "bark")
    assert images.labels.tolist() == [2, 2, 2, 0, 0, 0]
    with pytest.raises(DataError, match=r"no class is known for: moss \(3\)"):
        read_images(str(tmp_path / "set"), classes="bark")


def test_sizes_units_and_colours(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png", colour(1)[..., 0])
    picture(tmp_path / "b" / "1.png", colour(2))
    images = read_images(str(tmp_path))
    np.testing.assert_array_equal(images.images[0], np.repeat(colour(1)[..., :1], 3, axis=-1))
    picture(tmp_path / "b" / "2.png", colour(2, 20, 14))
    with pytest.raises(DataError, match=r"20 x 14 pixels, but .* has 12 x 12; pass size=SIDE"):
        read_images(str(tmp_path))
    assert read_images(str(tmp_path), size=8).images.shape == (3, 8, 8, 3)
    tiff(tmp_path / "b" / "3.tif", hu(1, 8))
    with pytest.raises(DataError, match=r"holds Hounsfield units, but .* holds display values"):
        read_images(str(tmp_path), size=8)
    (tmp_path / "b" / "3.tif").unlink()
    tiff(tmp_path / "c" / "4.tif", np.full((8, 8), 40000, np.int32))
    with pytest.raises(DataError, match="beyond 16 bits"):
        read_images(str(tmp_path), size=8)


@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 24), grey=st.booleans())
def test_fit_gives_a_centred_square(height: int, width: int, size: int, grey: bool) -> None:
    pixels = colour(1, height, width)
    pixels = pixels[..., 0] if grey else pixels
    result = fit(pixels, size)
    assert result.shape[:2] == (size, size)
    if min(height, width) == size:
        top, left = (height - size) // 2, (width - size) // 2
        np.testing.assert_array_equal(result, pixels[top : top + size, left : left + size])
    np.testing.assert_array_equal(fit(np.full((height, width), 7, np.uint8), size), 7)


def test_warning_filters_and_threads_leave_nothing_behind(tmp_path: Path) -> None:
    import logging
    import warnings

    filters = list(warnings.filters)
    for k in range(40):
        tiff(tmp_path / "a" / f"{k}.tif", hu(k))
        write_slice(tmp_path / "b" / f"{k}.dcm", hu(k))
    assert len(read_images(f"folder:{tmp_path}", workers=8)) == 80
    assert list(warnings.filters) == filters
    assert not logging.getLogger("tifffile").disabled


def test_tables_of_labels(tmp_path: Path) -> None:
    assert set(LABEL_TABLES["seven"].values()) == set(TARGET_CLASSES)
    assert label_table(None) is None
    assert label_table("a:b, c:") == {"a": "b", "c": ""}
    assert label_table({"a": "b", "c": None}) == {"a": "b", "c": ""}
    (tmp_path / "t.json").write_text('{"a": "b", "c": null}')
    assert label_table(str(tmp_path / "t.json")) == {"a": "b", "c": ""}
    for name, text in (("t.json", "[1]"), ("t.json", "{"), ("t.csv", "a,b\n"), ("u.csv", None)):
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match="expected"):
            label_table(str(tmp_path / name))


def test_every_reader_refuses_a_path_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    Image.fromarray(colour(1)).save(tmp_path / "a.png")
    for name in READERS:
        for path in (tmp_path / "empty", tmp_path / "a.png"):
            with pytest.raises(DataError) as error:
                read_images(f"{name}:{path}")
            assert str(path) in str(error.value)
            assert "\n" not in str(error.value)
