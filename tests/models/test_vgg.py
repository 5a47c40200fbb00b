"""The default network: its size, its layers, and that its reversal is the gradient where it must be."""

from __future__ import annotations

import torch

import desali
from desali.models import ARCHITECTURES, VGGSmall, architecture
from desali.models.registry import DEFAULT
from desali.training.config import TrainingConfig


def test_sizes() -> None:
    model = VGGSmall()
    assert sum(parameter.numel() for parameter in model.parameters()) == 273_783
    assert model.eval()(torch.rand(2, 1, 64, 64)).shape == (2, 7)
    assert model(torch.rand(1, 1, 32, 48)).shape == (1, 7)


def test_it_is_the_default_and_takes_grey() -> None:
    assert TrainingConfig().architecture == DEFAULT == next(iter(ARCHITECTURES))
    entry = architecture(DEFAULT)
    assert (entry.input_size, entry.in_channels, entry.preprocessing["channels"]) == (64, 1, 1)
    modules = dict(entry.build(3, 1).named_modules())
    assert all(isinstance(modules[name], torch.nn.ReLU) for name in entry.show)
    assert entry.is_classifier("classifier.fc.weight")
    assert not entry.is_classifier("features.conv6.weight")


def test_first_predictions_prefer_no_class() -> None:
    torch.manual_seed(0)
    probabilities = VGGSmall().eval()(torch.randn(8, 1, 64, 64)).detach().softmax(1)
    assert float(probabilities.max()) < 0.4


def test_its_reversal_is_the_gradient() -> None:
    torch.manual_seed(1)
    model = VGGSmall().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    image = torch.randn(1, 1, 64, 64, requires_grad=True)
    model(image)[0, 3].backward()
    found = desali.record(model, image.detach()).reconstruct("classifier.fc", desali.Seed.logit(3), "saliency")
    assert image.grad is not None
    assert torch.allclose(found.reshape(image.shape), image.grad, rtol=1e-4, atol=1e-6 * float(image.grad.abs().max()))
