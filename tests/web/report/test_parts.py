"""Parts of a page from results made here: robustness, predictions, few patients, charts at their edges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desali.data.class_words import class_words
from desali.data.imageset import ImageSet
from desali.errors import DataError
from desali.evaluation.bundle import load_trainings, save_trainings
from desali.evaluation.comparison import compare
from desali.evaluation.predictions import Predictions, load_predictions
from desali.evaluation.results import Comparison
from desali.evaluation.table import estimate_text, format_table
from desali.experiments.robustness import Robustness, robustness
from desali.output.decode import DecodeError
from desali.web.pictures import GAP, strip
from desali.web.report.charts import Chart, Row, intervals, ticks
from desali.web.report.evaluated import evaluated
from desali.web.report.image_sets import Images
from desali.web.report.report import report
from tests.evaluation.cases import changed, random_predictions
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
    assert shown.verdict[-1] == (
        "Undecided: with 5 patients (fewer than 10) no test can decide about macro F1, however far apart the models "
        "lie."
    )
    assert {row[-1] for row in shown.pairs.rows} == {"undecided"}
    assert shown.patients.rows[0][0] == "P00"


def test_images_of_nobody_knows_whom_decide_nothing_however_many(tmp_path: Path) -> None:
    unknown = {"unit_of_split": "image", "parameters": {"reader": "table", "spec": "table:rois.csv", "options": {}}}
    own = {**unknown, "parameters": {"reader": "folder", "options": {"patient": "none"}}}
    for about, decided in ((unknown, False), (own, True)):
        both = [changed(random_predictions(name, skill=skill, patients=40), **about)
                for name, skill in (("one", 4.0), ("two", 0.1))]  # fmt: skip
        save_trainings(tmp_path / "both.npz", {1.0: both})
        made = compare(load_trainings(tmp_path / "both.npz")[0][1.0], resamples=100)
        made = Comparison.from_dict(json.loads(json.dumps(made.to_dict())))
        shown = evaluated(made, Path("x.json"))
        assert made.patients == 40
        assert made.decided is decided
        assert bool(made.pairs[0].p_holm) is decided
        assert ("undecided" in {row[-1] for row in shown.pairs.rows}) is not decided
        why = [line for line in shown.verdict if line.startswith("Undecided: it is not known whose the images are")]
        assert len(why) == (0 if decided else 1)
        assert shown.size == f"240 ROIs{', each by itself' if decided else ' of unknown patients'}, 3 classes"
        assert ("patients not known: no test can decide" in format_table(made)) is not decided
        assert not shown.patients.rows, "there are no patients to list"
        assert "Secondary: correct ROIs of each patient" not in format_table(made)


def test_an_evaluation_spells_out_the_classes_of_its_images_and_names_their_unit(tmp_path: Path) -> None:
    medgift = {"reader": "medgift", "spec": "medgift:ild", "options": {"labels": "seven"}, "patients": "by folder"}
    images = ImageSet(
        "medgift", np.zeros((6, 4, 4), np.int16), np.arange(6) % 2, np.array(list("aabbcc")), ("GGO", "CON"), "hu",
        "MedGIFT ILD", medgift, unit_of_split="view",
    )  # fmt: skip
    one = Predictions.of(images, "one", np.full((6, 2), 0.5, np.float32), 0)
    one.save(tmp_path / "one.npz")
    made = compare([load_predictions(tmp_path / "one.npz")], resamples=100)
    shown = evaluated(Comparison.from_dict(json.loads(json.dumps(made.to_dict()))), Path("x.json"))
    assert shown.images.words == {"GGO": "ground-glass opacity", "CON": "consolidation"}
    assert shown.images.source == "medgift:ild"
    assert shown.size == "6 ROIs of 3 views, 2 classes"
    assert "by folder" not in json.dumps(made.to_dict()), "no more of the parameters than is asked for"


def test_one_model_is_not_compared() -> None:
    shown = evaluated(compare([random_predictions("one")], resamples=100), Path("x.json"))
    assert shown.verdict[-1] == "One model, so that nothing is compared."
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


def test_the_same_trainings_in_two_files_are_one_and_two_sets_are_two_evaluations(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("predictions.npz", "robustness.npz", "other.npz")]
    save_trainings(files[0], {1.0: trainings()[1.0]}, "rois")  # type: ignore[arg-type]
    save_trainings(files[1], trainings(), "rois")  # type: ignore[arg-type]
    changed(random_predictions("one"), data="index", fingerprint="1" * 64, origin="table 'index'").save(files[2])
    page = Page(report(files, tmp_path / "page.html").read_text(encoding="utf-8"))
    section = next(one for one in page.elements if one.attributes.get("id") == "evaluation")
    assert "one and two on made up" in section.text
    assert "one on index" in section.text
    assert "Origin: table 'index'." in section.text
    save_trainings(files[0], {1.0: [changed(random_predictions("one", 0), probabilities=random_predictions(
        "one", 5).probabilities)]}, "rois")  # fmt: skip
    with pytest.raises(DataError, match=rf"{files[1]}: one with seed 0 is given twice, also in {files[0]}"):
        report(files[:2], tmp_path / "again.html")


def test_the_verdict_of_an_evaluation_says_what_its_numbers_mean() -> None:
    made = compare([random_predictions("good", skill=4), random_predictions("bad", skill=0.1)], resamples=100)
    first, second, apart, last = evaluated(made, Path("x.json")).verdict
    assert first.startswith("macro F1: how well each class is found")
    assert first.endswith("always naming one class reaches at most 0.33.")
    good = made.evaluations[0].metrics["macro F1"]
    assert good.ends is not None
    assert f"good {good.value:.2f} (95 % interval {good.ends[0]:.2f} to {good.ends[1]:.2f})" in second
    assert apart.startswith("These trainings differ: good − bad +")
    assert "95 % interval +" in apart
    assert last.startswith("Read: 0 would mean alike;")


def test_names_of_classes_are_spelled_out_as_far_as_they_are_known() -> None:
    assert class_words("synthetic-target-evaluation", ["GGO", "x"]) == {"GGO": "ground-glass opacity"}
    assert class_words("clinic", ["GGO"], {"reader": "medgift", "options": {"labels": "seven"}}) == {
        "GGO": "ground-glass opacity"
    }
    assert class_words("clinic", ["GGO"]) == {}
    assert class_words("mine", ["NT"], {"reader": "emphysema"}) == {"NT": "normal tissue"}


def test_an_image_set_says_what_is_not_known() -> None:
    bare = Images("ab" * 32, count=3)
    assert "does not name" in bare.title
    assert dict(bare.facts)["origin"] == dict(bare.facts)["attribution and licence"] == "not known"
    assert bare.size == "3 images of unknown patients"
    assert Images("ab" * 32, count=3, independent=True).size == "3 images, each by itself"
    assert not bare.synthetic
    made = Images("ab" * 32, "index", "table 'index'; PROXY LABELS (density)", "table:data/lung/index.csv?row=1", 3, 1)
    assert made.title == "index (lung/index.csv)"
    assert made.size == "3 images of 1 patient"
