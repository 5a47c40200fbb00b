"""`desali bench`."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import runner
from desali.errors import DesaliError, UnknownNameError


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command's module, with every run made tiny."""
    module = pytest.importorskip("desali.cli.bench")
    whole = runner.run
    monkeypatch.setattr(runner, "run", lambda cases, scale, device, say: whole(cases, "tiny", device, say))
    return module


def test_the_command_prints_the_table_and_writes_the_file(bench: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    result = CliRunner().invoke(bench.bench_command, ["--cases", "conv1, memory", "--output", str(target)])
    assert result.exit_code == 0, result.output
    assert "The step to the image" in result.output
    written: dict[str, Any] = json.loads(target.read_text())
    assert list(written["seconds"]) == ["conv1", "memory"]


def test_an_unknown_case_writes_nothing(bench: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    result = CliRunner().invoke(bench.bench_command, ["--cases", "conv9", "--output", str(target)])
    assert isinstance(result.exception, UnknownNameError)
    assert not target.exists()


def test_unequal_candidates_fail_the_run_and_write_nothing(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import operations
    from benchmarks.measuring import EqualityError

    good = operations._Layer.ours
    monkeypatch.setattr(operations._Layer, "ours", lambda self, signal: good(self, signal) * 1.001)
    target = tmp_path / "out.json"
    result = CliRunner().invoke(bench.bench_command, ["--cases", "conv1", "--output", str(target)])
    assert isinstance(result.exception, EqualityError)
    assert "differs from F.conv_transpose2d" in str(result.exception)
    assert not target.exists()


def test_without_a_checkout_the_command_says_so(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "__file__", str(tmp_path / "site-packages" / "desali" / "cli" / "bench.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DesaliError, match="inside a source checkout"):
        bench._checkout()


def test_a_checkout_is_found_in_the_current_folder(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "__file__", str(tmp_path / "site-packages" / "desali" / "cli" / "bench.py"))
    for name in ("benchmarks/runner.py", "csrc/x.cpp"):
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path / "here")
    assert bench._checkout() == tmp_path / "here"
