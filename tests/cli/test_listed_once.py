"""Each command lists a data set once: every DICOM header is opened once for it, every pixel read once or not at all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pydicom
import pytest
import tifffile

from desali.data import roi
from desali.data.readers.registry import Reader
from tests.data.readers.trees import contour, hu, write_slice
from tests.training.test_commands import run

QUICK = ("--epochs", "1", "--batch-size", "16")
EXPERIMENT = (*QUICK, "--folds", "2", "--resamples", "100", "--no-baselines")


class Counts:
    """What was listed and opened since the last `taken`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listed: Counter[str] = Counter()
        self.headers: Counter[str] = Counter()
        self.pixels: Counter[str] = Counter()
        find, dcmread, read_image = Reader.find, pydicom.dcmread, roi.read_image

        def counted_find(reader: Reader, root: Path, **options: str) -> Any:
            self.listed[root.name] += 1
            return find(reader, root, **options)

        def counted_dcmread(source: Any, *arguments: Any, **options: Any) -> Any:
            if options.get("stop_before_pixels"):
                self.headers[Path(source).name] += 1
            return dcmread(source, *arguments, **options)

        def counted_read_image(path: Any, **options: Any) -> Any:
            self.pixels[Path(path).name] += 1
            return read_image(path, **options)

        monkeypatch.setattr(Reader, "find", counted_find)
        monkeypatch.setattr(pydicom, "dcmread", counted_dcmread)
        monkeypatch.setattr(roi, "read_image", counted_read_image)

    def taken(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        found = (dict(self.listed), dict(self.headers), dict(self.pixels))
        for one in (self.listed, self.headers, self.pixels):
            one.clear()
        return found


def series(root: Path, patients: str, first: int) -> dict[str, int]:
    """Two classes, two slices of each patient; file name -> 1."""
    names = {}
    for c, name in enumerate(("NOR", "EMP")):
        for p, patient in enumerate(patients):
            for z in range(2):
                path = root / name / f"{patient}{z}-{name}.dcm"
                write_slice(path, hu(first + 100 * c + 10 * p + z), patient, f"1.2.{first}{c}{p}", z)
                names[path.name] = 1
    return names


@pytest.fixture
def counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counts:
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return Counts(monkeypatch)


def test_dicom_series(capsys: pytest.CaptureFixture[str], tmp_path: Path, counts: Counts) -> None:
    files, others = series(tmp_path / "series", "ABCD", 1), series(tmp_path / "others", "EFGH", 500)
    code, _, err = run(capsys, "data", "check", "series")
    assert code in (0, 1), err
    assert counts.taken() == ({"series": 1}, dict.fromkeys(files, 2), files)  # again for scanner and date
    code, _, err = run(capsys, "train", "scratch", "--target", "series", *QUICK)
    assert code == 0, err
    assert counts.taken() == ({"series": 1}, files, files)
    for command in ("crossvalidate", "robustness"):  # the pixels are in the cache now
        more = ("--fractions", "0.5,1") if command == "robustness" else ("--no-plots",)
        code, _, err = run(capsys, command, "scratch", "--target", "series", *EXPERIMENT, *more, "-o", "result")
        assert code == 0, err
        assert counts.taken() == ({"series": 1}, files, {})
    code, _, err = run(capsys, "evaluate", "scratch", "--target", "others", "--resamples", "100")
    assert code == 0, err
    assert counts.taken() == ({"others": 1}, others, others)
    code, _, err = run(capsys, "evaluate", "scratch", "--target", "others", "--resamples", "100", "--baseline")
    assert code == 0, err
    assert counts.taken() == ({"others": 1, "series": 1}, others | files, {})


def test_a_table_with_parts(capsys: pytest.CaptureFixture[str], tmp_path: Path, counts: Counts) -> None:
    rows = ["path,label,patient,split"]
    for k in range(24):
        tifffile.imwrite(tmp_path / f"{k}.tif", hu(k))
        rows.append(f"{k}.tif,{'ab'[k % 2]},P{k // 4},{'train' if k < 16 else 'test'}")
    (tmp_path / "rois.csv").write_text("\n".join(rows) + "\n")
    train, test = ({f"{k}.tif": 1 for k in part} for part in (range(16), range(16, 24)))
    listed = {"rois.csv": 1}
    code, _, err = run(capsys, "train", "scratch", "--target", "rois.csv", *QUICK)
    assert code == 0, err
    assert "rois.csv (its part 'train')" in err
    assert counts.taken() == (listed, {}, train)
    code, out, err = run(capsys, "evaluate", "scratch", "--resamples", "100", "--baseline")
    assert code == 0, err
    assert "8 ROIs of 2 patients" in out
    assert counts.taken() == (listed, {}, test)
    code, _, err = run(
        capsys, "crossvalidate", "texture", "--target", "rois.csv", "--texture", "rois.csv?split=train&size=32", *QUICK,
        "--resamples", "100", "--no-plots", "--no-baselines",
    )  # fmt: skip
    assert code == 0, err
    assert "(its part 'test')" in err
    assert counts.taken() == (listed, {}, train)  # a size is asked for, which the cache has not


def test_a_slice_with_several_contours_and_files_that_cannot_be_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, counts: Counts
) -> None:
    head = "SpacingX: 0.5\nSpacingY: 0.5\nSpacingZ: 10\n"
    text = head + contour("healthy", 1, (10, 20, 73, 51)) + contour("ground_glass", 1, (0, 60, 31, 91))
    for patient in ("101", "102"):
        write_slice(tmp_path / "set" / patient / f"CT-7-{patient}.dcm", hu(int(patient), 96), patient, "1.2.3")
        (tmp_path / "set" / patient / "CT-7.txt").write_text(text)
    files = {"CT-7-101.dcm": 1, "CT-7-102.dcm": 1}
    code, _, err = run(capsys, "data", "check", "set")
    assert code in (0, 1), err
    assert counts.taken() == ({"set": 1}, dict.fromkeys(files, 2), files)  # again for scanner and date
    (tmp_path / "set" / "102" / "CT-7-102.dcm").write_bytes(b"broken")
    code, _, err = run(capsys, "train", "scratch", "--target", "set", *QUICK)
    assert code == 2
    assert "cannot be read" in err
    assert counts.taken() == ({"set": 1}, files, files)
