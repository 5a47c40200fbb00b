"""The report end to end: one file, nothing from outside, every number as the API gives it, hostile names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from desali.evaluation.table import estimate_text
from desali.web.report.report import report
from tests.cli.conftest import Result
from tests.cli.conftest import desali as desali
from tests.web.conftest import HOSTILE, OPTIONS
from tests.web.markup import read

Desali = Callable[..., Result]


def test_nothing_comes_from_outside(page: Path) -> None:
    text, made = page.read_text(encoding="utf-8"), read(page)
    for one in made.elements:
        for name in ("src", "href", "data", "action", "poster", "srcset", "xlink:href"):
            value = one.attributes.get(name, "")
            assert value.startswith(("data:image/", "#")) or value in ("", "data:,"), (one.name, name, value[:60])
        assert not any(name.startswith("on") or name == "style" for name in one.attributes)
    assert "http://" not in text
    assert "https://" not in text
    policy = next(
        one for one in made.all("meta") if "content-security-policy" in one.attributes.get("http-equiv", "").lower()
    )
    assert policy.attributes["content"].startswith("default-src 'none'; img-src data:; script-src 'sha256-")
    assert "unsafe" not in policy.attributes["content"]


def test_hostile_names_are_text(page: Path) -> None:
    made = read(page)
    assert len(made.all("script")) == 1
    assert not [
        one for one in made.elements if one.name == "img" and not one.attributes["src"].startswith("data:image/")
    ]
    options = [one.text for one in made.all("option")]
    for name in HOSTILE:
        assert name.strip() in [option.strip() for option in options]
    assert not [one for one in made.all("a") if not one.attributes["href"].startswith("#")]


def test_every_picture_says_what_it_shows(page: Path) -> None:
    made = read(page)
    pictures = made.all("img")
    assert len(pictures) > 20
    assert all(len(one.attributes["alt"]) > 20 and re.search(r"\d", one.attributes["alt"]) for one in pictures)
    charts = [one for one in made.all("svg") if one.attributes.get("role") == "img"]
    assert charts
    assert all(re.search(r"\d", one.attributes["aria-label"]) for one in charts)


def test_no_reconstruction_goes_without_its_control(page: Path) -> None:
    made = read(page)
    channels = made.all("section", class_="channel")
    assert channels
    bands = [one.attributes["data-band"] for one in made.all("figure", class_="mosaic")]
    assert bands == ["before", "after", "control"] * len(channels)
    heads = [
        one.text
        for one in made.elements
        if one.name == "span" and "columns" not in one.attributes and one.inside[-1] == "div"
    ]
    assert "random weights" in heads
    assert len(made.all("li", class_="roi")) == OPTIONS.rois


def test_numbers_are_those_of_the_evaluation(world: Path, page: Path) -> None:
    value = json.loads((world / "runs" / "evaluation" / "evaluation.json").read_text())
    from desali.evaluation.results import Comparison

    comparison = Comparison.from_dict(value)
    text = read(page).all("main")[0].text
    for one in comparison.evaluations:
        for metric in ("macro F1", "accuracy", "macro recall", "log loss"):
            assert estimate_text(one.metrics[metric]).replace("-", "–") in text
    assert comparison.fingerprint in text


def test_it_is_small_and_can_be_made_without_pictures(world: Path, page: Path, tmp_path: Path) -> None:
    bare = report([world / "lineage"], tmp_path / "bare.html", OPTIONS)
    assert bare.stat().st_size < 200_000
    assert "no trained models among the inputs" in bare.read_text(encoding="utf-8")
    assert not read(bare).all("li", class_="roi")


def test_a_thousand_rois_of_four_models_fit(tmp_path: Path) -> None:
    """At most 25 MB, as counted from what more ROIs add to a page of few."""
    import torch

    from desali.data.synthetic.target_rois import target_part
    from desali.models import checkpoint
    from desali.models.registry import architecture
    from desali.web.options import ReportOptions

    images = target_part("evaluation", evaluation=0.1, floor=1)
    entry = architecture("caffenet-small")
    for number in range(4):
        torch.manual_seed(number)
        card = {"architecture": entry.name, "classes": list(images.classes), "preprocessing": entry.preprocessing,
                "recipe": None, "origin": "noise"}  # fmt: skip
        model = entry.build(len(images.classes), entry.in_channels)
        checkpoint.save(model, tmp_path / "runs" / f"m{number}" / checkpoint.WEIGHTS_NAME, card)
    sizes, shown = {}, {}
    for rois in (7, 35):
        options = ReportOptions(rois=rois, sheets=False)
        made = report([tmp_path / "runs"], tmp_path / f"{rois}.html", options, images=images)
        shown[rois], sizes[rois] = len(read(made).all("li", class_="roi")), made.stat().st_size
    assert shown[35] >= shown[7] + 20
    gallery = read(made)
    assert gallery.all("span", class_="synthetic"), "that the images are synthetic stands beside them"
    text = (tmp_path / "7.html").read_text(encoding="utf-8").partition('<section id="gallery"')[2]
    assert "synthetic: no patient is behind these images" in text.partition("<form")[0]
    assert "<b>GGO</b> ground-glass opacity" in text.partition("<form")[0]
    assert ">ROI <span" in text
    assert "Synthetic data: synthetic-target-evaluation." in gallery.all("main")[0].text
    each = (sizes[35] - sizes[7]) / (shown[35] - shown[7])
    assert sizes[7] + (1000 - shown[7]) * each < 25e6, f"{each:.0f} bytes a ROI"


def test_command(world: Path, tmp_path: Path, desali: Desali) -> None:
    page = tmp_path / "page.html"
    result = desali("report", world / "runs" / "evaluation" / "evaluation.json", "-o", page, "--title", "<b>mine</b>")
    assert result.code == 0
    assert result.out.startswith(f"{page}: 0.")
    assert read(page).all("h1")[0].text == "<b>mine</b>"


def test_names_that_end_scripts(world: Path, tmp_path: Path) -> None:
    value = json.loads((world / "runs" / "evaluation" / "evaluation.json").read_text())
    bad = "</script></style></title><script>document.title='pwned'</script>\u2028{{ 7 * 7 }}"

    def renamed(one: Any) -> Any:
        if isinstance(one, dict):
            return {bad if key == HOSTILE[0] else key: renamed(inner) for key, inner in one.items()}
        return [renamed(inner) for inner in one] if isinstance(one, list) else bad if one == HOSTILE[0] else one

    file = tmp_path / "evaluation.json"
    file.write_text(json.dumps({**renamed(value), "data": bad, "origin": bad}))
    made = read(report([file], tmp_path / "page.html", title=bad))
    assert len(made.all("script")) == 1
    assert len(made.all("style")) == 1
    assert made.all("title")[0].text == bad
    assert made.all("h1")[0].text == bad
    assert "49" not in made.all("h1")[0].text


def test_provenance_names_images_their_terms_and_the_command(page: Path, mixed: Path) -> None:
    made = read(mixed)
    data = next(one.text for one in made.all("dl", class_="facts"))
    assert "ATTRIBUTION.txt: Of the clinic <b>on the hill</b>, CC BY 4.0." in data
    assert "clinic (web" in data.replace("\n", "")
    assert "attribution and licence: not known" in data, "of the set that the models were trained on"
    assert "attribution and licence: not known" in read(page).all("dl", class_="facts")[0].text
    line = "desali report 'my runs' --images 'clinic?patient=/(P)_'"
    assert line in [one.attributes.get("data-copy") for one in made.all("button", class_="copy")]
    assert "this page" in [one.text for one in made.all("dt")]


def test_the_command_is_the_one_that_was_given(
    world: Path, tmp_path: Path, desali: Desali, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    monkeypatch.setattr("sys.argv", ["/usr/bin/desali", "report", "a folder", "--title", "it's"])
    assert desali("report", world / "runs" / "evaluation" / "evaluation.json", "-o", page, "--title", "t").code == 0
    copied = [one.attributes.get("data-copy") for one in read(page).all("button", class_="copy")]
    assert """desali report 'a folder' --title 'it'"'"'s'""" in copied
