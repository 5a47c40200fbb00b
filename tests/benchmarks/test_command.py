"""`desali bench`."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

import desali.cli.bench
import desali.ops
from benchmarks import runner
from desali.errors import DesaliError, OutputError, UnknownNameError


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command's module, with every run made tiny."""
    whole = runner.run
    monkeypatch.setattr(runner, "run", lambda cases, scale, device, say: whole(cases, "tiny", device, say))
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1))
    return desali.cli.bench


def test_the_command_prints_the_table_and_writes_the_file(bench: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    result = CliRunner().invoke(bench.bench_command, ["--cases", "conv1, memory", "--output", str(target)])
    assert result.exit_code == 0, result.output
    assert "The step to the image" in result.output
    written: dict[str, Any] = json.loads(target.read_text())
    assert list(written["seconds"]) == ["conv1", "memory"]


def test_a_busy_machine_is_refused_unless_it_is_said(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (1.7, 0.2, 0.2))
    target = tmp_path / "out.json"
    line = ["--cases", "memory", "--output", str(target)]
    result = CliRunner().invoke(bench.bench_command, line)
    assert isinstance(result.exception, DesaliError)
    assert "its load was 1.7 in the last minute" in str(result.exception)
    assert not target.exists()
    result = CliRunner().invoke(bench.bench_command, [*line, "--noisy"])
    assert result.exit_code == 0, result.output
    assert "not quiet, load 1.7" in result.output
    assert CliRunner().invoke(bench.bench_command, [*line, "--quick"]).exit_code == 0


def test_losses_stand_before_the_tables(bench: ModuleType, tmp_path: Path) -> None:
    result = CliRunner().invoke(bench.bench_command, ["--cases", "memory", "-o", str(tmp_path / "out.json")])
    assert result.output.index("| job | against | worst |") < result.output.index("Measured 20")


def test_an_instruction_set_holds_the_library_too(tmp_path: Path) -> None:
    level = desali.ops.describe().get("simd_best")
    if level not in ("avx2", "avx512"):
        pytest.skip("needs a processor with AVX2")
    target = tmp_path / "out.json"
    line = ["bench", "--quick", "--cases", "memory", "--simd", "avx2", "-o", str(target)]
    subprocess.run([sys.executable, "-m", "desali.cli.main", *line], check=True, capture_output=True)
    machine = json.loads(target.read_text())["machine"]
    assert (machine["simd"], machine["onednn"], machine["torch_cpu_capability"]) == ("avx2", "AVX2", "AVX2")


def test_an_instruction_set_comes_too_late_once_torch_is_loaded(bench: ModuleType) -> None:
    result = CliRunner().invoke(bench.bench_command, ["--simd", "avx2"])
    assert isinstance(result.exception, DesaliError)
    assert "PyTorch is loaded" in str(result.exception)


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
