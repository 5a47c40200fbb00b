"""Named arrays on disk: they come back as they were, all or none, and nothing foreign is replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from desali.errors import OutputError
from desali.output.arrays import Array, check_arrays, name_of, read_back, read_record, write_arrays


def some(scale: float = 1.0) -> list[Array]:
    rng = np.random.default_rng(0)
    grid = rng.normal(size=(2, 3, 4)).astype(np.float32) * scale
    return [
        Array("a/map", grid, ("channel", "row", "column"), "none", {"network": "a"}),
        Array("a/map", grid.T[:, :, ::2], ("x", "y", "z"), "none"),
        Array("a/empty", np.zeros((0, 3), np.int64), ("n", "k"), "pixels", {"image": "one"}),
    ]


@pytest.mark.parametrize("name", ["maps.npz", "maps.zarr"])
def test_arrays_come_back_with_their_record(tmp_path: Path, name: str) -> None:
    if name.endswith("zarr"):
        pytest.importorskip("zarr")
    target = tmp_path / "new" / name
    for scale in (1.0, 2.0):  # a second call replaces the first
        write_arrays(target, some(scale), {"command": ["x"]})
    record = read_record(target)
    assert record is not None
    assert [one["name"] for one in record["arrays"]] == ["a/map", "a/map-2", "a/empty"]
    assert record["arrays"][0] == {
        "name": "a/map", "shape": [2, 3, 4], "dtype": "float32", "axes": ["channel", "row", "column"], "unit": "none",
        "network": "a",
    }  # fmt: skip
    assert sorted(path.name for path in target.parent.iterdir()) == [name, f"{name}.json"]
    if name.endswith("zarr"):
        import zarr

        stored = zarr.open_group(str(target), mode="r")
        assert stored["a/map"].attrs["unit"] == "none"
    else:
        stored = np.load(target)
    for name_, one in zip(("a/map", "a/map-2", "a/empty"), some(2.0), strict=True):
        assert np.array_equal(np.asarray(stored[name_][:]), one.values)


def test_the_same_arrays_give_the_same_bytes_and_parts_come_back(tmp_path: Path) -> None:
    one, two = (write_arrays(tmp_path / f"{k}.npz", some(), {}) for k in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    assert [array.name for array in read_back(one)] == ["a/map", "a/map-2", "a/empty"]
    (only,) = read_back(one, "one")
    assert (only.name, only.axes, only.unit, only.facts) == ("a/empty", ("n", "k"), "pixels", {"image": "one"})


@pytest.mark.parametrize("name", ["maps.npz", "maps.zarr"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    if name.endswith("zarr"):
        pytest.importorskip("zarr")
    target = write_arrays(tmp_path / name, some(), {})
    before = (tmp_path / f"{name}.json").read_bytes()

    def broken() -> Iterator[Array]:
        yield from some()
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_arrays(target, broken(), {})
    assert (tmp_path / f"{name}.json").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_foreign_is_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine.npz"
    mine.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"mine.npz: exists, and no record of such arrays \(mine.npz.json\) lies"):
        check_arrays(mine)
    (tmp_path / "b.npz.json").write_text(json.dumps({"kind": "other"}))
    with pytest.raises(OutputError, match=r"b.npz.json: exists and is no record"):
        check_arrays(tmp_path / "b.npz")
    with pytest.raises(OutputError, match=r"maps.npy: arrays are written as .npz, or as a folder .zarr"):
        check_arrays(tmp_path / "maps.npy")
    with pytest.raises(OutputError, match="expected a folder"):
        check_arrays(mine / "maps.npz")
    assert mine.read_bytes() == b"precious"
    assert read_record(mine) is None


def test_zarr_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(OutputError, match=r"pip install 'desali\[zarr\]'; or write an .npz file"):
        check_arrays(tmp_path / "maps.zarr")


def test_names_are_those_of_files() -> None:
    assert name_of("map", "two_stage/replicate-1", "conv 1", "..") == "map/two_stage-replicate-1/conv-1/-"
