"""Parts of a page from results made here: robustness, predictions, few patients, charts at their edges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desali.evaluation.bundle import save_trainings
from desali.evaluation.comparison import compare
from desali.evaluation.table import estimate_text
from desali.experiments.robustness import Robustness, robustness
from desali.output.decode import DecodeError
from desali.web.charts import Chart, Row, intervals, ticks
from desali.web.evaluated import evaluated
from desali.web.pictures import GAP, strip
from desali.web.report import report
from tests.evaluation.cases import random_predictions
from tests.web.markup import Page


def trainings(patients: int = 12) -> dict[float, list[object]]:
    return {
        share: [
            random_predictions(name, seed, skill=2 * share, patients=patients)
            for name in ("one", "two")
            for seed in (0, 1)
        ]
        for share in (0.5, 1.0)
    }


def test_robustness(tmp_path: Path) -> None:
    made = robustness(trainings(), "rois", resamples=100)  # type: ignore[arg-type]
    file = tmp_path / "robustness-rois.json"
    file.write_text(json.dumps(made.to_dict()))
    page = Page(report([file], tmp_path / "page.html").read_text(encoding="utf-8"))
    text = next(one.text for one in page.elements if one.attributes.get("id") == "robustness")
    for name in ("one", "two"):
        for estimate in made.curve(name, "macro F1"):
            assert estimate_text(estimate).replace("-", "–") in text
    for loss in (one for one in made.losses if one.metric == "macro F1"):
        assert estimate_text(loss.estimate, signed=True).replace("-", "−") in text


def test_results_come_back_from_their_json() -> None:
    made = robustness(trainings(), "rois", resamples=100)  # type: ignore[arg-type]
    again = Robustness.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made
    broken = json.loads(json.dumps(made.to_dict()))
    broken["comparisons"][1]["evaluations"][0]["accuracy_wilson"] = [0.5]
    with pytest.raises(
        DecodeError, match=r"comparisons\[1\].evaluations\[0\].accuracy_wilson must hold 2 values, got 1"
    ):
        Robustness.from_dict(broken)


def test_predictions_are_compared(tmp_path: Path) -> None:
    file = tmp_path / "predictions.npz"
    save_trainings(file, trainings(), "rois")  # type: ignore[arg-type]
    page = Page(report([file], tmp_path / "page.html").read_text(encoding="utf-8"))
    sections = {one.attributes.get("id") for one in page.elements}
    assert {"evaluation", "robustness"} <= sections
    assert "By training" in [one.text for one in page.all("summary")]


def test_few_patients_are_undecided() -> None:
    few = compare([random_predictions("one", patients=5), random_predictions("two", patients=5)], resamples=100)
    shown = evaluated(few, Path("x.json"))
    assert shown.verdict == ["Undecided: with 5 patients (fewer than 10) no test can decide about macro F1."]
    assert {row[-1] for row in shown.pairs.rows} == {"undecided"}
    assert shown.patients.rows[0][0] == "P00"


def test_one_model_is_not_compared() -> None:
    shown = evaluated(compare([random_predictions("one")], resamples=100), Path("x.json"))
    assert shown.verdict[0].startswith("One model, so that nothing is compared")
    assert not shown.differences


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 9))
def test_ticks_are_few_and_inside(low: float, wide: float, most: int) -> None:
    high = low + wide
    if high - low < 1e-9 * max(abs(low), abs(high)):
        return
    found = ticks(low, high, most)
    assert len(found) <= most + 1
    assert all(low - 1e-6 * wide <= one <= high + 1e-6 * wide for one in found)


def test_a_chart_of_one_layer_and_of_many() -> None:
    for names in (["relu"], [f"layer4.{k}.conv2.relu" for k in range(60)]):
        chart = Chart(names, 0, 1, "shares", "numbers")
        chart.band([0.1] * len(names), [0.2] * len(names), "random", "random")
        chart.line([0.5, *[None] * (len(names) - 1)], "c0", "after <b>")
        svg = str(chart.svg)
        assert "nan" not in svg.lower()
        assert svg.count("<text") < 40
        assert svg.count('class="place"') == len(names)
    assert "<b>" not in str(intervals([Row("<b>", 0.5, None, "0.5 (–)")], "title", False))


def test_a_long_name_keeps_both_ends() -> None:
    svg = str(Chart(["layer1.0.relu:1", "encoder.layers.7.mlp.activation"], 0, 1, "shares").svg)
    assert ">layer1.0.relu:1<" in svg
    assert ">encoder.…ctivation<" in svg
    tall = [float(str(Chart([name] * 9, 0, 1, "").svg).split('viewBox="0 0 ')[1].split('"')[0].split()[1])
            for name in ("relu", "layer1.0.relu:1")]  # fmt: skip
    assert tall[0] < tall[1], "slanted names have the room that they need"


def test_a_strip_keeps_the_shapes() -> None:
    made = strip([np.ones((10, 20)), np.zeros((100, 100, 3))], 40)
    assert made.shape == (40, 2 * (40 + 2 * GAP), 3)
    assert made[20, 62].tolist() == [0, 0, 0]


def test_the_demo_ends_with_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from desali.cli.main import main
    from desali.experiments import demo

    def quick(folder: Path, *arguments: object, **options: object) -> demo.DemoResult:
        folder.mkdir()
        made = compare([random_predictions("one"), random_predictions("two")], resamples=100)
        (folder / "evaluation.json").write_text(json.dumps(made.to_dict()))
        files = {"ROI": folder / "roi.tif", "models": folder / "runs"}
        return demo.DemoResult("the table", "the verdict", files, {"training": 1.0}, None)

    monkeypatch.setattr(demo, "demo", quick)
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--output", str(tmp_path / "demo")])
    assert not stop.value.code
    said = capsys.readouterr().out
    assert f"all on one page: {tmp_path / 'demo' / 'report.html'}" in said
    assert "report " in said.partition("seconds: ")[2]
    assert "macro F1" in (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
