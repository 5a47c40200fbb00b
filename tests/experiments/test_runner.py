"""An experiment trains every part once, goes on where it stopped, and pools the folds in the order of the images."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from desali.data.imageset import ImageSet
from desali.errors import DataError
from desali.evaluation.predictions import Predictions
from desali.experiments import Experiment, run
from desali.training import recipe
from desali.training.splits import fixed, leave_one_patient_out
from tests.training.images import stripes

TARGET = stripes(36, classes=3, patients=3, seed=3)
TEXTURE = stripes(20, classes=2, patients=5, seed=2)


def quick(*names: str, epochs: int = 1) -> list[Any]:
    return [recipe(name).with_options(epochs=epochs, batch_size=16, validation=0.0) for name in names]


def majority(training: ImageSet, held: ImageSet, seed: int) -> Predictions:
    shares = np.bincount(training.labels, minlength=3) / len(training)
    rows = np.repeat(shares[None].astype(np.float32), len(held), 0)
    return Predictions(
        "x", rows, held.labels, held.patients, held.classes, held.name, held.fingerprint, held.origin, seed
    )


def experiment(**options: Any) -> Experiment:
    given = {"recipes": quick("scratch", "texture"), "pretraining": {"texture": TEXTURE}, **options}
    return Experiment(design=leave_one_patient_out(TARGET), device="cpu", **given)


def test_an_experiment_pools_folds_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    taken: list[int] = []

    def first_four(parts: Sequence[Any]) -> Iterable[Any]:
        taken.append(len(parts))
        for number, part in enumerate(parts):
            if number == 4:
                raise KeyboardInterrupt
            yield part

    one = experiment(baselines={"majority": majority})
    with pytest.raises(KeyboardInterrupt):
        run(one, tmp_path, progress=first_four)
    lines: list[str] = []
    found = run(one, tmp_path, progress=lambda parts: taken.append(len(parts)) or parts, report=lines.append)
    assert taken == [9, 5]
    assert lines[0] == "4 of 9 parts are already there"
    assert [(p.recipe, p.seed) for p in found[1.0]] == [("scratch", 0), ("texture", 0), ("majority", 0)]
    for predictions in found[1.0]:
        assert predictions.patients.tolist() == TARGET.patients.tolist()
        assert predictions.fold.tolist() == [int(name[1:]) for name in TARGET.patients.tolist()]
        assert predictions.fingerprint == TARGET.fingerprint
    whole = run(experiment(), tmp_path / "other")[1.0]
    for a, b in zip(found[1.0], whole, strict=False):
        assert np.array_equal(a.probabilities, b.probabilities)
    kept = json.loads((tmp_path / "experiment.json").read_text())
    assert kept["design"] == "leave one patient out"
    assert kept["target"]["fingerprint"] == TARGET.fingerprint
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())
    stages = [path.name for path in (tmp_path / "stages").iterdir()]
    assert len(stages) == 1  # the texture stage, which the folds share


def test_changed_options_are_trained_anew_and_weights_can_be_kept(tmp_path: Path) -> None:
    counts: list[int] = []

    def count(parts: Sequence[Any]) -> Sequence[Any]:
        counts.append(len(parts))
        return parts

    base = Experiment(quick("scratch"), {}, fixed(TARGET, renamed(TARGET)), device="cpu")
    run(base, tmp_path, progress=count, keep_weights=True)
    run(base, tmp_path, progress=count)
    run(replace(base, recipes=quick("scratch", epochs=2)), tmp_path, progress=count)
    run(replace(base, seeds=(0, 1)), tmp_path, progress=count)
    assert counts == [1, 0, 1, 1]
    assert len(list((tmp_path / "models").glob("scratch-seed0-*/scratch/model.safetensors"))) == 1


def renamed(images: ImageSet) -> ImageSet:
    return replace(images, patients=np.char.add("E", images.patients))


def test_all_of_the_data_are_trained_on_once_whatever_fractions_are_taken_of(tmp_path: Path) -> None:
    one = experiment(recipes=quick("scratch"), pretraining={})
    run(one, tmp_path)
    lines: list[str] = []
    run(replace(one, by="patients", fractions=(0.5, 1.0)), tmp_path, report=lines.append)
    assert lines[0] == "3 of 6 parts are already there"


def test_equal_steps_stretch_the_epochs(tmp_path: Path) -> None:
    for equal, epochs in ((True, 4), (False, 2)):
        one = Experiment(
            quick("scratch", epochs=2), {}, fixed(TARGET, renamed(TARGET)), fractions=(0.5,), equal_steps=equal
        )
        lines: list[str] = []
        run(one, tmp_path, report=lines.append)
        assert f"epoch {epochs} of {epochs} kept" in lines[-1]


def test_what_is_counted_in_epochs_stretches_with_them(tmp_path: Path) -> None:
    recipes = [recipe("texture").with_options(domains={"target": {"unfreeze_every": 1}}, epochs=4, batch_size=16,
               validation=0.0, schedule="step", milestones=(2, 3))]  # fmt: skip
    one = Experiment(recipes, {"texture": TEXTURE}, fixed(TARGET, renamed(TARGET)), fractions=(0.5,), device="cpu")
    run(one, tmp_path, keep_weights=True)
    (card,) = (tmp_path / "models").glob("texture-*/texture/model.json")
    stage = json.loads(card.read_text())["stage"]
    assert (stage["epochs"], stage["milestones"], stage["unfreeze_every"]) == (8, [4, 6], 2)
    rates = [float(row["learning_rate"]) for row in csv.DictReader(card.with_name("history.csv").open())]
    assert rates == pytest.approx([3e-3] * 4 + [3e-4] * 2 + [3e-5] * 2)


@pytest.mark.parametrize(("patience", "at_least"), [(0, 12), (2, 4)])
def test_without_patience_every_part_runs_to_the_end_of_its_schedule(
    tmp_path: Path, patience: int, at_least: int
) -> None:
    recipes = [recipe("scratch").with_options(epochs=6, batch_size=16, validation=0.34, patience=patience)]
    one = Experiment(recipes, {}, fixed(TARGET, renamed(TARGET)), fractions=(0.5, 1), device="cpu")
    run(one, tmp_path, keep_weights=True)
    cards = {path.parts[-3].split("-")[2]: path for path in (tmp_path / "models").glob("scratch-*/scratch/model.json")}
    stages = {fraction: json.loads(card.read_text())["stage"] for fraction, card in cards.items()}
    assert {fraction: stage["patience"] for fraction, stage in stages.items()} == {"50": 2 * patience, "100": patience}
    rows = list(csv.DictReader(cards["50"].with_name("history.csv").open()))
    assert len(rows) >= at_least


def test_pretraining_on_patients_that_are_predicted_is_refused() -> None:
    target = replace(TARGET, parameters={"path": "rois.csv"})
    design = leave_one_patient_out(target)
    with pytest.raises(DataError, match=r"texture: 3 patients of rois\.csv \(the first is P00\) are also predicted"):
        Experiment(quick("texture"), {"texture": target}, design)
    Experiment(quick("texture"), {"texture": renamed(target)}, design)
    Experiment(quick("texture"), {"texture": TEXTURE}, design)


def test_nothing_to_do_and_things_given_twice_are_refused() -> None:
    with pytest.raises(DataError, match="at least one recipe"):
        experiment(recipes=[])
    with pytest.raises(DataError, match="a seed is given twice: 1, 1"):
        experiment(seeds=(1, 1))
    with pytest.raises(DataError, match="a recipe is given twice"):
        experiment(recipes=quick("scratch", "scratch"))
