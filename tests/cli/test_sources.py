"""`visualize` and `compare` on networks that desali did not train."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from desali.figures.sources import default_layers, in_rgb, not_redrawn, spread
from desali.figures.subjects import subjects
from desali.models import SqueezeNet, load
from tests.cli.conftest import Result
from tests.models.test_sources import fill, write_npz
from tests.torchvision_models import torchvision

Run = Callable[..., Result]


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A colour image with some structure."""
    y, x = np.mgrid[:64, :64]
    planes = [127 + 120 * np.sin(x / 5), 127 + 120 * np.sin(y / 7), 127 + 120 * np.sin((x + y) / 9)]
    path = tmp_path / "photograph.png"
    Image.fromarray(np.stack(planes, -1).astype(np.uint8)).save(path)
    return path


def test_layers_are_spread_over_the_depth() -> None:
    assert spread("abcdefghi", 5) == ("a", "c", "e", "g", "i")
    assert spread("abc", 5) == ("a", "b", "c")
    assert spread("abcdefg", 5) == ("a", "c", "d", "e", "g")


def test_visualize_squeezenet_from_npz(desali: Run, photograph: Path, tmp_path: Path) -> None:
    weights = write_npz(tmp_path / "w.npz", SqueezeNet(4).state_dict())
    out = tmp_path / "figure.png"
    result = desali("visualize", "--model", "squeezenet1_0", "--weights", weights, "--roi", photograph, "-o", out)
    assert result.code == 0, result.err
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["layers"] == [
        "relu1", "fire3.expand_relu", "fire5.expand_relu", "fire7.expand_relu", "fire9.expand_relu"
    ]  # fmt: skip
    facts = record["models"]["squeezenet1_0@w"]
    assert facts["weights"] == "file"
    assert facts["preprocessing"]["channel_order"] == "bgr"
    assert "BGR" in facts["preprocessing_origin"]
    assert "unknown data" in record["note"]


def test_random_weights_are_called_so(desali: Run, photograph: Path, tmp_path: Path) -> None:
    out = tmp_path / "figure.png"
    options = ["--roi", photograph, "-o", out, "--layers", "fire2.expand_relu"]
    result = desali("visualize", "--model", "squeezenet1_0", "--weights", "random", *options)
    assert result.code == 0, result.err
    record = json.loads(out.with_suffix(".json").read_text())
    assert "RANDOM WEIGHTS, nothing was learned: squeezenet1_0@random" in record["note"]
    assert record["models"]["squeezenet1_0@random"]["weights"] == "random"
    out.unlink()
    result = desali("visualize", "--model", "squeezenet1_0", *options)
    assert result.code == 2
    assert "no weights given" in result.err
    assert not out.exists()


def test_compare_two_weights_of_torchvision(desali: Run, photograph: Path, tmp_path: Path) -> None:
    models = torchvision()
    for seed, name in enumerate(("first", "second")):
        save_file(fill(models.squeezenet1_1(num_classes=3), seed), tmp_path / f"{name}.safetensors")
    specs = [f"torchvision:squeezenet1_1@{tmp_path / name}.safetensors" for name in ("first", "second")]
    out = tmp_path / "figure.png"
    result = desali("compare", "--models", ",".join(specs), "--roi", photograph, "-o", out)
    assert result.code == 0, result.err
    record = json.loads(out.with_suffix(".json").read_text())
    assert list(record["models"]) == ["squeezenet1_1@first", "squeezenet1_1@second"]
    assert len(record["layers"]) == 5
    assert record["layers"][0] == "features.1"
    assert record["models"]["squeezenet1_1@first"]["preprocessing"]["size"] == 224


BAD: list[tuple[list[str], str]] = [
    (["--models", "squeezenet1_0@random,two_stage"], "one architecture"),
    (["--models", "squeezenet1_0@none.npz"], "none.npz: no such weights file"),
    (["--models", "squeezenet1_0"], "no weights given"),
    (["--models", "nowhere_at_all:make@random"], "cannot be imported"),
]


@pytest.mark.parametrize(("options", "part"), BAD, ids=lambda value: value[-1] if isinstance(value, list) else "")
def test_bad_sources_are_one_line(
    desali: Run, runs: Path, photograph: Path, tmp_path: Path, options: list[str], part: str
) -> None:
    out = tmp_path / "figure.png"
    result = desali("compare", *options, "--roi", photograph, "--runs", runs, "-o", out)
    assert result.code == 2
    assert part in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not out.exists()


def test_weights_are_for_one_model(desali: Run, runs: Path, photograph: Path) -> None:
    result = desali("visualize", "--model", "a,b", "--weights", "w.pt", "--roi", photograph, "--runs", runs)
    assert result.code == 2
    assert "is for one model, got 2" in result.err


def test_maps_of_a_bgr_network_are_shown_as_rgb() -> None:
    from desali.comparison.views import looks
    from desali.reversal.recording import record
    from desali.reversal.seeds import Seed

    loaded = load("squeezenet1_0", weights="random", num_classes=2)
    image = torch.randn(1, 3, 47, 47, generator=torch.Generator().manual_seed(1)) * 50
    (seen,) = looks(record(loaded.model, image), ["fire2.expand_relu"], Seed.layer(), "saliency")
    turned = in_rgb(seen, loaded.preprocessing)
    assert torch.equal(turned.views[0].maps[:, 0], seen.views[0].maps[:, 2])
    assert not torch.equal(turned.views[0].maps, seen.views[0].maps)
    assert turned.views[0].activation is seen.views[0].activation


def test_what_the_control_cannot_redraw_is_known() -> None:
    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)
            self.gamma = torch.nn.Parameter(torch.ones(4))

    assert not_redrawn(torch.nn.Sequential(Scaled())) == ["0.gamma"]
    assert not_redrawn(SqueezeNet(2)) == []


def test_default_layers_of_a_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["from torch import nn", "def make():", "    layers = []", "    for i in range(9):"]
    lines += ["        layers += [nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()]", "    return nn.Sequential(*layers)"]
    (tmp_path / "nets_of_default_layers.py").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    assert default_layers(subjects({"net": load("nets_of_default_layers:make@random")})[0]) == (
        "1",
        "5",
        "9",
        "13",
        "17",
    )
