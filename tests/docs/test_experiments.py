"""The published experiments: their tables come again from the kept predictions, and the pages show what is in them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from desali.cli.main import main

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "experiments" / "results"
PREDICTED = sorted(RESULTS.glob("*/*predictions.npz"))


def tables() -> ModuleType:
    """The script that writes the pages' tables."""
    spec = importlib.util.spec_from_file_location("make_experiments", ROOT / "docs" / "make_experiments.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_the_pages_show_the_results() -> None:
    module = tables()
    pages = module.pages()
    assert {page.name for page in pages} == {"real-data.md", "synthetic-data.md", "what-changed.md"}
    for page in pages:
        assert module.written(page) == page.read_text(encoding="utf-8"), f"run python docs/make_experiments.py: {page}"
