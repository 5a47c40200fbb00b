"""`desali train` and `desali evaluate` from the outside, on few synthetic images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from desali.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_train_then_evaluate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    options = ("--runs", runs, "--epochs", "1", "--data-share", "0.01")
    code, out, _ = run(capsys, "train", "scratch", *options)
    assert code == 0
    assert "stage target: epoch 1 of 1 kept" in out
    assert "synthetic" in out
    weights = (tmp_path / "runs" / "scratch" / "model.safetensors").read_bytes()
    code, out, _ = run(capsys, "train", "scratch", *options)
    assert "already trained" in out
    assert (tmp_path / "runs" / "scratch" / "model.safetensors").read_bytes() == weights
    code, out, _ = run(capsys, "evaluate", "scratch", "--runs", runs, "--json", str(tmp_path / "figures.json"))
    assert code == 0
    assert "927 ROIs of 20 patients" in out
    assert "synthetic" in out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert f"{figures['evaluations'][0]['figures']['macro F1']['value']:.3f}" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "two_stag"), "did you mean 'two_stage'"),
        (("train", "scratch", "--architecture", "caffenet-smal"), "did you mean 'caffenet-small'"),
        (("train", "scratch", "--epochs", "0"), "epochs must be at least 1"),
        (("train", "scratch", "--data-share", "2"), "must lie in (0, 1]"),
        (("evaluate", "natura"), "did you mean 'natural'"),
        (("evaluate", "natural"), "desali train"),
    ],
)
def test_bad_use_is_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2
    lines = [line for line in err.splitlines() if line.startswith("desali: error: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert out == ""
    assert list(tmp_path.iterdir()) == []
