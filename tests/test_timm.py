"""timm's definitions: exact where they are ReLU networks, refused with the opt-in named where they are not.

timm imports torchvision, whose missing operators are declared first (`tests/torchvision_models.py`).
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import desali
from desali.cli.main import main
from desali.errors import UnknownNameError, UnsupportedLayerError, WeightsError
from desali.models import load
from tests import torchvision_models
from tests.blocks import settle
from tests.networks import difference
from tests.oracles.autograd import project


@functools.cache
def timm() -> Any:
    """The package; the test is skipped, and says so, where it or torchvision is absent."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("TIMM ABSENT: pip install --no-deps timm torchvision. This test has checked NOTHING.")
    torchvision_models.torchvision()
    return importlib.import_module("timm")


@pytest.mark.parametrize(("name", "size"), [("resnet18", 64), ("mobilenetv2_100", 40), ("regnety_002", 40)])
def test_relu_networks_against_autograd(name: str, size: int) -> None:
    torch.manual_seed(0)
    model = settle(timm().create_model(name, pretrained=False))
    x = torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    recording = desali.record(model, x)
    with torch.no_grad():
        assert torch.equal(recording.output, model(x))
    layer = recording.layers[-1]
    for bits in ("TTT", "FTT", "TTF"):
        mask, switches, backward = (letter == "T" for letter in bits)
        expected = project(model, x, layer, lambda y: y, mask=mask, backward=backward)
        maps = recording.reconstruct(layer, desali.Seed.layer(), desali.Method(mask, switches, backward, lrn="adjoint"))
        assert difference(maps[:, 0], expected) < 1e-10, bits


@pytest.mark.parametrize(
    ("name", "size", "culprit"),
    [("efficientnet_b0", 32, "silu"), ("convnext_atto", 64, "layer_norm|gelu"), ("vit_tiny_patch16_224", 64, "norm")],
)
def test_others_are_refused_and_reversed_by_their_gradient_on_demand(name: str, size: int, culprit: str) -> None:
    torch.manual_seed(0)
    options = {"img_size": size} if name.startswith("vit") else {}
    model = settle(timm().create_model(name, pretrained=False, **options))
    x = torch.randn(1, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    recording = desali.record(model, x)
    top = recording.layers[-1]
    with pytest.raises(UnsupportedLayerError, match=rf"({culprit}).*Method\(\.\.\., smooth='gradient'\)"):
        recording.reconstruct(top, desali.Seed.logit(1))
    method = desali.Method(True, True, False, lrn="adjoint", smooth="gradient")
    maps = recording.reconstruct(top, desali.Seed.logit(1), method)
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)
    assert difference(maps[:, 0], expected) < 1e-9


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file_to_a_figure(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(5)
    model = timm().create_model("resnet10t", pretrained=False, num_classes=4).eval()
    state = settle(model, torch.float32).state_dict()
    file = tmp_path / f"best{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    loaded = load("timm:resnet10t", weights=file)
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.model.state_dict().items())
    config = timm().create_model("resnet10t", pretrained=False).pretrained_cfg
    assert loaded.preprocessing.mean == tuple(config["mean"])
    assert loaded.preprocessing.size == config["input_size"][1]
    roi, figure = tmp_path / "roi.png", tmp_path / "figure.png"
    Image.effect_noise((96, 96), 60).convert("RGB").save(roi)
    with pytest.raises(SystemExit) as stop:
        main(["visualize", "--model", f"timm:resnet10t@{file}", "--roi", str(roi), "--output", str(figure)])
    assert not stop.value.code
    assert figure.stat().st_size > 10_000
    with pytest.raises(WeightsError, match="not weights of timm:resnet18"):
        load("timm:resnet18", weights=file)
    with pytest.raises(UnknownNameError, match="resnet10t"):
        load("timm:resnet10tt@random")
