"""From a data set on disk to metrics: train, evaluate, crossvalidate and robustness, end to end."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.training.images import stripes

Run = Callable[..., Any]
CONFIG = """
recipe = "scratch"
device = "cpu"

[stage]
epochs = 1
batch_size = 16
validation = 0.0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stripes of six patients as image folders with the parts train and test, and a table of all of them."""
    root = tmp_path_factory.mktemp("stripes")
    images = stripes(48, classes=2, patients=6, seed=5)
    lines = []
    for number, (pixels, label, patient) in enumerate(zip(images.images, images.labels, images.patients, strict=True)):
        part = "test" if patient in ("P04", "P05") else "train"
        file = root / part / "abc"[label] / patient / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
        lines.append({"path": file.relative_to(root).as_posix(), "label": "abc"[label], "patient": patient})
    with (root / "rois.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["path", "label", "patient"])
        writer.writeheader()
        writer.writerows(lines)
    (root / "config.toml").write_text(CONFIG, encoding="utf-8")
    return root


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))


def test_train_and_evaluate_on_a_folder_with_parts(desali: Run, folder: Path, tmp_path: Path) -> None:
    spec = f"folder:{folder}?patient=folder"
    runs = tmp_path / "runs"
    config = folder / "config.toml"
    done = desali("train", "--config", config, "--target", spec, "--runs", runs)
    assert done.code == 0, done.err
    card = json.loads((runs / "scratch" / "model.json").read_text())
    assert card["data"]["patient_names"] == ["P00", "P01", "P02", "P03"]
    done = desali("evaluate", "scratch", "--runs", runs, "--baseline", "--format", "csv")
    assert done.code == 0, done.err
    kept = json.loads((runs / "evaluation" / "evaluation.json").read_text())
    assert kept["patients"] == 2
    assert kept["rois"] == 16
    baselines = {"texture features + SVM", "first-order statistics"}
    assert {one["recipe"] for one in kept["evaluations"]} == {"scratch", *baselines}
    before = {path.name: path.read_bytes() for path in (runs / "evaluation").iterdir()}
    again = desali("evaluate", "scratch", "--runs", runs, "--baseline", "--seed", "7", "--plots", tmp_path / "plots")
    assert again.code == 0, again.err
    after = {path.name: path.read_bytes() for path in (runs / "evaluation").iterdir()}
    assert {name: after[name] for name in before} == before  # the bootstrap's seed replaces nothing
    added = ("evaluation-seed7.json", "evaluation-seed7.csv", "evaluation-seed7.tex", "evaluation-seed7.txt")
    assert set(after) - set(before) == {
        *added,
        *(f"{name}-seed7.npz" for name in ("texture-features-SVM", "first-order-statistics")),
    }
    assert json.loads(after["evaluation-seed7.json"])["seed"] == 7
    again = desali("evaluate", "scratch", "--runs", runs, "--target", f"table:{folder / 'rois.csv'}")
    assert again.code == 2
    assert "are also among those that" in again.err  # the table holds the training patients too


def test_unreadable_images_of_the_evaluation_can_be_left_out(desali: Run, folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(folder / "train", root / "train")
    shutil.copytree(folder / "test", root / "test")
    runs = tmp_path / "runs"
    spec = f"folder:{root}?patient=folder"
    done = desali("train", "--config", folder / "config.toml", "--target", spec, "--runs", runs)
    assert done.code == 0, done.err
    next((root / "test").rglob("*.png")).write_bytes(b"broken")
    done = desali("evaluate", "scratch", "--runs", runs)
    assert done.code == 2
    assert "1 of 16 images cannot be read" in done.err
    assert not (runs / "evaluation" / "evaluation.json").exists()
    done = desali("evaluate", "scratch", "--runs", runs, "--skip-unreadable")
    assert done.code == 0, done.err
    assert "1 of 16 images cannot be read and are left out" in done.err
    assert json.loads((runs / "evaluation" / "evaluation.json").read_text())["rois"] == 15


def test_evaluate_says_what_to_do_without_a_test_part(desali: Run, folder: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    spec = f"table:{folder / 'rois.csv'}"
    done = desali("train", "--config", folder / "config.toml", "--target", spec, "--runs", runs)
    assert done.code == 0, done.err
    done = desali("evaluate", "scratch", "--runs", runs)
    assert done.code == 2
    assert "desali crossvalidate" in done.err


def test_crossvalidate_and_robustness_share_a_folder(desali: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    common = ["--config", folder / "config.toml", "--target", f"table:{folder / 'rois.csv'}", "--folds", "2"]
    common += ["--resamples", "100", "--threads", "1", "-o", out]
    done = desali("crossvalidate", *common, "--seeds", "0,1")
    assert done.code == 0, done.err
    kept = json.loads((out / "evaluation.json").read_text())
    by_recipe = {one["recipe"]: one for one in kept["evaluations"]}
    assert by_recipe["scratch"]["seeds"] == [0, 1]
    assert by_recipe["scratch"]["folds"] == 2
    assert (by_recipe["scratch"]["patients"].keys()) == {f"P0{k}" for k in range(6)}
    assert "undecided" in done.out
    for name in ("evaluation.txt", "evaluation.csv", "evaluation.tex", "experiment.json", "plots/models.png"):
        assert (out / name).stat().st_size > 100
    parts = set((out / "predictions").iterdir())
    configured = (out / "experiment.json").read_bytes()
    done = desali("robustness", *common, "--seeds", "0", "--fractions", "0.5,1", "--no-baselines")
    assert done.code == 0, done.err
    assert "2 of 4 parts are already there" in done.err
    assert len(set((out / "predictions").iterdir()) - parts) == 2
    assert (out / "experiment.json").read_bytes() == configured
    assert json.loads((out / "robustness-rois-experiment.json").read_text())["fractions"] == [0.5, 1]
    rows = list(csv.DictReader((out / "robustness-rois.csv").open()))
    assert {float(row["fraction"]) for row in rows} == {0.5, 1.0}
    with Image.open(out / "robustness-rois.png") as image:
        assert np.asarray(image.convert("L")).std() > 10
    done = desali(
        "evaluate", "--predictions", out / "predictions.npz", "--resamples", "100", "-o", tmp_path / "again.txt"
    )
    assert done.code == 0, done.err
    assert (tmp_path / "again.txt").read_text() == (out / "evaluation.txt").read_text()
    saved = ["--predictions", out / "robustness-rois-predictions.npz"]
    done = desali("robustness", *saved, "--resamples", "100", "-o", tmp_path / "again")
    assert done.code == 0, done.err
    for name in ("robustness-rois.txt", "robustness-rois.csv", "robustness-rois.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    done = desali("robustness", *saved, "--seeds", "1", "-o", tmp_path / "again")
    assert done.code == 2
    assert "--predictions draws the trainings that the file holds; leave --seeds out" in done.err


def test_a_class_folder_whose_name_ends_in_a_space_is_trained_and_evaluated(
    desali: Run, folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    shutil.copytree(folder / "train", root / "train")
    shutil.copytree(folder / "test", root / "test")
    for part in ("train", "test"):
        (root / part / "b").rename(root / part / "b ")
    runs = tmp_path / "runs"
    spec = f"folder:{root}?patient=folder"
    done = desali("train", "--config", folder / "config.toml", "--target", spec, "--runs", runs)
    assert done.code == 0, done.err
    assert "selection score" in done.out + done.err or "no patient held out" in done.out + done.err
    done = desali("evaluate", "scratch", "--runs", runs)
    assert done.code == 0, done.err
    assert json.loads((runs / "evaluation" / "evaluation.json").read_text())["classes"] == ["a", "b"]


def test_the_configuration_gives_the_seed_and_unused_options_are_named(
    desali: Run, folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("seed = 7\ntensorboard = true\n" + CONFIG, encoding="utf-8")
    target = f"table:{folder / 'rois.csv'}"
    out = tmp_path / "out"
    done = desali("crossvalidate", "--config", config, "--target", target, "--folds", "2", "--no-baselines",
                  "--no-plots", "--resamples", "100", "-o", out)  # fmt: skip
    assert done.code == 0, done.err
    assert "of the configuration tensorboard are for `desali train` alone" in done.err
    assert json.loads((out / "experiment.json").read_text())["seeds"] == [7]
    assert {path.name.split("-")[1] for path in (out / "predictions").iterdir()} == {"seed7"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--folds", "9"], "between 2 and its 6 patients, got 9"),
        (["--fractions", "0,1"], "fractions must lie in (0, 1]"),
        (["--seeds", "1,1"], "seeds must differ, got 1, 1; name each once"),
        (["--architecture", "caffenet-small", "--size", "96"], "takes images of 64 pixels only"),
        (
            ["--architecture", "squeezenet1_0", "--size", "8", "--folds", "2", "--no-baselines"],
            "cannot take images of 8 pixels",
        ),
        (["--device", "foo", "--folds", "2", "--no-baselines"], "unknown device 'foo'"),
        (["--learning-rate", "-1"], "learning_rate must be a number above 0"),
    ],
)
def test_bad_use_is_one_line(desali: Run, folder: Path, tmp_path: Path, options: list[str], said: str) -> None:
    target = f"table:{folder / 'rois.csv'}"
    done = desali("robustness", "scratch", "--target", target, "-o", tmp_path / "out", *options)
    assert done.code == 2
    assert said in done.err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()
