"""`desali train --replicates` and `desali lineage`, end to end on images on disk; and every refusal in one line."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from desali.models import load, save
from tests.cli.conftest import Result
from tests.training.images import stripes

Desali = Callable[..., Result]
PATIENT = r"?patient=/(P\d+)_"
COUNT = {"train": (36, 0), "test": (36, 1)}


def write(folder: Path, parts: Sequence[str], classes: int, seed: int) -> Path:
    """Stripes as PNG files: part, class, patient_number; the parts have other patients."""
    for part in parts:
        count, other = COUNT[part or "train"]
        images = stripes(count, classes, 4, seed + other)
        for k, pixels in enumerate(images.images):
            name = f"P{int(images.patients[k][1:]) + 10 * other:02d}_{k}.png"
            path = folder / part / images.classes[images.labels[k]] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A natural and a target data set, and the recipe `natural` trained on them with one replicate."""
    from desali.cli.main import main

    root = tmp_path_factory.mktemp("world")
    natural, target = write(root / "natural", [""], 4, 5), write(root / "target", ["train", "test"], 3, 7)
    command = [
        "train", "natural", "--natural", f"{natural}", "--target", f"{target}{PATIENT}", "--runs", f"{root / 'runs'}",
        "--epochs", "1", "--batch-size", "32", "--device", "cpu", "--replicates", "1",
        "--architecture", "caffenet-small",
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESALI_CACHE", str(root / "cache"))
        with pytest.raises(SystemExit) as stop:
            main(command)
    assert not stop.value.code
    return root


@pytest.fixture(autouse=True)
def cache(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESALI_CACHE", str(world / "cache"))


FEW = ("--random-networks", "2", "--per-class", "8")


def test_the_chain_of_a_recipe(world: Path, desali: Desali, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = desali("lineage", "natural", "--runs", world / "runs", "-o", out, *FEW)
    assert result.code == 0, result.err
    first, second = ("natural (from initial weights): ", "natural -> target (from natural): ")
    assert first in result.out
    assert second in result.out
    assert "24 images of 4 patients" in result.out
    assert "No replicates" in result.out  # of the first stage, and said so
    assert "natural (from initial weights): No replicates" in result.out
    assert "The stage drew its classifier anew (classifier)" in result.out
    for word in ("keeps no", "no list of images", "TRAINING IMAGES"):  # all is known, and held out
        assert word not in result.out
    with (out / "lineage.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["pair"] for row in rows} == {first[:-2], second[:-2]}
    assert [row["layer"] for row in rows if row["pair"] == second[:-2]] == [f"features.relu{k}" for k in range(1, 6)]
    assert all(row["replicate_low"] for row in rows if row["pair"] == second[:-2])
    record = json.loads((out / "lineage.json").read_text())
    assert len(record["images"]["each"]) == record["images"]["drawn"] == 24
    for pair in record["pairs"]:
        own = json.loads((out / pair["record"]).read_text())
        assert own["verdict"] == pair["verdict"]
        assert own["images"]["sha256"] == record["images"]["sha256"]
        assert (out / pair["record"]).with_suffix(".png").stat().st_size > 10_000
    last = json.loads((out / "natural-target.json").read_text())
    assert last["networks"]["replicate 1"]["seed"] == 1


def test_what_is_finished_is_not_made_again(world: Path, desali: Desali, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("lineage", "natural", "--runs", world / "runs", "-o", out, *FEW)
    whole = desali(*command)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "natural.png").unlink()
    again = desali(*command)
    assert again.out == whole.out
    assert "[1/2] natural (from initial weights)\n" in again.err
    assert "[2/2] natural -> target (from natural): already there" in again.err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    other = desali(*command, "--layers", "conv2")  # other options: nothing is reused, and images stay the same
    assert "already there" not in other.err
    assert other.code == 0, other.err
    assert "features.relu3" not in other.out


def test_a_killed_run_goes_on(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "desali.cli.main", "lineage", "natural", "--runs", str(world / "runs"), "-o", str(out),
        "--random-networks", "60", "--per-class", "12",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not (out / "natural.json").is_file() and time.monotonic() < end and run.poll() is None:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert not (out / "natural-target.json").is_file()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "natural (from initial weights): already there" in done.stderr
    assert "natural -> target (from natural)\n" in done.stderr
    assert (out / "natural-target.png").is_file()


def test_any_two_networks(world: Path, runs: Path, desali: Desali, tmp_path: Path) -> None:
    images = world / "target"
    result = desali("lineage", "--before", "natural", "--after", "natural", "--images", images, "--runs", runs, *FEW)
    assert result.code == 0, result.err
    assert "natural to natural: Nothing changed" in result.out
    assert "What the network before was trained on is not known" in result.out
    result = desali(
        "lineage", "--before", "natural", "--after", "scratch", "--replicate", "texture", "--images", images,
        "--runs", runs, *FEW, "-o", tmp_path / "two",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "natural to scratch: undecided, since it is not known whose the images are" in result.out
    assert "; these two networks share no ancestor" in result.out
    assert "each counts as its own" in result.out  # no patients were named
    assert (tmp_path / "two" / "natural-to-scratch.png").is_file()


def test_training_images_are_refused_or_named(world: Path, desali: Desali, tmp_path: Path) -> None:
    command = ("lineage", "natural", "--runs", world / "runs", *FEW)
    images = f"{world / 'target'}{PATIENT}&split=train"
    refused = desali(*command, "--images", images)
    assert refused.code == 2
    assert "the stage natural -> target was trained on or selected by 36 of the 36 images" in refused.err
    assert "--allow-training-images" in refused.err
    seen = desali(*command, "--images", images, "--allow-training-images", "-o", tmp_path)
    assert seen.code == 0, seen.err
    assert "TRAINING IMAGES: the stage natural -> target" in seen.out
    notes = json.loads((tmp_path / "natural-target.json").read_text())["notes"]  # what the figure's foot shows
    assert any(note.startswith("TRAINING IMAGES") for note in notes)
    renamed = shutil.copytree(world / "target" / "train", tmp_path / "elsewhere" / "other")
    refused = desali(*command, "--images", renamed)  # the same pixels under another name, without patients
    assert "36 of the 36 images" in refused.err
    refused = desali(*command, "--images", f"{world / 'natural'}?size=64", "--before", "x", "--after", "y")
    assert refused.code == 2


def test_no_labels_draws_whatever_the_classes(world: Path, desali: Desali) -> None:
    result = desali("lineage", "natural", "--runs", world / "runs", *FEW, "--no-labels", "--per-class", "3")
    assert result.code == 0, result.err
    assert "9 images of 4 patients" in result.out


def spoil(world: Path, tmp_path: Path, value: float, every: bool = False) -> Path:
    """A copy of the runs whose final network holds `value`."""
    folder = tmp_path / "runs"
    shutil.copytree(world / "runs", folder)
    loaded = load("natural", runs=folder)
    with torch.no_grad():
        for name, tensor in loaded.model.named_parameters():
            if every or name == "features.conv3.bias":
                tensor.fill_(value if name.endswith("bias") else 0.0)
    save(loaded.model, folder / "natural" / "model.safetensors", loaded.card)
    return folder


def grey(folder: Path, count: int, classes: int = 2) -> Path:
    for k in range(count):
        path = folder / f"class{k % classes}" / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (20, 20), np.uint8)).save(path)
    return folder


PAIR = ("--before", "natural", "--after", "natural/replicate-1")
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "neither": ((), "name a recipe"),
    "both": (("natural", *PAIR), "name a recipe"),
    "one side alone": (("--before", "natural"), "--before and --after belong together"),
    "no images": (PAIR, "name them with --images DATASET"),
    "a recipe with replicates": (("natural", "--replicate", "x"), "--replicate belongs to --before and --after"),
    "an unknown recipe": (("two_stag",), "no such model under"),
    "no such data set": (("natural", "--images", "nowhere"), "nowhere"),
    "an unknown layer": (("natural", "--layers", "conv99"), "unknown layer 'conv99'"),
    "a per-class of nothing": (("natural", "--per-class", "0"), "per_class must be at least 1"),
    "few images": (("natural", "--per-class", "1"), "3 images are too few"),
    "a device that is not there": (("natural", "--device", "tpu"), "unknown device 'tpu'"),
    "another architecture": (
        ("--before", "natural", "--after", "squeezenet1_0@random", "--images", "{target}"),
        "prepare images in different ways",
    ),
    "another architecture with the same preprocessing": (
        ("--before", "natural", "--after", "{other}", "--images", "{target}"), "two architectures",
    ),
    "an output that is a file": (("natural", "-o", "{target}/train/a/P00_0.png"), "P00_0.png"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case: str, world: Path, desali: Desali, tmp_path: Path) -> None:
    words, message = REFUSED[case]
    if "{other}" in words:
        torch.manual_seed(0)
        card = {**load("natural", runs=world / "runs").card, "architecture": "squeezenet1_0"}
        del card["weights_sha256"]
        from desali.models import architecture

        save(architecture("squeezenet1_0").build(3, 3), tmp_path / "other.safetensors", card)
    places = {"target": world / "target", "other": tmp_path / "other.safetensors"}
    result = desali("lineage", *(word.format(**places) for word in words), "--runs", world / "runs")
    assert result.code == 2
    assert message in result.err
    assert len([line for line in result.err.splitlines() if line.startswith("desali: error")]) == 1
    assert "Traceback" not in result.err


def test_weights_that_compute_nothing_are_refused(world: Path, desali: Desali, tmp_path: Path) -> None:
    closed = desali("lineage", "natural", "--runs", spoil(world, tmp_path, -1.0, every=True), *FEW)
    assert closed.code == 2
    assert "after: no ReLU opens on any of these images" in closed.err


def test_one_class_and_images_without_patients_are_said(world: Path, desali: Desali, tmp_path: Path) -> None:
    images = grey(tmp_path / "images", 6, classes=1)
    result = desali("lineage", "natural", "--runs", world / "runs", "--images", images, *FEW)
    assert result.code == 0, result.err
    assert "All images are of one class (class0)" in result.out
    assert "6 images of unknown patients: each counts as its own" in result.out


def test_a_folder_of_lineages_over_other_images_is_left_alone(world: Path, desali: Desali, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("lineage", "natural", "--runs", world / "runs", "-o", out, "--random-networks", "0")
    assert desali(*command, "--per-class", "4").code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    other = desali(*command, "--per-class", "5")
    assert other.code == 2
    assert "holds lineages over other images" in other.err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_stage_that_is_gone_and_cards_without_stages(world: Path, runs: Path, desali: Desali, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(world / "runs", folder)
    parent = load("natural", runs=folder).card["parent"]
    shutil.rmtree(folder / "stages" / parent)
    gone = desali("lineage", "natural", "--runs", folder)
    assert gone.code == 2
    assert f"the stage {parent} that it started from is missing" in gone.err
    plain = desali("lineage", "natural", "--runs", runs)
    assert plain.code == 2
    assert "its card names no stages" in plain.err


def test_initial_weights_that_cannot_be_made_again_are_said(world: Path, desali: Desali, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(world / "runs", folder)
    side = folder / "stages" / load("natural", runs=folder).card["parent"] / "model.json"
    card = json.loads(side.read_text())
    side.write_text(json.dumps({**card, "seed": 5}))  # as if this machine drew others
    result = desali("lineage", "natural", "--runs", folder, *FEW, "-o", tmp_path / "out")
    assert result.code == 0, result.err
    assert "natural (from initial weights): not compared" in result.out
    assert "cannot be made again here" in result.out
    del card["initial_sha256"]
    side.write_text(json.dumps(card))
    result = desali("lineage", "natural", "--runs", folder, *FEW)
    assert "bit for bit is not shown" in result.out
