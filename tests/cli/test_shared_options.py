"""The options that several commands share mean the same on each of them, and are documented."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from desali.cli.main import COMMANDS, cli
from tests.cli.conftest import Result

Run = Callable[..., Result]
ROOT = Path(__file__).parents[2]
NO_NETWORK = {"completion", "data", "info", "layers", "tune"}  # of layers none of the values is shown
DRAW = {"compare", "grid", "visualize"}


def options(name: str) -> dict[str, click.Option]:
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    return {flag: one for one in command.params if isinstance(one, click.Option) for flag in one.opts}


def arguments(name: str, folder: Path, runs: Path, roi: Path) -> list[object]:
    """What makes a command start its work, as quick as it can be."""
    return {
        "bench": ["--quick", "--output", folder / "bench.json"],
        "channels": ["--model", "two_stage", "--layer", "conv3", "--runs", runs],
        "compare": ["--roi", roi, "--runs", runs],
        "crossvalidate": ["scratch", "-o", folder / "out"],
        "demo": ["-o", folder / "demo"],
        "explore": ["--runs", runs, "--no-browser", roi],
        "evaluate": ["--runs", runs, "--output", folder / "table.txt"],
        "grid": ["--rois", roi.parent, "--runs", runs],
        "lineage": ["two_stage", "--runs", runs],
        "report": [runs, "-o", folder / "report.html"],
        "robustness": ["scratch", "-o", folder / "out"],
        "selectivity": ["--runs", runs],
        "train": ["scratch", "--runs", folder / "runs"],
        "visualize": ["--model", "two_stage", "--roi", roi, "--runs", runs],
    }[name]


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - NO_NETWORK))
def test_every_command_that_runs_a_network_takes_a_device_and_refuses_one_that_is_not_there(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = sorted(runs.rglob("*"))
    for word, words in (("cuda", "device 'cuda': no CUDA device"), ("gpu", "did you mean 'cuda'")):
        result = desali(name, *arguments(name, work, runs, lung_patch_png), "--device", word)
        assert result.code == 2
        assert words in result.err
        assert len(result.err.splitlines()) == 1, "nothing is said, made or read before"
        assert result.out == ""
    assert list(work.iterdir()) == []
    assert sorted(runs.rglob("*")) == before


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"data"}))
def test_seed_is_a_number_and_from_says_what_is_projected(desali: Run, name: str, tmp_path: Path) -> None:
    known = options(name)
    assert ("--from" in known) == (name in DRAW)
    assert "--random-seed" not in known
    assert "--accelerator" not in known
    if "--seed" not in known:
        return
    for wrong in ("channel:3", "-1", "1.5", str(2**63)):
        result = desali(name, *arguments(name, tmp_path, tmp_path, tmp_path / "x.png"), "--seed", wrong)
        assert result.code == 2
        assert "--seed" in result.err
        assert len(result.err.splitlines()) == 1
    if name in DRAW:
        result = desali(name, *arguments(name, tmp_path, tmp_path, tmp_path / "x.png"), "--seed", "channel:3")
        assert "named with --from" in result.err


def test_device_cpu_and_auto_draw_the_same_figure_where_no_gpu_is(
    desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    written = []
    for word in ("cpu", "auto"):
        out = tmp_path / f"{word}.png"
        common = ["--roi", lung_patch_png, "--runs", runs, "--layers", "features.relu2", "-o", out]
        result = desali("compare", *common, "--device", word)
        assert result.code == 0, result.err
        record = json.loads(out.with_suffix(".json").read_text())
        assert record["device"] == "cpu"
        written.append((out.read_bytes(), record["rows"]))
    assert written[0] == written[1]


def test_the_random_control_follows_the_seed(desali: Run, runs: Path, tmp_path: Path, lung_patch_png: Path) -> None:
    controls = []
    for number, seed in enumerate(("3", "3", "4")):
        out = tmp_path / f"{number}.png"
        result = desali(
            "visualize", "--roi", lung_patch_png, "--runs", runs, "--model", "scratch", "--layers", "features.relu2",
            "--seed", seed, "-o", out,
        )  # fmt: skip
        assert result.code == 0, result.err
        record = json.loads(out.with_suffix(".json").read_text())
        assert record["control"]["random_seed"] == int(seed)
        controls.append(record["rows"][0]["controls"]["random weights 1"]["a"])
    assert controls[0] == controls[1] != controls[2]


def test_the_page_of_the_command_line_names_every_command_and_shared_option() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`desali {name}" in page
    shared = [
        flag for flag in options("compare") if flag.startswith("--") and flag not in ("--dpi", "--backend", "--output")
    ]
    for flag in [*shared, "-o", "--seeds"]:
        assert f"`{flag}" in page, flag
    for form in (
        "layer",
        "channel:C",
        "neuron:C,Y,X",
        "top:K",
        "top:K@Y,X",
        "logit:K",
        "contrast",
        "contrast:true",
        "contrast:K",
    ):
        assert f"`{form}`" in page
        assert form in (options("compare")["--from"].help or "")


@pytest.mark.parametrize("name", ["crossvalidate", "robustness", "train"])
def test_a_device_in_a_file_is_refused_as_early(
    desali: Run, runs: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("desali.training.domains.synthetic_datasets", lambda *_: pytest.fail("the work began"))
    (tmp_path / "config.toml").write_text('recipe = "scratch"\ndevice = "cuda:1"\n', encoding="utf-8")
    result = desali(name, "--config", "config.toml")
    assert result.code == 2
    assert "device 'cuda:1': no CUDA device is visible" in result.err
    assert len(result.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
