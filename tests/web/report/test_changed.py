"""What changed, as a page shows it: the lineages, their words, and the sheets that stand by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from desali.web.report.lineage_words import sentences
from desali.web.report.report import report
from tests.cli.conftest import desali as desali
from tests.web.conftest import OPTIONS
from tests.web.markup import read


def lineages(world: Path) -> dict[str, Any]:
    """The records of both stages, by their files' names."""
    files = [file for file in (world / "lineage").glob("*.json") if file.name != "lineage.json"]
    return {file.stem: json.loads(file.read_text()) for file in files}


def test_what_changed_is_that_of_the_lineage(world: Path, page: Path) -> None:
    record = json.loads((world / "picture" / "what-changed.json").read_text())["lineage"]
    made = read(page)
    text = made.all("main")[0].text
    for part in record["verdict"].rstrip(".").split("; "):
        assert part[1:] in text
    for layer in record["layers"]:
        assert f"{layer['traceable']:.0%}".replace("%", " %") in text
    for name in ("before", "after"):
        assert record["networks"][name]["weights_sha256"] in text


def test_the_same_lineage_in_two_files_is_shown_once(world: Path, page: Path) -> None:
    made = read(page)
    records = [file for file in (world / "lineage").glob("*.json") if file.name != "lineage.json"]
    assert len(made.all("article", class_="change")) == len(records)


def test_without_a_lineage_one_is_made(world: Path, tmp_path: Path) -> None:
    made = read(report([world / "runs" / "natural"], tmp_path / "made.html", OPTIONS))
    assert len(made.all("article", class_="change")) == 1
    assert made.all("section", class_="channel")


def test_curves_and_sheets_stand_by_the_images_that_they_are_of(world: Path, page: Path, mixed: Path) -> None:
    """A lineage over one set and pictures of another never share a heading."""
    for file, sets in ((page, {"target-test": (2, 1)}), (mixed, {"target-test": (2, 0), "clinic": (1, 1)})):
        text = (
            file.read_text(encoding="utf-8").partition('<section id="changed"')[2].partition('<section id="evaluat')[0]
        )
        groups = text.split("<section data-set")[1:]
        assert len(groups) == len(sets)
        for (name, (changes, sheets)), group in zip(sets.items(), groups, strict=True):
            head = group.partition("<h4>")[0]
            assert f"<h3>On {name} (" in head
            assert ("image folder &#39;clinic&#39;" in head) == (name == "clinic")
            assert group.count('class="change"') == changes
            assert group.count("data-sheets>") == sheets
            assert "synthetic" not in head
    gallery = mixed.read_text(encoding="utf-8").partition('<section id="gallery"')[2]
    assert '<p class="lede">clinic (' in gallery.partition("<form")[0]


def test_few_patients_are_undecided_wherever_a_state_is_told(world: Path, page: Path) -> None:
    record = json.loads((world / "picture" / "what-changed.json").read_text())["lineage"]
    assert record["images"]["patients"] < 10
    assert not any(layer["decided"] for layer in record["layers"])
    made = read(page)
    states = {one.text for one in made.all("span", class_="state")}
    assert states == {"undecided"}
    assert all("Fewer than 10 patients" in one.attributes["title"] for one in made.all("span", class_="state"))
    text = made.all("main")[0].text
    assert "States: undecided." in text
    assert "undecided: fewer than 10 patients" in text, "in the legend of the bars"
    assert "Fewer than 10 patients (4)" in text.partition("What this page holds")[0], "in words"


def test_the_words_give_every_number_with_its_interval_and_its_null(world: Path, page: Path) -> None:
    records = lineages(world)
    assert sorted(records) == ["natural", "natural-target"], "two stages in one page"
    counted = 0
    text = read(page).all("main")[0].text
    for record in records.values():
        found = sentences(record)
        said = " ".join(found)
        assert len(found) > 2
        assert found[0].startswith("Fewer than 10 patients (4)"), "first, whatever follows"
        most = max((row for row in record["layers"] if not row["equal"]), key=lambda row: row["traceable"])
        assert ("share no ancestor" in said) == record["strangers"]
        if not record["strangers"]:
            counted += 1
            assert f"{most['traceable']:.0%}".replace("%", " %") in said
            assert "95 % interval" in said
            assert "random weights" in said
            assert "replicate" in said
        assert all(one in text for one in found)
    assert counted, "at least one lineage is of relatives"


@pytest.mark.parametrize("stage", ["natural", "natural-target"])
def test_sheets_are_of_the_stage_that_the_lineage_is_of(world: Path, tmp_path: Path, stage: str) -> None:
    made = read(report([world / "runs", world / "lineage" / f"{stage}.json"], tmp_path / "page.html", OPTIONS))
    (change,) = made.all("article", class_="change")
    title = lineages(world)[stage]["title"].replace(" -> ", " → ")
    assert change.text.strip().startswith(title)
    (sheet,) = made.all("article", class_="sheets")
    assert sheet.text.strip().startswith(f"What channels look for: {title}")


def test_sheets_of_no_stage_of_the_lineage_are_missing(world: Path, tmp_path: Path) -> None:
    """The network after is that of a stage, but it was followed from another than the stage started from."""
    record = lineages(world)["natural-target"]
    record["networks"]["before"]["weights_sha256"] = "0" * 64
    file = tmp_path / "other.json"
    file.write_text(json.dumps(record))
    made = read(report([world / "runs", file], tmp_path / "page.html", OPTIONS))
    assert not made.all("article", class_="sheets")
    assert len(made.all("article", class_="change")) == 1
    (item,) = [one for one in made.all("li") if one.text.startswith("Sheets of channels, not here: ")]
    assert "none of the models' stages is that of the lineage given (natural → target" in item.text


def test_strangers_of_few_patients_are_undecided_on_the_page(world: Path, tmp_path: Path) -> None:
    record = lineages(world)["natural-target"]
    record["strangers"] = True
    file = tmp_path / "strangers.json"
    file.write_text(json.dumps(record))
    first = read(report([file], tmp_path / "page.html", OPTIONS)).all("main")[0].text.partition("share no ancestor")[0]
    assert "Fewer than 10 patients (4)" in first
