"""`desali data rois` from the outside, and what its table is for: `data check` and `train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.rois.series import ct_series

Run = Callable[..., Any]


def test_from_boxes_to_a_training(desali: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scanners with different spacings, four patients."""
    monkeypatch.chdir(tmp_path)
    rows = ["path,label,x,y"]
    for number in range(4):
        ct_series(tmp_path / "ct" / f"p{number}", 3, spacing=0.5 + 0.1 * (number % 2), patient=f"NAME {number}")
        rows += [f"p{number}/s{k}.dcm,{label},{x},20" for k in range(3) for label, x in (("left", 10), ("right", 28))]
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    made = desali("data", "rois", "ct", "boxes.csv", "--size-mm", "6")
    assert made.code == 0
    assert "left   12    4         12" in made.out
    assert "6 mm are 10 to 12 pixels, resampled to 11" in made.out
    assert "table: rois.csv" in made.out
    assert "NAME" not in made.out + made.err + (tmp_path / "rois.csv").read_text()
    checked = desali("data", "check", "table:rois.csv")
    assert checked.code == 0, checked.out
    assert "sizes: 11x11 (24)" in checked.out
    trained = desali("train", "scratch", "--target", "table:rois.csv", "--epochs", "1", "--batch-size", "8")
    assert trained.code == 0, trained.err
    assert (tmp_path / "runs" / "scratch" / "model.safetensors").is_file()


def test_a_spacing_that_is_missing_is_asked_for(desali: Run, tmp_path: Path, lung_patch_png: Path) -> None:
    (tmp_path / "boxes.csv").write_text(f"path,label,x,y\n{lung_patch_png.name},a,10,10\n")
    command = ("data", "rois", lung_patch_png, tmp_path / "boxes.csv", "-o", tmp_path / "rois.csv", "--size-mm", "8")
    refused = desali(*command)
    assert refused.code == 2
    assert "does not say how large its pixels are; name the millimetres a pixel with --spacing" in refused.err
    assert not (tmp_path / "rois.csv").exists()
    assert desali(*command, "--spacing", "0.7").code == 0
