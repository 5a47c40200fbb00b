"""What every seed puts on a layer, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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


WHOLE = st.integers(0, 10**20)
VALUE = st.sampled_from(["one", "activation"])
PLACE = st.lists(WHOLE, max_size=3)


@st.composite
def written(draw: Any) -> tuple[str, desali.Seed]:
    """A seed as text, and the same one made in Python."""
    number, place, value = draw(WHOLE), draw(PLACE), draw(VALUE)
    space = draw(st.sampled_from(["", " "]))
    join = f"{space},{space}".join
    at = f"@{join(map(str, place))}" if place else ""
    count = number + 1
    return draw(
        st.sampled_from(
            [
                ("layer", desali.Seed.layer(value=value)),
                (f"channel:{space}{number}", desali.Seed.channel(number, value=value)),
                (f"neuron:{join(map(str, [number, *place]))}", desali.Seed.neuron(number, *place, value=value)),
                (f"top:{count}{at}", desali.Seed.top(count, tuple(place) if place else None, value=value)),
                (f"logit:{number}", desali.Seed.logit(number, value=value)),
            ]
        )
    )


@given(written())
def test_text_and_python_make_the_same_seed_and_data_keep_it(pair: tuple[str, desali.Seed]) -> None:
    text, made = pair
    assert desali.Seed.parse(text, made.value) == made
    again = desali.Seed.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made
    assert hash(again) == hash(made)
    assert eval(repr(made), {"Seed": desali.Seed}) == made


@given(st.text(max_size=12) | st.sampled_from(["layer", "channel", "neuron", "top", "logit"]).flatmap(
    lambda kind: st.text("0123456789,@:-+ x", max_size=8).map(lambda rest: f"{kind}:{rest}")
))  # fmt: skip
def test_any_text_is_a_seed_or_one_clear_line(text: str) -> None:
    try:
        seed, message = desali.Seed.parse(text), None
    except (SeedError, UnknownNameError) as error:
        seed, message = None, str(error)
    if seed is not None:
        assert desali.Seed.from_dict(seed.to_dict()) == seed
    else:
        assert message is not None
        assert "seed" in message or "must be a whole number" in message


def test_without_a_value_text_and_data_take_the_kinds_own() -> None:
    for text, made in (
        ("layer", desali.Seed.layer()),
        ("top:3", desali.Seed.top(3)),
        ("logit:1", desali.Seed.logit(1)),
    ):
        assert desali.Seed.parse(text) == made
    assert desali.Seed.from_dict({"kind": "channel", "channel": 3}) == desali.Seed.channel(3)
    assert desali.Seed.from_dict({"kind": "top", "count": 3}) == desali.Seed.top(3)


def test_a_class_goes_by_its_name_or_number_and_the_name_wins() -> None:
    classes = ["CON", "GGO", "0", "a:b,c"]
    assert desali.Seed.parse("logit:GGO", classes=classes) == desali.Seed.logit(1)
    assert desali.Seed.parse("logit:1", classes=classes) == desali.Seed.logit(1)
    assert desali.Seed.parse("logit:0", classes=classes) == desali.Seed.logit(2)
    assert desali.Seed.parse("logit:a:b,c", classes=classes) == desali.Seed.logit(3)
    with pytest.raises(SeedError, match=r"name of a class \(CON, GGO, 0, a:b,c\); did you mean 'GGO'\?"):
        desali.Seed.parse("logit:ggo", classes=classes)
    with pytest.raises(SeedError) as error:
        desali.Seed.parse("logit:nothing", classes=[f"{number:04d}" for number in range(1000)])
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("neurn:1,2,3", "did you mean 'neuron'"),
        ("kontrast", "did you mean 'contrast'"),
        ("contrast:-1", "at least 0"),
        ("contrast:2,0", "expected contrast, contrast:true or contrast:K"),
        ("contrast:", "expected contrast, contrast:true or contrast:K"),
        ("contrast:bird", "in whole numbers"),
        ("neuron", "neuron:C,Y,X"),
        ("neuron:1,x", "whole numbers"),
        ("channel:1,2", "expected channel:C"),
        ("layer:1", "expected layer"),
        ("top", "top:K"),
        ("top:0", "at least 1"),
        ("top:2@", "top:K@Y,X"),
        ("channel:-1", "at least 0"),
        ("channel:1.5", "whole numbers"),
        ("channel:1_0", "whole numbers"),
        ("channel:" + "9" * 5000, "whole numbers"),
        ("", "unknown kind of seed ''"),
    ],
)
def test_text_that_is_no_seed_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises((SeedError, UnknownNameError)) as error:
        desali.Seed.parse(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
    with pytest.raises(SeedError, match="'one' or 'activation'"):
        desali.Seed.parse("layer", "two")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"kind": "chanel", "channel": 1}, "did you mean 'channel'"),
        ({"kind": ["layer"]}, "unknown kind of seed"),
        ({}, "unknown kind of seed"),
        ({"kind": "channel"}, "no entry 'channel'"),
        ({"kind": "neuron", "channel": 1}, "no entry 'position'"),
        ({"kind": "neuron", "channel": 1, "position": "3"}, "position must be a list"),
        ({"kind": "neuron", "channel": 1, "position": [0.5]}, "whole number"),
        ({"kind": "layer", "channel": 1}, "unknown entry 'channel'"),
        ({"kind": "layer", "value": 1}, "'one' or 'activation'"),
        ({"kind": "top", "count": True}, "whole number"),
        ({"kind": "contrast", "class": "false"}, "a class's number, 'predicted' or 'true'"),
        ({"kind": "contrast", "class": 1, "value": "one"}, "unknown entry 'value'"),
        ({"kind": "logit", "channel": [1, -2]}, "at least 0"),
        ("layer", "must be an object"),
    ],
)
def test_broken_data_of_a_seed_are_refused_in_one_line(data: Any, words: str) -> None:
    with pytest.raises((SeedError, UnknownNameError)) as error:
        desali.Seed.from_dict(data)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_of_a_given_tensor_the_data_keep_a_fingerprint_that_only_the_tensor_itself_satisfies() -> None:
    signal = torch.arange(24, dtype=torch.bfloat16).reshape(1, 2, 3, 4)
    data = desali.Seed.tensor(signal).to_dict()
    assert data["shape"] == [1, 2, 3, 4]
    assert data["dtype"] == "bfloat16"
    assert desali.Seed.tensor(signal.contiguous(memory_format=torch.channels_last)).to_dict() == data
    assert desali.Seed.tensor(signal + 1).to_dict()["sha256"] != data["sha256"]
    with pytest.raises(SeedError, match=r"shape \[1, 2, 3, 4\] and SHA-256.*Seed\.tensor"):
        desali.Seed.from_dict(json.loads(json.dumps(data)))
    with pytest.raises(SeedError, match=r"torch\.Tensor, got list"):
        desali.Seed.tensor([1.0]).to_dict()  # type: ignore[arg-type]


def test_seeds_are_values() -> None:
    signal = torch.zeros(1, 2)
    assert desali.Seed.tensor(signal) == desali.Seed.tensor(signal)
    assert desali.Seed.tensor(signal) != desali.Seed.tensor(signal.clone())
    assert desali.Seed.neuron(3) != desali.Seed.logit(3)
    assert desali.Seed.layer() != desali.Seed.layer(value="one")
    assert len({desali.Seed.top(2), desali.Seed.top(2), desali.Seed.top(3)}) == 2
    assert repr(desali.Seed.tensor(signal)) == "Seed.tensor(<[1, 2]>)"


CONTRASTS = [
    desali.Seed.contrast(),
    desali.Seed.contrast("true"),
    desali.Seed.contrast(2),
    desali.Seed.contrast([1, 0]),
    desali.Seed.logit([1, 0]),
    desali.Seed.logit([2, 2], value="activation"),
]


@pytest.mark.parametrize("seed", CONTRASTS, ids=repr)
def test_classes_of_images_survive_data(seed: desali.Seed) -> None:
    again = desali.Seed.from_dict(json.loads(json.dumps(seed.to_dict())))
    assert again == seed
    assert hash(again) == hash(seed)
    assert eval(repr(seed), {"Seed": desali.Seed}) == seed
    assert len({*CONTRASTS}) == len(CONTRASTS)


def test_a_contrast_is_written_as_text() -> None:
    classes = ["true", "bird", "7"]
    parse = desali.Seed.parse
    assert parse("contrast") == desali.Seed.contrast() == desali.Seed.contrast("predicted")
    assert parse("contrast:true", classes=classes) == desali.Seed.contrast("true")
    assert parse("contrast:bird", classes=classes) == desali.Seed.contrast(1)
    assert parse("contrast:7", classes=classes) == desali.Seed.contrast(2)
    assert parse("contrast:0", classes=classes) == desali.Seed.contrast(0)
    with pytest.raises(SeedError, match="takes no other value"):
        parse("contrast", "activation")


def _gradient(model: torch.nn.Module, x: Tensor, signal: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    (found,) = torch.autograd.grad((model(leaf) * signal).sum(), leaf)
    return found


@pytest.mark.parametrize("target", [None, 1, [2, 0], torch.tensor([0, 2])], ids=["predicted", "one", "each", "tensor"])
def test_a_contrast_is_the_gradient_of_a_class_against_the_mean_of_the_others(target: Any) -> None:
    model, x = _classifier()
    recording = desali.record(model, x)
    output = model(x).detach()
    chosen = output.argmax(1) if target is None else torch.as_tensor(target).expand(2)
    signal = torch.full_like(output, -1 / (output.shape[1] - 1))
    signal[torch.arange(2), chosen] = 1
    maps = recording.reconstruct("fc", desali.Seed.contrast(target), "gradient")
    assert maps.shape == (2, 1, *x.shape[1:])
    assert difference(maps[:, 0], _gradient(model, x, signal)) < 1e-6
    assert bool((maps > 0).any())
    assert bool((maps < 0).any())


def test_a_contrast_sees_nothing_that_moves_all_classes_alike() -> None:
    model, x = _classifier()
    with torch.no_grad():
        model.fc.weight += torch.randn(model.fc.weight.shape[1])
    moved = desali.reconstruct(model, x, "fc", desali.Seed.contrast([1, 2]), "gradient")
    same = desali.reconstruct(_classifier()[0], x, "fc", desali.Seed.contrast([1, 2]), "gradient")
    assert difference(moved, same) < 1e-5


@pytest.mark.parametrize("value", ["one", "activation"])
def test_each_image_may_have_a_logit_of_its_own(value: Any) -> None:
    model, x = _classifier()
    maps = desali.reconstruct(model, x, "fc", desali.Seed.logit([2, 0], value=value))
    for image, k in enumerate((2, 0)):
        one = desali.reconstruct(model, x[image : image + 1], "fc", desali.Seed.logit(k, value=value))
        assert difference(maps[image], one[0]) < 1e-6
    whole = desali.reconstruct(model, x, "fc", desali.Seed.logit([1, 1], value=value))
    assert torch.equal(whole, desali.reconstruct(model, x, "fc", desali.Seed.logit(1, value=value)))


def test_the_true_class_is_put_in_and_wrong_classes_are_refused() -> None:
    model, x = _classifier()
    recording = desali.record(model, x)
    true = desali.Seed.contrast("true")
    assert true.of_true([2, 1]) == desali.Seed.contrast([2, 1])
    assert desali.Seed.contrast().of_true([2, 1]) == desali.Seed.contrast()
    for seed, layer, words in (
        (true, "fc", "needs to know it"),
        (desali.Seed.contrast([1]), "fc", "for 2 images"),
        (desali.Seed.logit([0, 3]), "fc", "channel 3 is outside layer 'fc', which has 3"),
        (desali.Seed.contrast(3), "fc", "channel 3 is outside layer 'fc'"),
        (desali.Seed.contrast(0), "relu", "a contrast seed needs the network's output"),
    ):
        with pytest.raises(SeedError) as error:
            recording.reconstruct(layer, seed)
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    for wrong in ("best", [], [0.5], -1, True):
        with pytest.raises(SeedError):
            desali.Seed.contrast(wrong)  # type: ignore[arg-type]


def _classifier() -> tuple[Any, Tensor]:
    from tests.figures.networks import picture, residual

    return residual(3, classes=3), torch.stack([picture(), picture(seed=5).flip(1)])
