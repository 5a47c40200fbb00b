"""What a report is made from: bad input is one line, and what is missing is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from desali.errors import DataError
from desali.models.checkpoint import save
from desali.models.registry import architecture
from desali.web.report.report import report
from tests.cli.conftest import Result
from tests.cli.conftest import desali as desali
from tests.web.conftest import OPTIONS
from tests.web.markup import read

Desali = Callable[..., Result]


def damage(kind: str, world: Path, folder: Path) -> Path:
    """An input that is none, or no longer."""
    record = world / "runs" / "evaluation" / "evaluation.json"
    target = folder / "it.json"
    if kind == "cut":
        target.write_bytes(record.read_bytes()[:500])
    elif kind == "foreign":
        target.write_text('{"kind": "something else"}')
    elif kind == "list":
        target.write_text("[1, 2]")
    elif kind == "deep":
        target.write_text("[" * 100_000)
    elif kind == "wrong type":
        value = json.loads(record.read_text())
        value["evaluations"][0]["metrics"]["macro F1"]["value"] = "much"
        target.write_text(json.dumps(value))
    elif kind == "lineage without layers":
        value = json.loads(next(f for f in (world / "lineage").glob("*.json") if f.name != "lineage.json").read_text())
        del value["layers"][0]["traceable"]
        target.write_text(json.dumps(value))
    elif kind == "binary":
        target.write_bytes(bytes(range(256)))
    elif kind == "picture alone":
        target = folder / "it.png"
        shutil.copy(world / "picture" / "what-changed.png", target)
    elif kind == "damaged picture":
        target = folder / "it.png"
        target.write_bytes(b"\x89PNG nothing")
        shutil.copy(world / "picture" / "what-changed.json", folder / "it.json")
    elif kind == "predictions":
        target = folder / "it.npz"
        target.write_bytes(b"PK nothing")
    elif kind == "empty folder":
        target = folder / "empty"
        target.mkdir()
    elif kind == "missing":
        target = folder / "nowhere"
    return target


@pytest.mark.parametrize(
    "kind",
    [
        "cut", "foreign", "list", "deep", "wrong type", "lineage without layers", "binary", "picture alone",
        "damaged picture", "predictions", "empty folder", "missing",
    ],
)  # fmt: skip
def test_bad_input_is_one_line(kind: str, world: Path, tmp_path: Path, desali: Desali) -> None:
    broken = damage(kind, world, tmp_path)
    result = desali("report", world / "lineage", broken, "-o", tmp_path / "page.html")
    assert result.code == 2
    assert result.err.startswith(f"desali: error: {broken.with_suffix('.json') if kind == 'lineage' else broken}")
    assert len(result.err.strip().splitlines()) == 1
    assert not (tmp_path / "page.html").exists()


def test_nothing_to_report() -> None:
    with pytest.raises(DataError, match="nothing to report"):
        report([], "page.html")


def test_where_nothing_can_be_shown_there_is_no_page(world: Path, tmp_path: Path, desali: Desali) -> None:
    page = tmp_path / "page.html"
    shutil.copytree(world / "runs" / "natural", tmp_path / "runs" / "natural")
    result = desali("report", tmp_path / "runs", "--rois", 0, "--no-sheets", "-o", page)
    assert result.code == 2
    assert result.err.startswith(f"desali: error: {tmp_path / 'runs'}: nothing can be shown of it (")
    assert "not asked for" in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not page.exists()


def test_what_was_found_and_what_is_missing_is_said(world: Path, tmp_path: Path, desali: Desali) -> None:
    page = tmp_path / "page.html"
    result = desali("report", world / "lineage", "-o", page)
    assert result.code == 0
    assert "found: 2 lineages" in result.err
    assert "not in the page: Sheets of channels and ROI gallery: no trained models among the inputs" in result.err
    assert "not in the page: Evaluation: no evaluation among the inputs" in result.err
    made = read(page)
    assert "What this page holds, and what it does not" in [one.text for one in made.all("h3")]
    (item,) = [one for one in made.all("li") if one.text.startswith("Evaluation, not here: ")]
    assert "details" not in item.inside, "open"


@pytest.mark.parametrize("fault", ["weights", "card", "classes"])
def test_a_model_that_cannot_be_shown_is_left_out_and_named(fault: str, world: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(world / "runs", runs)
    bad = runs / "broken"
    shutil.copytree(runs / "natural", bad)
    weights, card = bad / "model.safetensors", bad / "model.json"
    if fault == "weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif fault == "card":
        card.write_text("{")
    else:
        shutil.rmtree(bad)
        other = architecture("caffenet-small")
        save(other.build(2, other.in_channels), weights, {"architecture": "caffenet-small", "classes": ["p", "q"],
             "recipe": None, "preprocessing": other.preprocessing, "origin": "noise"})  # fmt: skip
    said: list[str] = []
    page = report([runs], tmp_path / "page.html", replace(OPTIONS, sheets=False), tell=said.append)
    assert any(one.startswith("not in the page: Model broken: ") for one in said)
    assert len(read(page).all("li", class_="roi")) == OPTIONS.rois
