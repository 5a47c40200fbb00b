"""The published experiments: their tables come again from the kept predictions, and the pages show what is in them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from desali.cli.main import main

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "experiments" / "results"
PREDICTED = sorted(RESULTS.glob("*/*predictions.npz"))


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in arguments])
    assert not stop.value.code


def test_every_experiment_keeps_its_predictions() -> None:
    names = {str(path.relative_to(RESULTS)) for path in PREDICTED}
    assert names >= {"lung/predictions.npz", "lung/robustness-patients-predictions.npz", "synthetic/predictions.npz"}
    assert all(path.stat().st_size < 3_000_000 for path in PREDICTED)


@pytest.mark.parametrize("file", PREDICTED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_tables_come_again_from_the_predictions(file: Path, tmp_path: Path) -> None:
    if file.name == "predictions.npz":
        run("evaluate", "--predictions", file, "-o", tmp_path / "evaluation.txt")
        stem = "evaluation"
    else:
        run("robustness", "--predictions", file, "-o", tmp_path)
        stem = file.name.removesuffix("-predictions.npz")
    made = tmp_path / f"{stem}.txt"
    assert made.read_text(encoding="utf-8") == (file.parent / made.name).read_text(encoding="utf-8")


def test_the_pages_show_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    script = runpy.run_path(str(ROOT / "docs" / "make_experiments.py"))
    pages = script["pages"]()
    assert {page.name for page in pages} == {"real-data.md", "synthetic-data.md", "what-changed.md"}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert script["written"](page) == text, f"run python docs/make_experiments.py: {page}"
