"""What a network gives: one score an image, or several tensors of which one is named."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import desali
from desali import Seed
from desali.errors import SeedError
from desali.reversal.graph.capture import CaptureError
from desali.reversal.graph.outputs import choose, tensors_in
from tests.networks import difference


class Giving(nn.Module):
    """A small classifier whose logits go through a function."""

    def __init__(self, end: Callable[[Tensor], Any], classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        pool = nn.AdaptiveAvgPool2d(1)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(4, classes))
        self.end = end
        self.eval()

    def forward(self, x: Tensor) -> Any:
        return self.end(self.body(x))


@dataclasses.dataclass
class Result:
    logits: Tensor
    loss: Tensor | None = None
    hidden: tuple[Tensor, ...] | None = None


class Named(NamedTuple):
    logits: Tensor
    aux: Tensor


class ModelOutput(OrderedDict[str, Any]):
    """As transformers give it: a mapping with attributes."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def images(n: int = 2) -> Tensor:
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(3))


SCORES: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "squeeze(1)": (lambda y: y.squeeze(1), 1),
    "squeeze()": (lambda y: y.squeeze(), 1),
    "flatten": (lambda y: y.flatten(), 1),
    "view(-1)": (lambda y: y.view(-1), 1),
    "one column": (lambda y: y[:, 0], 3),
    "[N, 1]": (lambda y: y, 1),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("method", ["desalinet", "saliency", "TFT"])
def test_one_score_an_image(name: str, n: int, method: str) -> None:
    end, classes = SCORES[name]
    recording = desali.record(Giving(end, classes), images(n))
    assert recording.output.shape[0] == n
    assert recording.output.numel() == n
    right = recording.reconstruct("body.4", Seed.logit(0), method)
    last = recording.layers[-1]
    seeds = [Seed.logit(0), Seed.neuron(0), Seed.top(1), Seed.channel(0, value="one"), Seed.layer(value="one")]
    for seed in [*seeds, Seed.tensor(torch.ones(n))]:
        assert torch.equal(recording.reconstruct(last, seed, method), right), seed
    actual = Seed.logit(0, value="activation")
    assert torch.equal(recording.reconstruct(last, actual, method), recording.reconstruct("body.4", actual, method))
    several = recording.reconstruct([last, "body.1"], [Seed.channel(0), Seed.top(1)], method)
    assert several[last].shape == (n, 2, 3, 16, 16)
    with pytest.raises(SeedError, match="use 0 to 0"):
        recording.reconstruct(last, Seed.logit(1), method)
    with pytest.raises(SeedError, match="at least two classes"):
        recording.reconstruct(last, Seed.contrast(0), method)


@pytest.mark.parametrize(
    "end", [lambda y: y.mean(1), lambda y: y.amax(1), lambda y: y.logsumexp(1), lambda y: y.norm(dim=1)]
)
def test_a_score_of_all_logits_has_its_gradient(end: Callable[[Tensor], Tensor]) -> None:
    model, x = Giving(end), images(2)
    recording = desali.record(model, x)
    maps = recording.reconstruct(recording.layers[-1], Seed.logit(0), "saliency")
    leaf = x.clone().requires_grad_()
    model(leaf).sum().backward()
    assert leaf.grad is not None
    assert difference(maps[:, 0], leaf.grad) < 1e-5


def test_a_single_number_is_that_of_the_one_image() -> None:
    model = Giving(lambda y: y[0, 1])
    recording = desali.record(model, images(1))
    assert recording.output.shape == (1,)
    expected = desali.record(Giving(lambda y: y), images(1)).reconstruct("body.4", Seed.logit(1))
    assert torch.equal(recording.reconstruct(recording.layers[-1], Seed.logit(0)), expected)
    for end in (lambda y: y.sum(), lambda y: y.mean(0)):
        with pytest.raises(CaptureError, match="no dimension 0 of images"):
            desali.record(Giving(end), images(2))


SEVERAL: dict[str, tuple[Callable[[Tensor], Any], list[int | str], str]] = {
    "tuple": (lambda y: (y, 2 * y), [1, -1, "1", "-1"], r"2 outputs: 0 \[2, 3\], 1 \[2, 3\]"),
    "list": (lambda y: [y, y, 2 * y], [2, -1], "3 outputs"),
    "dict": (lambda y: {"logits": y, "aux": 2 * y}, ["aux"], r"logits \[2, 3\], aux \[2, 3\]"),
    "dataclass": (lambda y: Result(y, None, (y, 2 * y)), ["hidden.1"], r"hidden\.0 \[2, 3\], hidden\.1"),
    "named tuple": (lambda y: Named(y, 2 * y), ["aux", 1, -1], "logits .*, aux "),
    "model output": (lambda y: ModelOutput(logits=y, aux=2 * y), ["aux"], "logits .*, aux "),
    "nested": (lambda y: {"out": (y, {"deep": 2 * y})}, ["out.1", "out.1.deep"], r"out\.0 .*, out\.1\.deep "),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_one_of_several_outputs_is_named(name: str) -> None:
    end, names, words = SEVERAL[name]
    model, x = Giving(end), images()
    with pytest.raises(CaptureError, match=words) as error:
        desali.record(model, x)
    assert "name the one to study (output=, or desali.select_output)" in str(error.value)
    right = 2 * desali.record(Giving(lambda y: y), x).reconstruct("body.4", Seed.logit(2))
    for output in names:
        recording = desali.record(model, x, output=output)
        last = recording.layers[-1]
        assert torch.equal(recording.output, desali.record(Giving(lambda y: 2 * y), x).output)
        torch.testing.assert_close(recording.reconstruct(last, Seed.logit(2)), right)
        assert torch.equal(
            desali.reconstruct(model, x, last, Seed.logit(2), output=output), recording.reconstruct(last, Seed.logit(2))
        )
    for wrong in ("nothing", 7, -8):
        with pytest.raises(CaptureError, match=rf"no output '?{wrong}'?, but .*: name one of these"):
            desali.record(model, x, output=wrong)
    assert not model._forward_hooks, "the caller's module is left alone"


@pytest.mark.parametrize(
    "end",
    [
        lambda y: (y,),
        lambda y: {"logits": y, "loss": None},
        lambda y: Result(y),
        lambda y: ModelOutput(logits=y),
        lambda y: (y, y.argmax(1)),
    ],
)
def test_the_only_tensor_that_can_be_meant_needs_no_name(end: Callable[[Tensor], Any]) -> None:
    recording = desali.record(Giving(end), images())
    assert torch.equal(recording.output, desali.record(Giving(lambda y: y), images()).output)


@pytest.mark.parametrize(
    ("end", "output", "words"),
    [
        (lambda y: None, None, "gives nothing"),
        (lambda y: "x", None, "a str without a tensor"),
        (lambda y: (), None, "a tuple without a tensor"),
        (lambda y: y, "logits", r"one tensor \[2, 3\], no output 'logits': leave output out"),
        (lambda y: {"a": (y, y)}, "a", "2 tensors in output 'a'"),
    ],
)
def test_what_cannot_be_an_output_says_so(end: Callable[[Tensor], Any], output: str | None, words: str) -> None:
    with pytest.raises(CaptureError, match=words) as error:
        desali.record(Giving(end), images(), output=output)
    assert "\n" not in str(error.value)


def test_a_network_of_one_output_goes_wherever_networks_go() -> None:
    end = SEVERAL["dataclass"][0]
    model, other, x = Giving(end), Giving(end), images(6)
    with torch.no_grad():
        other.body[4].weight.mul_(-1)
        expected = model(x).hidden[1]
    with pytest.raises(CaptureError, match=r"before: Giving gives 3 outputs: .*desali\.select_output"):
        desali.lineage(model, other, x, random_networks=0)
    first, second = (desali.select_output(one, "hidden.1") for one in (model, other))
    with torch.no_grad():
        assert torch.equal(first(x), expected)
    assert desali.record(first, x).layers == desali.record(model, x, output="hidden.1").layers
    assert first.body[0].weight is model.body[0].weight
    assert desali.lineage(first, second, x, random_networks=0).layers == ["body.1"]
    figure = desali.compare({"first": first, "second": second}, x[0], layers=["body.1"], random_networks=0)
    assert figure.to_dict()["models"]["first"]["architecture"] == "Giving"
    assert not model._forward_hooks


def test_each_output_has_a_capture_of_its_own() -> None:
    model, x = Giving(lambda y: (y, -y)), images()
    first, second = desali.record(model, x, output=0), desali.record(model, x, output=1)
    assert torch.equal(first.output, -second.output)
    assert torch.equal(desali.record(model, x, output=0).output, first.output)


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.classes = nn.Conv2d(4, 5, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.classes(self.conv(x).relu())}


def test_dense_outputs_are_layers_with_positions() -> None:
    recording = desali.record(Dense().eval(), images())
    assert recording.output.shape == (2, 5, 14, 14)
    maps = recording.reconstruct("classes", Seed.neuron(2, 7, 7))
    assert maps[:, :, :, 7:10, 7:10].any()
    assert not maps[:, :, :, :7].any()
    with pytest.raises(SeedError, match=r"where that has positions one of them \(Seed.neuron\)"):
        recording.reconstruct("classes", Seed.logit(2))


class Side(nn.Module):
    """An image and a number that goes with it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.last = nn.Linear(5, 2)

    def forward(self, x: Tensor, age: Tensor) -> Tensor:
        return self.last(torch.cat([self.conv(x).relu().mean((2, 3)), age], 1))


class Filled(nn.Module):
    def __init__(self, model: nn.Module, age: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("age", age)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x, self.age)


def test_several_inputs_are_filled_in_by_a_module_around_it() -> None:
    model, x = Side().eval(), images(3)
    with pytest.raises(CaptureError, match=r"takes 2 inputs \(x, age\).*wrap it in a module"):
        desali.record(model, x)
    ages = torch.tensor([[0.1], [0.5], [0.9]])
    recording = desali.record(Filled(model, ages).eval(), x)
    with torch.no_grad():
        assert torch.equal(recording.output, model(x, ages))
    leaf = x.clone().requires_grad_()
    model(leaf, ages)[:, 1].sum().backward()
    assert leaf.grad is not None
    assert difference(recording.reconstruct("model.last", Seed.logit(1), "saliency")[:, 0], leaf.grad) < 1e-5


def test_names_of_tensors_in_what_is_given() -> None:
    one = torch.zeros(2, 3)
    given = {"a": [one, (one, None)], "b": Result(one), "c": Named(one, one), "d": 3}
    assert list(tensors_in(given)) == ["a.0", "a.1.0", "b.logits", "c.logits", "c.aux"]
    assert choose(one) is one
    assert choose(given, "b") is one
