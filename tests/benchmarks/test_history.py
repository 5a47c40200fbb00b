"""The table of results by commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import history
from benchmarks.stored import level, save
from desali.errors import DataError


def test_a_run_is_added_once_and_shown(measured: dict[str, Any], tmp_path: Path) -> None:
    source, table = tmp_path / "cpu.json", tmp_path / "history.csv"
    save(source, measured)
    line = [str(source), "--history", str(table)]
    assert CliRunner().invoke(history.main, line).exit_code == 0
    once = table.read_text()
    assert CliRunner().invoke(history.main, line).exit_code == 0
    assert table.read_text() == once
    found = history.read(table)
    assert {row[0] for row in found} == {measured["machine"]["commit"]}
    assert any("at its own share of non-zeros" in row[7] for row in found)
    shown = CliRunner().invoke(history.main, ["--history", str(table)])
    assert shown.output.count("\n") == len(found) + 2


def test_another_commit_stands_beside_the_first(measured: dict[str, Any]) -> None:
    other = measured | {"machine": measured["machine"] | {"commit": "another", "date": "2031-01-01T00:00:00"}}
    first, second = history.rows(measured), history.rows(other)
    both = history.add(first, second)
    assert len(both) == 2 * len(first)
    assert both[-1][0] == "another"


def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("a,b\n")
    with pytest.raises(DataError, match="is no history of benchmarks"):
        history.read(path)


def test_a_forced_instruction_set_is_shown_as_such() -> None:
    assert level({"simd": "avx2", "simd_best": "avx2"}) == "avx2"
    assert level({"simd": "avx2"}) == "avx2"
    forced = {"simd": "avx2", "simd_best": "avx512", "onednn": "AVX2"}
    assert level(forced) == "avx2 forced where avx512 is (oneDNN and PyTorch too)"
    assert level(forced | {"onednn": "its own choice"}) == "avx2 forced where avx512 is (oneDNN not)"


def test_the_stored_history_is_one() -> None:
    assert history.read(history.HISTORY)
