"""CaffeNet: sizes, order of layers, LRN, first weights."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from desali.errors import UnknownNameError
from desali.models import ARCHITECTURES, CaffeNet, CaffeNetSmall, architecture

FEATURES = [
    "conv1",
    "relu1",
    "pool1",
    "norm1",
    "conv2",
    "relu2",
    "pool2",
    "norm2",
    "conv3",
    "relu3",
    "conv4",
    "relu4",
    "conv5",
    "relu5",
    "pool5",
]
CLASSIFIER = ["fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("classes", "expected"), [(7, 58_310_023), (1000, 62_378_344)])
def test_caffenet_has_the_published_number_of_parameters(classes: int, expected: int) -> None:
    with torch.device("meta"):
        assert parameters(CaffeNet(classes)) == expected


def test_caffenet_maps_227_pixels_to_the_known_shapes() -> None:
    with torch.device("meta"):
        model, x = CaffeNet(), torch.rand(2, 3, 227, 227)
    shapes = {}
    for name, module in model.features.named_children():
        x = module(x)
        shapes[name] = tuple(x.shape[1:])
    assert shapes["conv1"] == (96, 55, 55)
    assert shapes["norm1"] == (96, 27, 27)
    assert shapes["conv2"] == (256, 27, 27)
    assert shapes["conv5"] == (256, 13, 13)
    assert shapes["pool5"] == (256, 6, 6)
    assert model.classifier(x.flatten(1)).shape == (2, 7)


@pytest.mark.parametrize("name", ["caffenet", "caffenet-small"])
def test_caffenet_and_its_sibling_have_the_same_order_of_layers(name: str) -> None:
    entry = ARCHITECTURES[name]
    with torch.device("meta"):
        model = entry.build(7, 3)
        images = torch.rand(1, 3, entry.input_size, entry.input_size)
    assert [child for child, _ in model.get_submodule("features").named_children()] == FEATURES
    assert [child for child, _ in model.get_submodule("classifier").named_children()] == CLASSIFIER
    assert model(images).shape == (1, 7)
    assert entry.preprocessing["size"] == entry.input_size
    for layer in entry.show:
        model.get_submodule(layer)


def test_lrn_is_that_of_the_paper_written_out() -> None:
    x = torch.randn(1, 12, 2, 2, dtype=torch.float64) * 30
    norm = CaffeNetSmall().features.get_submodule("norm1")
    expected = torch.empty_like(x)
    for c in range(12):
        near = x[:, max(0, c - 2) : c + 3].square().sum(1)
        expected[:, c] = x[:, c] / (2 + 1e-4 * near) ** 0.75
    torch.testing.assert_close(norm(x), expected)


def test_small_network_is_small_and_takes_other_channels() -> None:
    assert parameters(CaffeNetSmall()) == 465_095
    assert CaffeNetSmall(5, in_channels=1)(torch.rand(2, 1, 64, 64)).shape == (2, 5)


def test_first_weights_keep_the_variance_and_ignore_mean_grey() -> None:
    torch.manual_seed(0)
    model = CaffeNetSmall().eval()
    grey = model.features.get_submodule("conv1")(torch.full((1, 3, 64, 64), 0.5))
    assert grey[..., 4:-4, 4:-4].abs().max() < 1e-4  # away from the padded border
    x = (0.5 + 0.25 * torch.randn(8, 3, 64, 64)).clamp(0, 1)
    for name, module in model.features.named_children():
        x = module(x)
        if name.startswith("conv"):
            assert 0.4 < float(x.detach().square().mean()) < 20, name
    logits = model.classifier(x.flatten(1)).detach()
    assert float(logits.softmax(1).amax()) < 0.5  # no class is preferred at the start


def test_classifier_parameters_are_told_from_features() -> None:
    entry = architecture("caffenet-small")
    names = [name for name, _ in entry.build(7, 3).named_parameters()]
    assert {name for name in names if entry.is_classifier(name)} == {
        f"classifier.{layer}.{kind}" for layer in ("fc6", "fc7", "fc8") for kind in ("weight", "bias")
    }


def test_unknown_architecture_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'caffenet-small'"):
        architecture("cafenet-smal")


def test_registries_are_importable_without_torch() -> None:
    code = (
        "import sys; from desali.models import ARCHITECTURES; from desali.training import RECIPES; "
        "print(len(ARCHITECTURES), len(RECIPES), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "4", "False"]
