"""Recipes as a whole: shared stages, resuming, cards, evaluation, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from desali.data.imageset import ImageSet
from desali.errors import DataError, DesaliError, OutputError, UnknownNameError, WeightsError
from desali.evaluation import evaluate_recipes, load_predictions, predict
from desali.evaluation.results import ALL_METRICS
from desali.models import load
from desali.training import recipe, train
from desali.training.cards import TrainedRecipe
from tests.training.images import stripes

NAMES = ("scratch", "texture", "natural", "two_stage")
DATA = {
    "natural": stripes(24, classes=4, patients=3, seed=1),
    "texture": stripes(20, classes=2, patients=5, seed=2),
    "target": stripes(24, classes=3, patients=4, seed=3),
}
QUICK = [recipe(name).with_options(epochs=1, batch_size=32) for name in NAMES]


def evaluation_set(count: int = 33, patients: int = 11) -> ImageSet:
    images = stripes(count, classes=3, patients=patients, seed=4)
    return ImageSet(**{**images.__dict__, "patients": np.char.add("E", images.patients)})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, TrainedRecipe], list[str]]:
    runs, lines = tmp_path_factory.mktemp("runs"), []
    results = train(QUICK, DATA, runs, report=lines.append, device="cpu")
    return runs, results, lines


def test_seven_stages_serve_four_recipes(trained: tuple[Path, dict[str, TrainedRecipe], list[str]]) -> None:
    runs, results, lines = trained
    assert len(list((runs / "stages").iterdir())) == len(lines) == 7
    assert results["natural"].stages[0].key == results["two_stage"].stages[0].key
    assert len({result.stages[-1].key for result in results.values()}) == 4
    for name, result in results.items():
        assert result.weights == runs / name / "model.safetensors"
        with (runs / name / "history.csv").open() as file:
            assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]
    assert not list(runs.rglob("*.ckpt"))


def test_cards_say_where_the_weights_come_from(trained: tuple[Path, dict[str, TrainedRecipe], list[str]]) -> None:
    runs, results, _ = trained
    loaded = load(runs / "two_stage" / "model.safetensors")
    card = loaded.card
    assert loaded.classes == DATA["target"].classes
    assert card["recipe"] == "two_stage"
    assert card["stages"] == [stage.key for stage in results["two_stage"].stages]
    assert card["parent"] == card["stages"][1]
    assert card["stage"]["domain"] == "target"
    assert card["data"]["fingerprint"] == DATA["target"].fingerprint
    assert card["origin"] == "random stripes for tests"
    assert card["stage"]["held_out_patients"]
    assert set(card["stage"]["held_out_patients"]) < set(card["data"]["patient_names"])
    last = load(results["two_stage"].stages[-1].weights).model.state_dict()
    assert all(torch.equal(tensor, last[name]) for name, tensor in loaded.model.state_dict().items())


def test_a_stage_can_come_from_a_weights_file(
    trained: tuple[Path, dict[str, TrainedRecipe], list[str]], tmp_path: Path
) -> None:
    file = trained[1]["natural"].stages[0].weights
    recipes = [one.from_weights("natural", str(file)) for one in QUICK]
    datasets = {name: images for name, images in DATA.items() if name != "natural"}
    lines: list[str] = []
    results = train(recipes, datasets, tmp_path, report=lines.append, device="cpu")
    (said,) = (line for line in lines if line.startswith("stage natural: weights from model.safetensors"))
    assert "selection score 0." in said
    given = load(results["natural"].stages[0].weights)
    source = load(file).model.state_dict()
    assert all(torch.equal(tensor, source[name]) for name, tensor in given.model.state_dict().items())
    card = load(results["two_stage"].weights).card
    assert card["lineage"] == [
        "natural: random stripes for tests",  # the file's own card knows
        "texture: random stripes for tests",
        "target: random stripes for tests",
    ]
    mine, whole = load(results["two_stage"].weights).model, load(trained[1]["two_stage"].weights).model
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in mine.state_dict().items())
    again = train(recipes, datasets, tmp_path, device="cpu")
    assert all(stage.reused for result in again.values() for stage in result.stages)
    assert [len(one.from_weights("texture", str(file)).stages) for one in QUICK] == [1, 2, 2, 2]
    with pytest.raises(DesaliError, match="only natural and texture"):
        QUICK[0].from_weights("target", str(file))


def test_a_second_call_trains_nothing_and_mends_a_damaged_stage(
    trained: tuple[Path, dict[str, TrainedRecipe], list[str]],
) -> None:
    runs, first, _ = trained
    before = first["two_stage"].weights.read_bytes()
    again = train(QUICK, DATA, runs, device="cpu")
    assert all(stage.reused for result in again.values() for stage in result.stages)
    damaged = first["two_stage"].stages[-1].weights
    damaged.write_bytes(damaged.read_bytes()[:100])
    mended = train(QUICK[3:], DATA, runs, device="cpu")["two_stage"]
    assert [stage.reused for stage in mended.stages] == [True, True, False]
    assert mended.weights.read_bytes() == before


def test_other_seeds_and_data_are_other_stages(tmp_path: Path) -> None:
    keys = set()
    for seed, target in ((0, 3), (1, 3), (0, 5), (2**63 - 1, 3)):
        data = {"target": stripes(24, classes=3, patients=4, seed=target)}
        keys.add(train(QUICK[:1], data, tmp_path, seed=seed, device="cpu")["scratch"].stages[0].key)
    assert len(keys) == 4


def test_fresh_trains_anew_and_gives_the_same_bytes(tmp_path: Path) -> None:
    first = train(QUICK[:1], DATA, tmp_path, device="cpu")["scratch"].weights.read_bytes()
    again = train(QUICK[:1], DATA, tmp_path, device="cpu", fresh=True)["scratch"]
    assert not again.stages[0].reused
    assert again.weights.read_bytes() == first


def test_evaluation_leaves_predictions_and_metrics(
    trained: tuple[Path, dict[str, TrainedRecipe], list[str]],
) -> None:
    runs, _, _ = trained
    images = evaluation_set()
    comparison = evaluate_recipes(NAMES, images, runs, resamples=200)
    stored = load_predictions(runs / "evaluation" / "natural.npz")
    np.testing.assert_allclose(stored.probabilities.sum(1), 1, rtol=1e-5)
    assert (stored.labels == images.labels).all()
    accuracy = comparison.evaluations[2].metrics["accuracy"]
    assert accuracy.value == pytest.approx(np.mean(stored.predicted == images.labels))
    assert accuracy.low <= accuracy.value <= accuracy.high
    kept = json.loads((runs / "evaluation" / "evaluation.json").read_text())
    assert kept["evaluations"][2]["metrics"]["accuracy"]["value"] == accuracy.value
    assert len(kept["pairs"]) == 6
    with (runs / "evaluation" / "evaluation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if not row["class"] and "McNemar" not in row["metric"]]) == 10 * len(ALL_METRICS)
    assert "random stripes for tests" in (runs / "evaluation" / "evaluation.txt").read_text()


def test_a_patient_of_the_training_is_refused(trained: tuple[Path, dict[str, TrainedRecipe], list[str]]) -> None:
    with pytest.raises(DataError, match=r"4 patients \(the first is P00\) are also among those"):
        evaluate_recipes(["scratch"], DATA["target"], trained[0])


def test_other_classes_and_untrained_recipes_are_refused(
    trained: tuple[Path, dict[str, TrainedRecipe], list[str]], tmp_path: Path
) -> None:
    other = stripes(8, classes=2, patients=2, seed=9)
    other = ImageSet(**{**other.__dict__, "patients": np.char.add("E", other.patients)})
    with pytest.raises(DataError, match="classes a, b differ"):
        evaluate_recipes(["scratch"], other, trained[0])
    with pytest.raises(WeightsError, match="nothing is trained there"):
        evaluate_recipes(["scratch"], evaluation_set(), tmp_path)


def test_an_output_that_is_not_finite_is_refused(
    trained: tuple[Path, dict[str, TrainedRecipe], list[str]],
) -> None:
    loaded = load(trained[0] / "scratch" / "model.safetensors")
    predict(loaded, evaluation_set())
    bias = list(loaded.model.parameters())[-1]
    for value in (float("nan"), float("-inf")):
        with torch.no_grad():
            bias[0] = value
        with pytest.raises(DataError, match=r"model\.safetensors is NaN or Inf .*train the model again") as error:
            predict(loaded, evaluation_set())
        assert "\n" not in str(error.value)


def test_a_history_that_cannot_be_written_is_named(
    trained: tuple[Path, dict[str, TrainedRecipe], list[str]], tmp_path: Path
) -> None:
    shutil.copytree(trained[0] / "stages", tmp_path / "stages")
    (tmp_path / "scratch" / "history.csv").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"history\.csv: is a folder"):
        train(QUICK[:1], DATA, tmp_path, device="cpu")


def call(**changes: Any) -> Callable[[Path], object]:
    options: dict[str, Any] = {"recipes": QUICK[:1], "datasets": DATA, "device": "cpu", **changes}
    return lambda runs: train(runs=runs, **options)


@pytest.mark.parametrize(
    ("attempt", "error", "message"),
    [
        (call(recipes=["scratchh"]), UnknownNameError, "did you mean 'scratch'"),
        (call(architecture="caffenet-smal"), UnknownNameError, "caffenet-small"),
        (
            call(recipes=["texture"], datasets={"target": DATA["target"]}),
            DataError,
            "needs images of the domain 'texture'",
        ),
        (call(datasets={"target": DATA["target"].subset(np.arange(0))}), DataError, "at least two classes"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, attempt: Callable[[Path], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        attempt(tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OutputError, match="runs"):
        call()(tmp_path / "runs")


def test_a_missing_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DesaliError, match=r"pip install 'desali\[train\]'"):
        call()(tmp_path)
