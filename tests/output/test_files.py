"""An output path is tried before long work, and trying leaves nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from desali.errors import OutputError
from desali.output.files import check_writable


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("name", ["here", "new/one", "new/a/b/c.v1", "there/c.v1", "there"])
def test_a_path_that_can_be_written_leaves_no_trace(tmp_path: Path, name: str, folder: bool) -> None:
    (tmp_path / "there").mkdir()
    before = everything(tmp_path)
    if name == "there" and not folder:
        with pytest.raises(OutputError, match="is a folder, expected a file name"):
            check_writable(tmp_path / name)
    else:
        check_writable(tmp_path / name, folder=folder)
    assert everything(tmp_path) == before


def test_a_folder_is_not_named_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"out\.png: has the name of a file, and a folder"):
        check_writable(tmp_path / "out.png", folder=True)
    (tmp_path / "odd.png").mkdir()
    check_writable(tmp_path / "odd.png", folder=True)
    check_writable(tmp_path / "v1.0", folder=True)
    assert not (tmp_path / "out.png").exists()


def test_an_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "old.json"
    target.write_text("old")
    check_writable(target)
    assert target.read_text() == "old"
    with pytest.raises(OutputError, match=r"old\.json: is a file, expected a folder") as error:
        check_writable(target, folder=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("folder", [False, True])
def test_a_file_on_the_way_is_refused(tmp_path: Path, folder: bool) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file is a file, expected a folder; choose another output path") as error:
        check_writable(tmp_path / "file" / "a" / "b", folder=folder)
    assert "\n" not in str(error.value)
    assert everything(tmp_path) == {tmp_path / "file"}


def test_a_name_that_is_too_long_is_refused_and_the_new_folders_go(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="too long"):
        check_writable(tmp_path / "new" / ("x" * 300))
    assert everything(tmp_path) == set()


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> tuple[int, str]:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("tempfile.mkstemp", deny)  # root may write everywhere, so no mode would do
    with pytest.raises(OutputError, match="Permission denied"):
        check_writable(tmp_path / "new" / "out.json")
    assert everything(tmp_path) == set()
