"""`desali train` and `desali evaluate` from the outside, on few synthetic images."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path

import pytest

from desali.cli.main import main
from desali.evaluation.comparison import compare
from desali.evaluation.results import Comparison
from desali.training.config import TrainingConfig
from desali.training.recipes import RECIPES
from tests.evaluation.cases import random_predictions
from tests.evaluation.test_comparison import predictions


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
    card = json.loads((tmp_path / "runs" / "scratch" / "model.json").read_text())
    assert card["data"]["parameters"]["share"] == 0.01
    assert card["data"]["images"] == sum(card["data"]["parameters"]["counts"].values()) == 23
    weights = (tmp_path / "runs" / "scratch" / "model.safetensors").read_bytes()
    code, out, _ = run(capsys, "train", "scratch", *options)
    assert "already trained" in out
    assert (tmp_path / "runs" / "scratch" / "model.safetensors").read_bytes() == weights
    code, out, _ = run(capsys, "evaluate", "scratch", "--runs", runs, "--json", str(tmp_path / "metrics.json"))
    assert code == 0
    assert "927 ROIs of 20 patients" in out
    assert "synthetic" in out
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert f"{metrics['evaluations'][0]['metrics']['macro F1']['value']:.3f}" in out


def test_recipes_are_separated_by_spaces_or_commas(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command that takes recipes reads them alike: what is wrong with the second is found."""
    monkeypatch.chdir(tmp_path)
    spellings = (("scratch", "two_stag"), ("scratch,two_stag",), ("scratch,", "two_stag"), ("scratch", ",two_stag"))
    for command, names in itertools.product(("train", "crossvalidate", "robustness", "evaluate"), spellings):
        code, _, err = run(capsys, command, *names)
        assert code == 2
        assert "unknown recipe 'two_stag': did you mean 'two_stage'?" in err, (command, names)
    for names in spellings:
        assert "error: scratch: no such model under runs" in run(capsys, "lineage", *names)[2]
    config = TrainingConfig(recipe="scratch texture, scratch")
    assert [one.name for one in config.recipes] == ["scratch", "texture"]
    assert [one.name for one in TrainingConfig(recipe="scratch,all").recipes] == list(RECIPES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "scratch", "--seed", "-1"), "'--seed'"),
        (("train", "scratch", "--data-seed", str(2**63)), "'--data-seed'"),
        (("evaluate", "--seed", "-1"), "'--seed'"),
        (("evaluate", "--seed", str(2**63)), "'--seed'"),
        (("demo", "--seed", "-1"), "'--seed'"),
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
    lines = [line for line in err.splitlines() if not line.startswith("making the synthetic images")]
    assert len(lines) == 1
    assert lines[0].startswith("desali: error: ")
    assert words in lines[0]
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "work"),
    [
        (("train", "scratch", "--runs", "{}"), "desali.training.domains.synthetic_datasets"),
        (("evaluate", "scratch", "--json", "{}/metrics.json"), "desali.training.held_out.synthetic_target"),
        (("demo", "-o", "{}"), "desali.data.synthetic.natural"),
    ],
)
def test_an_unwritable_output_is_found_out_before_the_work(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    work: str,
) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work, lambda *_: pytest.fail("the work began"))
    code, out, err = run(capsys, *(argument.format(file) for argument in arguments))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith(f"desali: error: {file}")
    assert file.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [file]


def test_the_table_is_printed_even_if_the_metrics_cannot_be_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "metrics.json"

    def evaluate(*_: object, seed: int, **__: object) -> Comparison:
        target.mkdir()  # it could be written when the command began
        return compare([predictions("scratch", 0.9)], seed=seed)

    monkeypatch.setattr("desali.training.held_out.target_and_held_out", lambda *_, **__: (None, None))
    monkeypatch.setattr("desali.evaluation.evaluate.evaluate_recipes", evaluate)
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "evaluate", "scratch", "--json", str(target), "--seed", str(2**63 - 1))
    assert code == 2
    assert "300 ROIs of 12 patients" in out
    assert err == f"desali: error: {target}: is a folder, expected a file name to write to\n"


@pytest.mark.parametrize("command", ["demo", "train", "evaluate"])
def test_a_missing_extra_is_said_before_any_data_are_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, out, err = run(capsys, command, *(["scratch"] if command != "demo" else []))
    assert (code, out) == (2, "")
    assert err.startswith("desali: error: training needs the package")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_saved_predictions_are_compared_in_every_format(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = []
    for recipe, seed in (("one", 0), ("one", 1), ("50 % of_it & more", 0)):
        files.append(str(tmp_path / f"{len(files)}.npz"))
        random_predictions(recipe, seed, patients=11).save(Path(files[-1]))
    base = ("evaluate", "--resamples", "100", "--predictions", *files)
    code, out, _ = run(capsys, *base, "--plots", str(tmp_path / "plots"))
    assert code == 0
    assert "240 ROIs of 11 patients" in out
    assert "The data are synthetic" in out
    drawn = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert drawn == ["50-of_it-more-classes.png", "50-of_it-more.png", "models.png", "one-classes.png", "one.png"]
    code, out, _ = run(capsys, *base, "--format", "json")
    metrics = json.loads(out)
    assert metrics["origin"] == "synthetic"
    assert metrics["evaluations"][0]["seeds"] == [0, 1]
    code, out, _ = run(capsys, *base, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["origin"] for row in rows} == {"synthetic"}
    accuracy = next(row for row in rows if row["metric"] == "accuracy")
    assert float(accuracy["value"]) == metrics["evaluations"][0]["metrics"]["accuracy"]["value"]
    code, out, _ = run(capsys, *base, "--format", "latex", "--output", str(tmp_path / "table.tex"))
    text = (tmp_path / "table.tex").read_text()
    assert r"50 \% of\_it \& more" in text
    assert "origin: synthetic" in text
    for line in text.splitlines()[1:]:
        bare = line.replace(r"\%", "").replace(r"\&", "").replace(r"\_", "")
        assert not set("%#_") & set(bare), line
    for part in text.split(r"\begin{tabular}")[1:]:
        columns = len(part[: part.index("}")].strip("{"))
        body = part.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
        assert body
        for line in body:
            assert line.endswith(r"\\")
            assert line.replace(r"\&", "").count("&") == columns - 1
    assert text.count("{") == text.count("}")
    assert text.count(r"\begin{") == text.count(r"\end{") == 4
    code, out, err = run(capsys, *base, "--baseline")
    assert code == 2
    assert "leave one of them out" in err
    code, out, err = run(capsys, "evaluate", "--predictions", str(tmp_path / "none.npz"))
    assert code == 2
    assert "none.npz: no such file; check the path" in err
