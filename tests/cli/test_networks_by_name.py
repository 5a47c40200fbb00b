"""Options of networks by name: classes, missing weights, outputs, published weights, on every command."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.conftest import Result
from tests.models.test_published import digest, package, server  # noqa: F401  (fixtures)

Run = Callable[..., Result]

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    preprocessing = {"size": 32, "channels": 3}

    def __init__(self, num_classes=3, several=False):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 6, 3), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(6, 5, 3), nn.ReLU()
        self.fc = nn.Linear(5, num_classes)
        self.several = several

    def forward(self, x):
        features = self.relu2(self.conv2(self.relu1(self.conv1(x)))).mean((2, 3))
        y = self.fc(features)
        return {"finding": y, "score": y.sum(1)} if self.several else y

def plain(num_classes=3):
    return Net(num_classes)

def several(num_classes=3):
    return Net(num_classes, True)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with factories, photographs, and two files of weights, one without its classifier."""
    (tmp_path / "nets_by_name.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "nets_by_name", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    import nets_by_name  # type: ignore[import-not-found]

    generator = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("a", "b"):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for index in range(6):
                pixels = generator.integers(0, 255, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"p{index}_{part}.png")
    for seed, name in enumerate(("first", "second")):
        torch.manual_seed(seed)
        torch.save(nets_by_name.plain().state_dict(), f"{name}.pt")
    state = torch.load("first.pt")
    torch.save({key: value for key, value in state.items() if not key.startswith("fc.")}, "headless.pt")
    return tmp_path


PHOTO = "photos/test/a/p0_test.png"
FEW = ("--random-networks", "1", "--layers", "relu1")


def commands(spec: str, other: str) -> dict[str, list[Any]]:
    images = ["--images", "folder:photos"]
    return {
        "visualize": ["--model", spec, "--roi", PHOTO, *FEW, "-o", "f.png"],
        "compare": ["--models", f"{spec},{other}", "--roi", PHOTO, *FEW, "-o", "f.png"],
        "grid": ["--models", f"{spec},{other}", "--rois", "photos/test/a", *FEW, "-o", "grid"],
        "layers": [spec],
        "channels": [
            "--model",
            spec,
            *images,
            "--layer",
            "relu1",
            "--random-networks",
            "1",
            "--dpi",
            "40",
            "-o",
            "f.png",
        ],
        "lineage": ["--before", spec, "--after", other, *images, "--random-networks", "0", "-o", "out"],
        "selectivity": ["--models", spec, "--layers", "relu1"],
    }


def run(desali: Run, name: str, spec: str, other: str, *options: str) -> Result:
    return desali(name, *commands(spec, other)[name], *options)


@pytest.mark.parametrize("name", commands("", ""))
def test_every_command_takes_them(here: Path, desali: Run, name: str) -> None:
    first, second = "nets_by_name:several@headless.pt", "nets_by_name:several@second.pt"
    refused = run(desali, name, first, second)
    assert refused.code == 2
    assert "pass --allow-missing to leave out what is beside" in refused.err
    if name not in ("lineage", "selectivity"):
        refused = run(desali, name, first, second, "--allow-missing")
        assert refused.code == 2
        assert re.search(r"finding \[\d, 3\], score \[\d\]; name the one to study \(--model-output, or", refused.err)
    found = run(desali, name, first, second, "--allow-missing", "--model-output", "finding")
    assert found.code == 0, found.err


def test_a_record_says_how_networks_were_loaded(here: Path, desali: Run) -> None:
    spec = "nets_by_name:several@headless.pt"
    result = run(desali, "visualize", spec, spec, "--allow-missing", "--model-output", "finding")
    assert result.code == 0, result.err
    facts = json.loads((here / "f.json").read_text())["models"]["several@headless"]
    assert facts["weights_notes"] == ["'fc.weight', 'fc.bias' drawn at random"]
    assert facts["output"] == "finding"
    both = ("--allow-missing", "--model-output", "finding")
    assert run(desali, "lineage", spec, "nets_by_name:several@second.pt", *both).code == 0
    record = next(path for path in (here / "out").glob("*.json") if "networks" in json.loads(path.read_text()))
    assert "drawn at random" in record.read_text()


def test_a_number_of_classes_that_weights_do_not_say(here: Path, desali: Run) -> None:
    text = desali("layers", "nets_by_name:plain", "--num-classes", "9", "--json")
    assert text.code == 0, text.err
    assert json.loads(text.out)["layers"][-1]["channels"] == 9
    result = run(desali, "visualize", "nets_by_name:plain@first.pt", "", "--num-classes", "9")
    assert result.code == 2
    assert "--num-classes 9 was asked for; leave it out" in result.err
    both = ("--num-classes", "9", "--allow-missing")
    assert run(desali, "visualize", "nets_by_name:plain@headless.pt", "", *both).code == 0
    assert run(desali, "visualize", "nets_by_name:plain@random", "", "--num-classes", "0").code == 2


def test_grids_are_made_again_for_another_output(here: Path, desali: Run) -> None:
    first, second = "nets_by_name:several@first.pt", "nets_by_name:several@second.pt"
    made = [run(desali, "grid", first, second, "--model-output", output) for output in ("finding", "finding", "score")]
    assert [result.code for result in made] == [0, 0, 0], made[-1].err
    assert "6 figures made" in made[0].out
    assert "0 figures made, 6 already there" in made[1].out
    assert "6 figures made" in made[2].out


def test_one_score_an_image_has_a_figure(here: Path, desali: Run) -> None:
    spec = "nets_by_name:several@first.pt"
    options = ("--model-output", "score", "--from", "logit:0")
    result = desali("visualize", "--model", spec, "--roi", PHOTO, "--random-networks", "1", "-o", "f.png", *options)
    assert result.code == 0, result.err
    record = json.loads((here / "f.json").read_text())
    assert record["layers"] == ["sum_fn"]
    assert record["models"]["several@first"]["softmax"] is None


def test_trained_models_take_none_of_them(here: Path, desali: Run, runs: Path) -> None:
    for option, value in (("--num-classes", "3"), ("--model-output", "x")):
        result = desali("visualize", "--model", "two_stage", "--runs", runs, "--roi", PHOTO, option, value)
        assert result.code == 2
        assert f"{option} {value} is for networks by name" in result.err
    result = desali("visualize", "--model", "resnet18", "--runs", runs, "--roi", PHOTO)
    assert result.code == 2
    assert "did you mean 'torchvision:resnet18@WEIGHTS'" in result.err


@pytest.mark.usefixtures("here")
def test_published_weights_are_fetched_only_with_download(desali: Run, request: pytest.FixtureRequest) -> None:
    published, served = request.getfixturevalue("package"), request.getfixturevalue("server")
    spec = "torchvision:resnet18@IMAGENET1K_V1"
    options = ("--model", spec, "--roi", PHOTO, "--layers", "conv", "--random-networks", "1", "-o", "f.png")
    result = desali("visualize", *options)
    assert result.code == 2
    assert "--download fetches them, or name a file" in result.err
    assert served.asked == []
    result = desali("visualize", *options, "--download")
    assert result.code == 0, result.err
    facts = json.loads(Path("f.json").read_text())["models"]["resnet18@IMAGENET1K_V1"]
    assert facts["weights_name"] == "IMAGENET1K_V1"
    assert facts["weights_sha256"] == digest(published.data)
    assert facts["preprocessing"]["mean"] == [0.1, 0.2, 0.3]
    assert served.asked == [published.name]
