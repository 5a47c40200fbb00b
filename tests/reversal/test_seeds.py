"""What every seed puts on a layer, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import desali
from desali.errors import DesaliError, SeedError, UnknownNameError
from desali.reversal.recording import Recording
from tests.networks import chain, difference, images

LAYER = "features.5"
DTYPE = torch.float64


@pytest.fixture(scope="module")
def recording() -> Recording:
    return desali.record(chain(DTYPE), images(2, DTYPE))


def dense(recording: Recording, signal: Tensor, layer: str = LAYER) -> Tensor:
    """The maps of a signal [N, K, C, *s] that is written out in full."""
    return recording.reconstruct(layer, desali.Seed.tensor(signal))


def test_neuron_is_one_hot(recording: Recording) -> None:
    top = recording.activation(LAYER)
    signal = torch.zeros_like(top).unsqueeze(1)
    signal[:, 0, 7, 2, 3] = 1
    assert difference(recording.reconstruct(LAYER, desali.Seed.neuron(7, 2, 3)), dense(recording, signal)) < 1e-14
    signal *= top[:, 7, 2, 3].view(2, 1, 1, 1, 1)
    got = recording.reconstruct(LAYER, desali.Seed.neuron(7, 2, 3, value="activation"))
    assert difference(got, dense(recording, signal)) < 1e-14


def test_channel_and_layer_are_activations(recording: Recording) -> None:
    top = recording.activation(LAYER)
    only = torch.zeros_like(top)
    only[:, 4] = top[:, 4]
    assert torch.equal(recording.reconstruct(LAYER, desali.Seed.channel(4)), dense(recording, only))
    assert torch.equal(recording.reconstruct(LAYER, desali.Seed.layer()), dense(recording, top))
    ones = torch.zeros_like(top)
    ones[:, 4] = 1
    assert torch.equal(recording.reconstruct(LAYER, desali.Seed.channel(4, value="one")), dense(recording, ones))
    got = recording.reconstruct(LAYER, desali.Seed.layer(value="one"))
    assert torch.equal(got, dense(recording, torch.ones_like(top)))


@pytest.mark.parametrize("value", ["one", "activation"])
def test_top_of_the_whole_layer_per_image(recording: Recording, value: str) -> None:
    top = recording.activation(LAYER)
    signal = torch.zeros(2, 3, *top.shape[1:], dtype=DTYPE)
    for image in range(2):
        order = top[image].flatten().argsort(descending=True)
        for k in range(3):
            signal[image, k].view(-1)[order[k]] = 1 if value == "one" else top[image].flatten()[order[k]]
    got = recording.reconstruct(LAYER, desali.Seed.top(3, value=value))  # type: ignore[arg-type]
    assert difference(got, dense(recording, signal)) < 1e-14


def test_top_at_one_position(recording: Recording) -> None:
    top = recording.activation(LAYER)
    signal = torch.zeros(2, 2, *top.shape[1:], dtype=DTYPE)
    for image in range(2):
        order = top[image, :, 2, 3].argsort(descending=True)
        for k in range(2):
            signal[image, k, order[k], 2, 3] = 1
    assert difference(recording.reconstruct(LAYER, desali.Seed.top(2, at=(2, 3))), dense(recording, signal)) < 1e-14


def test_logit_and_fully_connected_neurons(recording: Recording) -> None:
    signal = torch.zeros(2, 1, 5, dtype=DTYPE)
    signal[:, :, 3] = 1
    expected = dense(recording, signal, "classifier.3")
    assert torch.equal(recording.reconstruct("classifier.3", desali.Seed.logit(3)), expected)
    assert torch.equal(recording.reconstruct("classifier.3", desali.Seed.neuron(3)), expected)
    scaled = recording.reconstruct("classifier.3", desali.Seed.logit(3, value="activation"), "saliency")
    plain = recording.reconstruct("classifier.3", desali.Seed.logit(3), "saliency")
    assert difference(scaled, plain * recording.output[:, 3].view(2, 1, 1, 1, 1)) < 1e-12


def test_tensor_of_one_image_serves_all(recording: Recording) -> None:
    top = recording.activation(LAYER)
    signal = torch.randn(1, 3, *top.shape[1:], dtype=DTYPE)
    assert torch.equal(dense(recording, signal), dense(recording, signal.expand(2, -1, -1, -1, -1).contiguous()))


def test_a_list_of_seeds_is_concatenated(recording: Recording) -> None:
    seeds = [desali.Seed.neuron(1, 0, 0), desali.Seed.top(2), desali.Seed.layer(), desali.Seed.neuron(2, 3, 3)]
    maps = recording.reconstruct(LAYER, seeds)
    assert maps.shape == (2, 5, 3, *images(1).shape[2:])
    parts = torch.cat([recording.reconstruct(LAYER, seed) for seed in seeds], 1)
    assert difference(maps, parts) < 1e-14


def test_a_list_of_layers_is_one_sweep_with_the_same_result(recording: Recording) -> None:
    layers = ["features.8", "features.1", "features.4", "features.2"]
    seeds = [desali.Seed.top(2), desali.Seed.layer()]
    joint = recording.reconstruct(layers, seeds)
    assert list(joint) == layers
    for layer in layers:
        assert difference(joint[layer], recording.reconstruct(layer, seeds)) < 1e-13, layer


def test_the_same_layer_twice_under_two_names(recording: Recording) -> None:
    joint = recording.reconstruct(["features", "features.8"], desali.Seed.top(2))
    assert torch.equal(joint["features"], joint["features.8"])
    assert joint["features"].abs().max() > 0


def test_results_are_fresh_and_repeatable(recording: Recording) -> None:
    first = recording.reconstruct(LAYER, desali.Seed.top(2))
    kept = first.clone()
    first.zero_()
    second = recording.reconstruct(LAYER, desali.Seed.top(2))
    assert torch.equal(second, kept)
    assert not second.requires_grad


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (desali.Seed.neuron(99, 0, 0), ["channel 99", LAYER, "0 to 11"]),
        (desali.Seed.channel(12), ["channel 12", "0 to 11"]),
        (desali.Seed.neuron(0, 1), ["2 spatial dimensions", "2 coordinates"]),
        (desali.Seed.neuron(0, 1, 50), ["[1, 50]", LAYER]),
        (desali.Seed.logit(1), ["needs the network's output", "name the last layer"]),
        (desali.Seed.top(10**6), ["top(1000000)"]),
        (desali.Seed.top(13, at=(0, 0)), ["top(13)", "12"]),
        (desali.Seed.top(1, at=(0, 99)), ["[0, 99]"]),
        (desali.Seed.tensor(torch.zeros(2, 3, 4)), ["must have shape", "[2, 3, 4]"]),
        (desali.Seed.tensor(torch.zeros(3, 12, 6, 6)), ["must have shape"]),
        (desali.Seed.tensor([1.0]), ["torch.Tensor", "list"]),  # type: ignore[arg-type]
    ],
)
def test_a_seed_that_does_not_fit_is_refused(recording: Recording, seed: desali.Seed, words: list[str]) -> None:
    with pytest.raises(SeedError) as error:
        recording.reconstruct(LAYER, seed)
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", True, None])
def test_numbers_must_be_whole(wrong: object) -> None:
    with pytest.raises(SeedError, match="whole number"):
        desali.Seed.neuron(wrong, 0, 0)  # type: ignore[arg-type]
    with pytest.raises(SeedError, match="whole number"):
        desali.Seed.top(wrong)  # type: ignore[arg-type]


def test_top_needs_at_least_one_and_a_known_value() -> None:
    with pytest.raises(SeedError, match="at least 1"):
        desali.Seed.top(0)
    with pytest.raises(SeedError, match="'one' or 'activation'"):
        desali.Seed.layer(value="two")  # type: ignore[arg-type]


def test_unknown_layers_and_methods_suggest_the_nearest(recording: Recording) -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'features\.5'"):
        recording.reconstruct("feature.5", desali.Seed.layer())
    with pytest.raises(UnknownNameError, match="did you mean 'saliency'"):
        recording.reconstruct(LAYER, desali.Seed.layer(), "salency")


@pytest.mark.parametrize("seed", [[], None, "top", [desali.Seed.layer(), 3]])
def test_something_else_than_seeds_is_refused(recording: Recording, seed: object) -> None:
    with pytest.raises(DesaliError, match="seed"):
        recording.reconstruct(LAYER, seed)  # type: ignore[call-overload]


def test_descriptions() -> None:
    assert desali.Seed.neuron(3, 1, 2).describe() == "neuron 3 at 1, 2, set to 1"
    assert desali.Seed.layer().describe() == "whole layer, activations"
