from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from desali.data import read_images
from desali.data.readers import decode
from desali.data.readers.cache import DEFAULT_LIMIT, FACTS, IMAGES, ImageCache
from desali.errors import DataError, ImageError, OutputError
from desali.input.files import cache_folder
from tests.data.readers.trees import colour, folders, picture


class Counted(NamedTuple):
    """A folder of images, and how often a file was decoded."""

    root: Path
    files: list[Path]


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    from desali.data import roi

    folders(tmp_path / "set")
    seen: list[Path] = []
    original = roi.read_image

    def count(path: Any, **arguments: Any) -> Any:
        seen.append(Path(path))
        return original(path, **arguments)

    monkeypatch.setattr(roi, "read_image", count)
    return Counted(tmp_path / "set", seen)


def test_the_second_reading_maps_the_same_pixels(counted: Counted, tmp_path: Path) -> None:
    plain = read_images(str(counted.root))
    first = read_images(str(counted.root), cache=tmp_path / "cache")
    counted.files.clear()
    second = read_images(str(counted.root), cache=ImageCache(tmp_path / "cache"))
    assert counted.files == []
    assert isinstance(second.images, np.memmap)
    assert plain.fingerprint == first.fingerprint == second.fingerprint
    assert first.parameters == second.parameters
    with pytest.raises(ValueError, match="read-only"):
        second.images[0] = 0


def test_a_changed_file_or_option_is_another_entry(counted: Counted, tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache")
    read_images(str(counted.root), cache=cache)
    picture(counted.root / "bark" / "0.png", colour(99))
    os.utime(counted.root / "bark" / "0.png", ns=(1, 1))
    changed = read_images(str(counted.root), cache=cache)
    np.testing.assert_array_equal(changed.images[0], colour(99))
    assert read_images(str(counted.root), cache=cache, size=6).images.shape[1:] == (6, 6, 3)
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.mark.parametrize("damage", ["flip", "cut", "facts", "missing"])
def test_a_damaged_entry_is_made_again(counted: Counted, tmp_path: Path, damage: str) -> None:
    before = read_images(str(counted.root), cache=tmp_path / "cache").fingerprint
    (entry,) = (tmp_path / "cache").iterdir()
    data = bytearray((entry / IMAGES).read_bytes())
    if damage == "flip":
        data[-7] ^= 1
        (entry / IMAGES).write_bytes(data)
    elif damage == "cut":
        (entry / IMAGES).write_bytes(data[:-7])
    elif damage == "facts":
        (entry / FACTS).write_text('{"unit": "hu"')
    else:
        (entry / IMAGES).unlink()
    counted.files.clear()
    assert read_images(str(counted.root), cache=tmp_path / "cache").fingerprint == before
    assert len(counted.files) == 6
    counted.files.clear()
    read_images(str(counted.root), cache=tmp_path / "cache")
    assert counted.files == []


def test_the_entry_longest_unused_goes_first(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", limit=3000)  # two entries of 864 bytes and what is around them
    entries = {}
    for k, name in enumerate("abc"):
        folders(tmp_path / name, (f"{name}1", f"{name}2"), count=1)
        read_images(str(tmp_path / name), cache=cache)
        (new,) = set((tmp_path / "cache").iterdir()) - set(entries.values())
        entries[name] = new
        if name == "b":  # "a" is used again, so "b" is now the oldest
            os.utime(entries["b"] / FACTS, (1, 1))
            read_images(str(tmp_path / "a"), cache=cache)
        assert k < 3
    assert entries["a"].is_dir()
    assert not entries["b"].exists()
    assert entries["c"].is_dir()
    with pytest.raises(DataError, match="raise the limit"):
        read_images(str(tmp_path / "a"), cache=ImageCache(tmp_path / "other", limit=500))
    assert list((tmp_path / "other").iterdir()) == []


def test_nothing_half_written_after_an_interruption(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(decode, "_finished", interrupt)
        with pytest.raises(KeyboardInterrupt):
            read_images(str(counted.root), cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert len(read_images(str(counted.root), cache=tmp_path / "cache")) == 6


def test_a_full_disk_is_one_line(counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: Usage(10))
        with pytest.raises(OutputError, match="are free"):
            read_images(str(counted.root), cache=tmp_path / "cache")

    def full(*arguments: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "open_memmap", full)
        with pytest.raises(OutputError, match="No space left"):
            read_images(str(counted.root), cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        read_images(str(counted.root), cache=tmp_path / "file" / "cache")


def test_unreadable_files_are_remembered(counted: Counted, tmp_path: Path) -> None:
    (counted.root / "bark" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    images = read_images(str(counted.root), cache=tmp_path / "cache", skip_unreadable=True)
    counted.files.clear()
    with pytest.raises(DataError, match=r"1 of 6 images cannot be read: .*1\.png"):
        read_images(str(counted.root), cache=tmp_path / "cache")
    again = read_images(str(counted.root), cache=tmp_path / "cache", skip_unreadable=True)
    assert {file.name for file in counted.files} == {"1.png"}  # tried again, the others come from the cache
    assert again.fingerprint == images.fingerprint
    assert len(again) == 5
    assert again.sources is not None
    assert "bark/1.png" not in again.sources


def test_what_can_be_read_later_is_read_then(counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.data import roi

    counting = roi.read_image

    def without_plug_in(path: Any, **arguments: Any) -> Any:
        if Path(path).name == "1.png":
            raise ImageError(f"{path}: install the plug-in")
        return counting(path, **arguments)

    with monkeypatch.context() as patch:
        patch.setattr(roi, "read_image", without_plug_in)
        with pytest.raises(DataError, match="install the plug-in"):
            read_images(str(counted.root), cache=tmp_path / "cache")
    whole = read_images(str(counted.root), cache=tmp_path / "cache")
    assert len(whole) == 6
    assert whole.fingerprint == read_images(str(counted.root)).fingerprint


def test_the_limit_comes_from_the_environment(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ImageCache(tmp_path / "cache").limit == DEFAULT_LIMIT
    monkeypatch.setenv("DESALI_CACHE_LIMIT", "1e-6")
    with pytest.raises(DataError, match="raise the limit with DESALI_CACHE_LIMIT"):
        read_images(str(counted.root), cache=tmp_path / "cache")
    for wrong in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("DESALI_CACHE_LIMIT", wrong)
        with pytest.raises(DataError, match=f"DESALI_CACHE_LIMIT={wrong}: expected a number of GiB above 0"):
            read_images(str(counted.root), cache=tmp_path / "cache")


def test_the_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    folders(tmp_path / "set")
    assert isinstance(read_images(str(tmp_path / "set"), cache=True).images, np.memmap)
    assert len(list((tmp_path / "mine").iterdir())) == 1
    monkeypatch.delenv("DESALI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_folder() == tmp_path / "user" / "desali"
