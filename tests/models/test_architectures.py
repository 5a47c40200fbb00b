"""Architectures by name: the registered ones, and networks that others define, whose classifier is found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from desali.errors import DesaliError, UnknownNameError, WeightsError
from desali.models import ARCHITECTURES, architecture, load, save
from desali.models.sources import pretrained
from tests.training.images import stripes

FACTORIES = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, num_classes))
        self.side = nn.Sequential(nn.Conv2d(4, 2, 1), nn.Flatten(), nn.Linear(8, num_classes))
    def forward(self, x):
        x = self.features(x)
        return self.classifier(x) + self.side(x)

class Two(Net):
    def forward(self, x):
        main = super().forward(x)
        return (main, self.side(self.features(x))) if self.training else main

def fixed():
    return Net(7)

def headless(num_classes=10):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "desali_test_factories.py").write_text(FACTORIES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "desali_test_factories", raising=False)
    return "desali_test_factories"


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_every_architecture_builds_trains_its_classifier_and_shows_layers_it_has(name: str) -> None:
    entry = architecture(name)
    model = entry.build(5, entry.in_channels)
    names = [key for key, _ in model.named_parameters()]
    classifier = [key for key in names if entry.is_classifier(key)]
    assert classifier
    assert len(classifier) < len(names)
    modules = dict(model.named_modules())
    assert all(layer in modules for layer in entry.show)


def test_a_factorys_classifier_is_what_depends_on_the_number_of_classes(factories: str) -> None:
    entry = architecture(f"{factories}:Net")
    assert entry.classifier == ("classifier", "side.2")  # linear layers only; a convolution beside them stays
    assert entry.is_classifier("classifier.1.weight")
    assert not entry.is_classifier("side.0.weight")
    assert entry.build(5, 3)(torch.rand(1, 3, 16, 16)).shape == (1, 5)
    torch.manual_seed(0)
    first, second = entry.build(5, 3), entry.build(5, 3)
    torch.manual_seed(0)
    again = entry.build(5, 3)
    key = "features.0.weight"
    assert torch.equal(first.state_dict()[key], again.state_dict()[key])
    assert not torch.equal(first.state_dict()[key], second.state_dict()[key])
    with pytest.raises(DesaliError, match="takes 3 channels, got 1"):
        entry.build(5, 1)


def test_networks_that_cannot_be_trained_are_refused(factories: str) -> None:
    with pytest.raises(DesaliError, match="the factory failed with TypeError"):
        architecture(f"{factories}:fixed")
    with pytest.raises(DesaliError, match="no layer depends on the number of classes"):
        architecture(f"{factories}:headless")
    with pytest.raises(UnknownNameError, match="torchvision:NAME"):
        architecture("nothing:")


def test_a_factorys_weights_are_saved_and_loaded_with_their_buffers(factories: str, tmp_path: Path) -> None:
    name = f"{factories}:Net"
    model = architecture(name).build(3, 3)
    model(torch.rand(4, 3, 16, 16))  # moves the batch norm's statistics
    card = {"architecture": name, "classes": ["a", "b", "c"], "preprocessing": {"size": 16, "channels": 3}}
    before = torch.get_rng_state()
    loaded = load(save(model.eval(), tmp_path / "net.safetensors", card))
    assert torch.equal(torch.get_rng_state(), before)
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(loaded.model(image), model(image))


def test_a_network_with_auxiliary_outputs_is_trained_and_predicts(factories: str, tmp_path: Path) -> None:
    from desali.data.preprocess import Preprocessing
    from desali.evaluation import predict
    from desali.training import recipe, train

    images = stripes(24, classes=2, patients=4, size=16)
    plan = recipe("scratch").with_options(epochs=1, batch_size=8, validation=0.5)
    name = f"{factories}:Two"
    done = train([plan], {"target": images}, tmp_path, name, preprocessing=Preprocessing(16), device="cpu")
    loaded = load(done["scratch"].weights)
    assert predict(loaded, images).probabilities.shape == (24, 2)


def test_pretrained_weights_must_be_of_the_architecture(tmp_path: Path) -> None:
    model = architecture("caffenet-small").build(4, 3)
    card = {
        "architecture": "caffenet-small",
        "classes": list("abcd"),
        "preprocessing": dict(architecture("caffenet-small").preprocessing),
    }
    path = save(model, tmp_path / "own.safetensors", card)
    assert pretrained("caffenet-small", path).classes == ("a", "b", "c", "d")
    with pytest.raises(WeightsError, match="weights of caffenet-small, expected squeezenet1_0"):
        pretrained("squeezenet1_0", path)
    bare = tmp_path / "bare.safetensors"
    bare.write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match=r"bare\.json, which describes caffenet weights, is missing"):
        pretrained("caffenet", bare)


def test_squeezenets_published_weights_serve_as_a_stage(real_data: Path) -> None:
    loaded = pretrained("squeezenet1_0", real_data / "squeezenet" / "squeezenet_v1_0_decoded.npz")
    assert loaded.preprocessing.channel_order == "bgr"
    assert loaded.model(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_squeezenets_logits_are_rectified_only_as_published() -> None:
    from desali.models import SqueezeNet

    assert hasattr(SqueezeNet(1000), "relu10")
    assert not hasattr(SqueezeNet(3), "relu10")
    assert hasattr(SqueezeNet(3, rectified=True), "relu10")
    torch.manual_seed(0)
    logits = architecture("squeezenet1_0").build(3, 3).eval()(60 * torch.randn(4, 3, 64, 64))
    assert bool((logits < 0).any())
