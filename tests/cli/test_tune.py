"""`desali tune`: what it prints, keeps and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from desali import ops
from desali.ops import crossovers, tuning
from desali.ops.crossovers import Crossover
from tests.cli.conftest import Result

pytestmark = pytest.mark.skipif(ops.core()[0] is None, reason=str(ops.core()[1]))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))
    crossovers.current.cache_clear()
    yield crossovers.tuning_file()
    crossovers.current.cache_clear()


def test_tune_measures_keeps_and_keeps_apart(
    desali: Callable[..., Result], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tuple(tuning.Layer(f"layer {index}", 8, i, 3, 1, 1, 5) for index, i in enumerate((3, 32)))
    monkeypatch.setattr(tuning, "LAYERS", small)
    other = {"another machine": {"channels": Crossover(0.25, "torch")}}
    file.parent.mkdir()
    file.write_text(json.dumps(crossovers.written(other)))
    result = desali("tune")
    assert result.code == 0
    assert result.out.splitlines()[0].startswith("layer 0 ")
    assert "channels: the walk over non-zeros up to " in result.out
    found = crossovers.read(file)
    assert set(found) == {"another machine", crossovers.machine()}
    assert found["another machine"] == other["another machine"]
    assert crossovers.current()["channels"] == found[crossovers.machine()]["channels"]


def test_tune_says_what_it_cannot_do(desali: Callable[..., Result], file: Path) -> None:
    result = desali("tune", "--limit", "1e-9")
    assert result.code == 2
    assert result.err.splitlines()[-1].endswith("no layer was measured within 1e-09 s: give --limit more")
    assert not file.exists()
    for wrong in ("0", "nan", "4000", "x"):
        assert desali("tune", "--limit", wrong).code == 2


def test_tune_without_a_place_to_keep_it_prints_all_the_same(
    desali: Callable[..., Result], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "LAYERS", (tuning.Layer("layer", 8, 32, 3, 1, 1, 5),))
    file.parent.write_text("a file where the folder should be")
    result = desali("tune")
    assert result.code == 0
    assert "channels: the walk over non-zeros up to " in result.out
    assert len([line for line in result.err.splitlines() if line.startswith("not kept: ")]) == 1
