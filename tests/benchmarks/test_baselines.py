"""Every baseline computes what desali computes, on networks with and without normalisation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import desali
from benchmarks.baselines import Autograd, Captum, strongest, twin
from benchmarks.measuring import TOLERANCE, difference
from benchmarks.models import build
from benchmarks.plain import Plain, phase_transpose, phase_weight

NETWORKS = ("alexnet-tiny", "caffenet-small")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("place", ["centre", "corner"])
def test_single_neurons_agree(name: str, place: str) -> None:
    net = build(name)
    images = net.images(2)
    layer = net.convolutions[-1]
    recording = desali.record(net.module, images)
    shape = recording.shape(layer)
    row, column = (shape[1] // 2, shape[2] // 2) if place == "centre" else (0, shape[2] - 1)
    chosen = [(channel, row, column) for channel in (0, 3, 2)]
    expected = recording.reconstruct(layer, [desali.Seed.neuron(*neuron) for neuron in chosen])
    for baseline in (Autograd(net, "hooks"), Autograd(net, "function"), Captum(net), Plain(net), Plain(net, True)):
        assert difference(baseline.neurons(images, layer, chosen), expected) < TOLERANCE


@pytest.mark.parametrize("name", NETWORKS)
def test_strongest_neurons_agree(name: str) -> None:
    net = build(name)
    images, layers = net.images(2), list(net.convolutions)
    expected = desali.record(net.module, images).reconstruct(layers, desali.Seed.top(3))
    function = Autograd(net, "function")
    picks = {layer: strongest(top, 3) for layer, top in function.forward(images, layers)[1].items()}
    assert difference(function.top(images, layers, 3), expected) < TOLERANCE
    assert difference(Plain(net).top(images, layers, 3), expected) < TOLERANCE
    assert difference(Captum(net).top(images, layers, picks), expected) < TOLERANCE


@pytest.mark.parametrize("name", NETWORKS)
def test_a_whole_layer_agrees(name: str) -> None:
    net = build(name)
    images = net.images(2)
    expected = desali.record(net.module, images).reconstruct(net.pool5, desali.Seed.layer())
    for baseline in (Autograd(net, "hooks"), Autograd(net, "function"), Plain(net), Plain(net, True)):
        assert difference(baseline.layer(images, net.pool5), expected) < TOLERANCE


def test_plain_cropping_refuses_scattered_neurons() -> None:
    net = build("alexnet-tiny")
    with pytest.raises(ValueError, match="one position, got 2"):
        Plain(net).neurons(net.images(1), net.convolutions[-1], [(0, 0, 0), (0, 1, 0)])


def test_a_twin_shares_its_parameters_and_leaves_the_module_alone() -> None:
    module = build("caffenet-small").module
    double = twin(module, "function")
    assert all(a is b for a, b in zip(module.parameters(), double.parameters(), strict=True))
    assert any(isinstance(layer, nn.LocalResponseNorm) for layer in module.modules())
    assert not any(isinstance(layer, (nn.ReLU, nn.LocalResponseNorm)) for layer in double.modules())
    x = build("caffenet-small").images(1)
    torch.testing.assert_close(double(x), module(x))


@settings(max_examples=30)
@given(
    kernel=st.integers(1, 7), stride=st.integers(1, 5), size=st.integers(1, 6), channels=st.integers(1, 3),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_phases_are_the_transposed_convolution(kernel: int, stride: int, size: int, channels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(2, channels, kernel, kernel, generator=generator, dtype=torch.float64)
    signal = torch.randn(2, 2, size, size + 1, generator=generator, dtype=torch.float64)
    expected = F.conv_transpose2d(signal, weight, stride=stride)
    got = phase_transpose(signal, phase_weight(weight, stride), stride)
    height, width = expected.shape[2:]
    torch.testing.assert_close(got[..., :height, :width], expected)
    assert got[..., height:, :].abs().sum() == 0
    assert got[..., width:].abs().sum() == 0
