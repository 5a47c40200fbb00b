"""The simulations behind docs/evaluation.md: their page holds the stored numbers, and these keep what is promised."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import intervals, recipes
from benchmarks.simulated import filled

ROOT = Path(__file__).parents[2]
MODULES = {"recipes": recipes, "intervals": intervals}


def stored(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / "benchmarks/results/inference" / f"{name}.json").read_text())[
        "cells"
    ]
    return found


@pytest.mark.parametrize(("name", "module"), MODULES.items())
def test_the_page_holds_the_tables_of_the_stored_results(name: str, module: ModuleType) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text()
    assert filled(page, module.tables(stored(name))) == page


def test_alike_recipes_are_called_different_in_at_most_seven_percent() -> None:
    alike = [cell for cell in stored("recipes") if cell.get("difference") == 0]
    assert len(alike) == 144
    assert max(cell["rule"] for cell in alike) <= 0.07
    assert max(cell["patients alone"] for cell in alike) > 0.4
    assert max(cell["verdict"] for cell in stored("recipes") if "whole" in cell) <= 0.07


def test_intervals_hold_the_truth_as_often_as_promised() -> None:
    cells = stored("intervals")
    for name in ("accuracy, jackknife", "macro F1, jackknife", "inverted sign flips"):
        assert min(cell[name] for cell in cells if name in cell) >= 0.91, name
    errors = [cell for cell in cells if cell["kind"] == "ECE"]
    assert min(cell["ECE"] for cell in errors) >= 0.90
    assert min(cell["holds its value"] for cell in errors) == 1


def test_a_small_simulation_runs_as_the_large_one_does() -> None:
    alone = recipes.simulate(50, 3, 0.05, 0.0, runs=60)
    assert alone["rule"] <= 0.2 < alone["patients alone"]
    assert recipes.simulate(50, 5, 0.0, 0.1, runs=30)["rule"] > 0.9
    assert recipes.whole(10, 2, 0.0, runs=2)["verdict"] <= 1
    assert intervals.of_metrics(10, True, "0.8", 30)["macro F1, jackknife"] > 0.7
    assert intervals.of_differences(10, False, "0.8", 30)["inverted sign flips"] > 0.7
    assert intervals.of_errors(5, True, 0.0, 0.1, 10)["holds its value"] == 1
