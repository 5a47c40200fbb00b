"""`desali bench`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

import desali.cli.bench
from benchmarks import runner
from desali.errors import DesaliError, OutputError, UnknownNameError


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command's module, with every run made tiny."""
    whole = runner.run
    monkeypatch.setattr(runner, "run", lambda cases, scale, device, say: whole(cases, "tiny", device, say))
    return desali.cli.bench


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


def test_an_output_that_cannot_be_written_is_refused_before_anything_runs(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "run", lambda *_: pytest.fail("the work began"))
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(bench.bench_command, ["--output", str(tmp_path / "file" / "out.json")])
    assert isinstance(result.exception, OutputError)
    assert "is a file, expected a folder" in str(result.exception)


def test_without_captum_the_command_says_what_to_install(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "captum" else find(name))
    monkeypatch.setattr(runner, "run", lambda *_: pytest.fail("the work began"))
    result = CliRunner().invoke(bench.bench_command, ["--output", str(tmp_path / "out.json")])
    assert isinstance(result.exception, DesaliError)
    assert "pip install -e '.[dev]'" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


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
