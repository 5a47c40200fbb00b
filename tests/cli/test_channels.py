"""`desali channels` from the command line: a recipe, two networks, one network, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from desali.models import checkpoint
from desali.models.registry import ARCHITECTURES
from tests.cli.conftest import Result

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Regions of two classes and eight patients with parts, and two networks, one of which the other started from."""
    where = tmp_path_factory.mktemp("channels")
    rng = np.random.default_rng(0)
    rows = ["path,label,patient,split"]
    for k in range(48):
        coarse = rng.normal(-700, 250, (8, 8)).repeat(4, 0).repeat(4, 1)
        tifffile.imwrite(where / f"{k}.tif", (coarse + 300 * (k % 2)).clip(-1024, 400).astype(np.int16))
        rows.append(f"{k}.tif,{'ab'[k % 2]},P{k // 4},{'train' if k < 24 else 'test'}")
    (where / "rois.csv").write_text("\n".join(rows) + "\n")
    entry = ARCHITECTURES["caffenet-small"]
    torch.manual_seed(0)
    model = entry.build(2, 3)
    card = {"architecture": entry.name, "classes": ["a", "b"], "preprocessing": entry.preprocessing, "origin": "none"}
    checkpoint.save(model, where / "before.safetensors", card)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter += 0.3 * parameter.std() * torch.randn_like(parameter)
    checkpoint.save(model, where / "after.safetensors", card)
    return where


def test_two_networks(desali: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    pair = ("--before", folder / "before.safetensors", "--after", folder / "after.safetensors")
    images = ("--images", folder / "rois.csv")
    result = desali("channels", *pair, *images, "--layer", "conv3", "--channels", "3,25", "--dpi", 60)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0] == "channels-before-to-after-conv3.png"
    assert [line.split()[0] for line in lines[1:]] == ["channel", "3", "25"]
    record = json.loads((tmp_path / "channels-before-to-after-conv3.json").read_text())
    assert record["layer"] == "features.relu3"
    assert record["images"]["count"] == 24, "the part 'test'"
    assert record["command"][0] == "desali"
    assert "was trained on is not known" in record["note"]
    by_rule = desali("channels", *pair, *images, "--layer", "features.relu4", "-o", "out.png", "--dpi", 60)
    assert by_rule.code == 0, by_rule.err
    assert "drawn at random" in by_rule.out
    named = ("--layer", "conv3", "--channels", "3")
    unlabelled = desali("channels", *pair, *images, *named, "--no-labels", "-o", "no.png")
    assert unlabelled.code == 0, unlabelled.err
    assert json.loads((tmp_path / "no.json").read_text())["images"]["classes"] is None


def test_one_network(desali: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    result = desali(
        "channels", "--model", folder / "before.safetensors", "--images", folder / "rois.csv", "--layer", "conv5",
        "--by", "relevance", "--dpi", 60,
    )  # fmt: skip
    assert result.code == 0, result.err
    assert result.out.startswith("channels-before-conv5.png\n")
    assert "most relevant" in result.out


def test_a_recipe_and_images_that_it_has_seen(
    desali: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    trained = desali(
        "train", "texture", "--target", folder / "rois.csv", "--texture", f"{folder / 'rois.csv'}?split=train&size=32",
        "--epochs", 1, "--batch-size", 8, "--replicates", 1,
    )  # fmt: skip
    assert trained.code == 0, trained.err
    result = desali("channels", "texture", "--layer", "conv2", "-o", "sheet.png", "--dpi", 60)
    assert result.code == 0, result.err
    record = json.loads((tmp_path / "sheet.json").read_text())
    assert record["title"].startswith("texture -> target (from texture): features.relu2")
    assert set(record["networks"]) == {"before", "after", "replicate 1"}
    assert record["images"]["count"] == 24
    seen = ("channels", "texture", "--layer", "conv2", "--images", f"{folder / 'rois.csv'}?split=train")
    refused = desali(*seen, "-o", "seen.png")
    assert refused.code == 2
    assert "--allow-training-images" in refused.err
    assert not (tmp_path / "seen.png").exists()
    allowed = desali(*seen, "-o", "seen.png", "--allow-training-images", "--dpi", 60)
    assert allowed.code == 0, allowed.err
    assert "TRAINING IMAGES" in json.loads((tmp_path / "seen.json").read_text())["note"]
    alone = desali("channels", "--model", "texture", "--layer", "conv2", "-o", "alone.png", "--dpi", 60)
    assert alone.code == 0, alone.err


def test_bad_input(desali: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESALI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    pair = ("--before", folder / "before.safetensors", "--after", folder / "after.safetensors")
    images = ("--images", folder / "rois.csv")
    for words, arguments in (
        ("name a layer with --layer", pair),
        ("name a recipe, two networks", ("--layer", "conv3")),
        ("name a recipe, two networks", ("two_stage", *pair, "--layer", "conv3")),
        ("belong together", (*pair[:2], *images, "--layer", "conv3")),
        ("--images DATASET", (*pair, "--layer", "conv3")),
        ("--images DATASET", ("--model", folder / "before.safetensors", "--layer", "conv3")),
        ("--replicate belongs", ("two_stage", "--layer", "conv3", "--replicate", "x")),
        ("did you mean", (*pair, *images, "--layer", "features.conv33")),
        ("outside layer", (*pair, *images, "--layer", "conv3", "--channels", "96")),
        ("channels must be", (*pair, *images, "--layer", "conv3", "--channels", "a")),
        ("did you mean 'desalinet'", (*pair, *images, "--layer", "conv3", "--method", "desalinets")),
        ("relevance is for one network", (*pair, *images, "--layer", "conv3", "--by", "relevance")),
        ("no such model", ("two_stage", "--layer", "conv3")),
        ("use .png", (*pair, *images, "--layer", "conv3", "-o", "sheet.json")),
        ("unknown kind of figure", (*pair, *images, "--layer", "conv3", "-o", "sheet.bmp")),
    ):
        result = desali("channels", *arguments)
        assert result.code == 2, words
        assert words in result.err, result.err
        assert len(result.err.splitlines()) == 1
        assert not list(tmp_path.glob("*.png"))
