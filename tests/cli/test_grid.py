"""`desali grid`: a folder, a table, resuming, unreadable files."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, lung_patch_tiff: Path, lung_patch_png: Path) -> Path:
    rois = tmp_path / "rois"
    rois.mkdir()
    shutil.copy(lung_patch_tiff, rois / "a.tif")
    shutil.copy(lung_patch_png, rois / "b.png")
    return rois


def _grid(desali: Run, runs: Path, rois: Path, out: Path, *options: object) -> Result:
    return desali(
        "grid", "--rois", rois, "--runs", runs, "-o", out, "--models", "scratch,two_stage",
        "--layers", "features.conv2", "--per-page", 1, *options,
    )  # fmt: skip


def test_a_folder_gives_a_figure_each_and_paged_sheets_and_resumes(
    desali: Run, runs: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = _grid(desali, runs, folder, out)
    assert first.code == 0, first.err
    assert "2 figures made, 0 already there" in first.out
    assert {path.name for path in out.glob("*.png")} == {
        "a.png", "b.png", "contact-sheet-001.png", "contact-sheet-002.png"
    }  # fmt: skip
    stamp = (out / "a.png").stat().st_mtime_ns
    (out / "b.png").unlink()
    second = _grid(desali, runs, folder, out)
    assert "1 figures made, 1 already there" in second.out
    assert (out / "a.png").stat().st_mtime_ns == stamp
    third = _grid(desali, runs, folder, out, "--method", "saliency")
    assert "2 figures made, 0 already there" in third.out, "other options make other figures"


def test_a_table_names_boxes_and_labels(desali: Run, runs: Path, dicom_slice: Path, tmp_path: Path) -> None:
    table = tmp_path / "rois.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "y", "x", "size", "label"])
        writer.writerows([[dicom_slice, 10, 20, 32, "first"], [dicom_slice, 40, 40, 32, "second"]])
    out = tmp_path / "out"
    result = _grid(desali, runs, table, out)
    assert result.code == 0, result.err
    assert (out / f"{dicom_slice.stem}_10_20_32.png").is_file()
    assert (out / f"{dicom_slice.stem}_40_40_32.json").is_file()


def test_an_unreadable_image_stops_or_is_named_and_counted(
    desali: Run, runs: Path, folder: Path, tmp_path: Path
) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 40)
    stopped = _grid(desali, runs, folder, tmp_path / "out")
    assert stopped.code == 2
    assert "broken.png" in stopped.err
    assert "--skip-unreadable" in stopped.err
    skipped = _grid(desali, runs, folder, tmp_path / "out", "--skip-unreadable")
    assert skipped.code == 0
    assert "broken.png" in skipped.err
    assert "1 images left out" in skipped.out


@pytest.mark.parametrize(
    ("text", "expected"),
    [("file\na.png\n", "no column 'path'"), ("path,box\na.png,1;2\n", "y,x,size"), ("path\n", "holds no images")],
)
def test_a_bad_table_is_refused(desali: Run, runs: Path, tmp_path: Path, text: str, expected: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text)
    result = _grid(desali, runs, table, tmp_path / "out")
    assert result.code == 2
    assert expected in result.err
    assert not (tmp_path / "out").exists()


def test_figures_never_replace_the_images(desali: Run, runs: Path, folder: Path) -> None:
    before = (folder / "b.png").read_bytes()
    result = _grid(desali, runs, folder, folder)
    assert result.code == 2
    assert "choose another output folder" in result.err
    assert (folder / "b.png").read_bytes() == before
    inside = _grid(desali, runs, folder, folder / "figures")
    assert inside.code == 0, inside.err
    again = _grid(desali, runs, folder, folder / "figures")
    assert "0 figures made, 2 already there" in again.out, "figures of the run before are no images to show"


def test_a_finished_grid_on_a_read_only_disk_is_done_and_an_unfinished_one_is_not(
    desali: Run, runs: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from desali.errors import OutputError
    from desali.output import files

    out = tmp_path / "out"
    assert _grid(desali, runs, folder, out).code == 0

    def read_only(*arguments: object, **options: object) -> None:
        raise OutputError(f"{out}: cannot be written (Read-only file system)")

    monkeypatch.setattr(files, "check_writable", read_only)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    again = _grid(desali, runs, folder, out)
    assert again.code == 0, again.err
    assert "0 figures made, 2 already there" in again.out
    assert "contact-sheet-002.png" in again.out
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    (out / "b.png").unlink()
    refused = _grid(desali, runs, folder, out)
    assert refused.code == 2
    assert "Read-only file system" in refused.err


def test_a_second_process_in_the_folder_is_refused(desali: Run, runs: Path, folder: Path, tmp_path: Path) -> None:
    from desali.output.lock import locked

    out = tmp_path / "out"
    with locked(out):
        refused = _grid(desali, runs, folder, out)
    assert refused.code == 2
    assert "another process works there" in refused.err
    assert "Traceback" not in refused.err


def test_workers_make_the_same_figures(desali: Run, runs: Path, folder: Path, tmp_path: Path) -> None:
    for name in ("c", "d"):
        shutil.copy(folder / "b.png", folder / f"{name}.png")
    maps = [tmp_path / f"maps-{count}.npz" for count in (1, 2)]
    for count in (1, 2):
        made = _grid(desali, runs, folder, tmp_path / str(count), "--workers", count, "--maps", maps[count - 1])
        assert made.code == 0, made.err
        assert "4 figures made, 0 already there" in made.out
    for file in sorted((tmp_path / "1").glob("*.png")):
        assert file.read_bytes() == (tmp_path / "2" / file.name).read_bytes(), file.name
    assert maps[0].read_bytes() == maps[1].read_bytes()
    (folder / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 40)
    stopped = _grid(desali, runs, folder, tmp_path / "stopped", "--workers", 2)
    assert stopped.code == 2
    assert "e.png" in stopped.err
