from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from desali.errors import OutputError
from desali.figures.sidecar import sidecar, write_sidecar


def test_the_record_lies_beside_the_figure(tmp_path: Path) -> None:
    record = {
        "image": Path("a/b.tif"),
        "scales": np.array([[-0.5, np.nan]]),
        "n": np.int64(3),
        "box": (1, 2, 32),
        "deep": {"flag": np.bool_(True), "none": None, 7: float("inf")},
    }
    written = write_sidecar(tmp_path / "figure.png", record)
    assert written == tmp_path / "figure.json" == sidecar(tmp_path / "figure.png")
    text = written.read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text) == {
        "image": "a/b.tif",
        "scales": [[-0.5, None]],
        "n": 3,
        "box": [1, 2, 32],
        "deep": {"flag": True, "none": None, "7": None},
    }


def test_a_value_that_json_cannot_hold_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="set"):
        write_sidecar(tmp_path / "figure.png", {"bad": {1, 2}})
    assert not list(tmp_path.iterdir())


def test_a_figure_named_json_is_refused() -> None:
    with pytest.raises(OutputError, match=r"\.png"):
        sidecar("figure.json")
