"""Activation times gradient of the class contrast, against autograd on the module itself."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from desali.comparison.relevance import classes_of, relevance
from desali.errors import DataError
from desali.reversal.graph.capture import capture
from desali.reversal.graph.structure import tensors
from tests.comparison.related import Plain, Residual, made, pictures, plain

CLASSES = np.array([0, 3, 1, 2, 2])


def at(model: torch.nn.Module, name: str, images: torch.Tensor) -> torch.Tensor:
    network = capture(model, images)
    return relevance(network, tensors(model), images, network.find(name).index, CLASSES)


@pytest.mark.parametrize("name", ["features.1", "features.6", "features.11"])
def test_against_autograd(name: str) -> None:
    model, images = plain(), pictures(5)
    kept = {}
    handle = model.get_submodule(name).register_forward_hook(lambda _, __, value: kept.setdefault("h", value))
    output = model(images)
    handle.remove()
    weight = torch.full_like(output, -1 / 3)
    weight[torch.arange(5), torch.from_numpy(CLASSES)] = 1
    (gradient,) = torch.autograd.grad((output * weight).sum(), kept["h"])
    torch.testing.assert_close(at(model, name, images), (kept["h"] * gradient).detach(), rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_layer_adds_up_to_the_contrast() -> None:
    model, images = plain(), pictures(5)
    with torch.no_grad():
        for module in model.modules():
            if getattr(module, "bias", None) is not None:
                module.bias.zero_()
    output = model(images).detach()
    rest = (output.sum(1) - output[torch.arange(5), torch.from_numpy(CLASSES)]) / 3
    contrast = output[torch.arange(5), torch.from_numpy(CLASSES)] - rest
    for name in ("features.3", "features.9"):
        torch.testing.assert_close(at(model, name, images).sum((1, 2, 3)), contrast, rtol=1e-3, atol=1e-5)


def test_a_residual_network_and_its_rescaling() -> None:
    images = pictures(5)
    assert torch.isfinite(at(made(Residual), "layer2.0.relu", images)).all()
    model = plain()
    scaled = copy.deepcopy(model)
    factor = torch.exp(torch.randn(64, generator=torch.Generator().manual_seed(1)))
    assert isinstance(scaled, Plain)
    first, second = scaled.convolutions[3 - 2], scaled.convolutions[2]
    with torch.no_grad():
        first.weight *= factor.view(-1, 1, 1, 1)
        first.bias *= factor
        for group in range(2):
            second.weight[32 * group : 32 * group + 32] /= factor[32 * group : 32 * group + 32].view(1, -1, 1, 1)
    torch.testing.assert_close(at(scaled, "features.3", images), at(model, "features.3", images), rtol=1e-3, atol=1e-6)


def test_labels_that_name_no_class() -> None:
    assert classes_of(["b", "a", "b"], ("a", "b"), 2).tolist() == [1, 0, 1]
    assert classes_of(["1", "0"], (), 3).tolist() == [1, 0]
    for labels, names, outputs, words in (
        (None, (), 4, "give labels="),
        (["a", "a"], ("a", "b"), 2, r"of one class \(a\)"),
        (["a", "x"], ("a", "b"), 2, r"'x' is no class of the network \(a, b\)"),
        (["a", "b"], (), 3, r"0 to 2"),
        (["0", "1"], (), 1, "one output"),
    ):
        with pytest.raises(DataError, match=words):
            classes_of(labels, names, outputs)
