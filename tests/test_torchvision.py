"""torchvision's definitions against autograd; absent torchvision is said aloud."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import desali
from desali.errors import UnsupportedLayerError
from tests import torchvision_models
from tests.networks import difference
from tests.oracles.autograd import project

SIZES = {
    "alexnet": 127, "vgg11_bn": 64, "resnet18": 96, "resnet50": 64, "googlenet": 96, "inception_v3": 107,
    "densenet121": 64, "squeezenet1_0": 80, "mobilenet_v2": 64, "mnasnet1_0": 64, "shufflenet_v2_x1_0": 64,
    "resnext50_32x4d": 64, "regnet_y_400mf": 64,
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_against_autograd(name: str) -> None:
    model, x = torchvision_models.build(name, 1, size=SIZES[name])
    recording = desali.record(model, x)
    with torch.no_grad():
        assert torch.equal(recording.output, model(x))
    modules = [name for name, _ in model.named_modules() if name in recording.network.by_name]
    convolutions = [name for name in modules if isinstance(model.get_submodule(name), nn.Conv2d)]
    for layer in (modules[-1], convolutions[len(convolutions) // 2]):
        for bits in ("TTT", "FTT", "TTF"):
            mask, switches, backward = (letter == "T" for letter in bits)
            expected = project(model, x, layer, lambda y: y, mask=mask, backward=backward)
            method = desali.Method(mask, switches, backward, lrn="adjoint")
            maps = recording.reconstruct(layer, desali.Seed.layer(), method)
            assert difference(maps[:, 0], expected) < 1e-10, (layer, bits)
    seed = desali.Seed.top(2)
    middle = convolutions[len(convolutions) // 4]
    cropped = recording.reconstruct(middle, seed)
    assert difference(cropped, recording.reconstruct(middle, seed, crop=False)) < 1e-12


@pytest.mark.parametrize(("name", "size"), [("convnext_tiny", 64), ("vit_b_16", 224)])
def test_networks_without_relu_are_refused_and_the_opt_in_is_named(name: str, size: int) -> None:
    model, x = torchvision_models.build(name, 1, torch.float32, size)
    recording = desali.record(model, x)
    with pytest.raises(UnsupportedLayerError, match=r"Method\(\.\.\., smooth='gradient'\)"):
        recording.reconstruct(recording.layers[-1], desali.Seed.logit(1))
