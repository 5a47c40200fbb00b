"""The synthetic target from the cache: the same arrays, drawn once by one version of the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from desali.data import drawn
from desali.data.drawn import drawn_target
from desali.data.synthetic import target_rois

FEW: dict[str, Any] = {"seed": 3, "train": 0.0001, "evaluation": 0.0001, "floor": 2}


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The sets that were drawn, with an empty cache."""
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))
    seen: list[str] = []
    real = target_rois.draw_rois

    def counted(seed: int, split: str, counts: Any) -> Any:
        seen.append(split)
        return real(seed, split, counts)

    monkeypatch.setattr(target_rois, "draw_rois", counted)
    return seen


def test_it_is_drawn_once_and_the_same(draws: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "evaluation"):
        first, again = drawn_target(split, **FEW), drawn_target(split, **FEW)
        plain = target_rois.target_part(split, **FEW)
        for one in (first, again):
            assert one.fingerprint == plain.fingerprint
            assert np.array_equal(one.images, plain.images)
            assert one.patients.tolist() == plain.patients.tolist()
            assert one.parameters == plain.parameters
    assert draws == ["train", "evaluation"]
    drawn_target("train", **{**FEW, "seed": 4})
    monkeypatch.setattr(drawn, "_code", lambda: "another version")
    drawn_target("train", **FEW)
    assert draws == ["train", "evaluation", "train", "train"]


def test_a_damaged_entry_is_drawn_again(draws: list[str], tmp_path: Path) -> None:
    first = drawn_target("train", **FEW)
    (file,) = (tmp_path / "cache").glob("*/images.npy")
    expected = np.array(first.images)
    del first
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert np.array_equal(drawn_target("train", **FEW).images, expected)
    assert draws == ["train", "train"]


def test_without_a_cache_it_is_drawn(draws: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "file"))
    assert len(drawn_target("train", **FEW)) == 14
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DESALI_CACHE_LIMIT", "1e-7")
    assert len(drawn_target("train", **FEW)) == 14
    assert draws == ["train", "train"]
