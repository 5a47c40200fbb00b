"""Capture: every trap that was met, each with its module."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import desali
from desali.errors import DesaliError, UnsupportedLayerError
from desali.reversal.graph import network
from desali.reversal.graph.capture import CACHE, KEPT, CaptureError, capture
from desali.reversal.layers.norms import LocalResponseNorm
from desali.reversal.layers.relu import ReLU
from tests.networks import chain, difference, images
from tests.oracles.autograd import project

DTYPE = torch.float64


class Wrapped(nn.Module):
    """A convolution, something, and a convolution."""

    def __init__(self, middle: Callable[[Tensor], Tensor], channels: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 4, 3)
        self.last = nn.Conv2d(channels, 3, 3)
        self.middle = middle

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.first(x)))


def wrapped(middle: Callable[[Tensor], Tensor], channels: int = 4) -> nn.Module:
    return Wrapped(middle, channels).double().eval()


def some_images(n: int = 2, channels: int = 3) -> Tensor:
    return torch.randn(n, channels, 11, 12, dtype=DTYPE, generator=torch.Generator().manual_seed(4))


def agrees(model: nn.Module, x: Tensor, layer: str = "last", bits: str = "TTT") -> None:
    mask, switches, backward = (letter == "T" for letter in bits)
    expected = project(model, x, layer, lambda y: y, mask=mask, backward=backward, switches=switches)
    recording = desali.record(model, x)
    with torch.no_grad():
        assert torch.equal(recording.output, model(x))
    maps = recording.reconstruct(layer, desali.Seed.layer(), desali.Method(mask, switches, backward, lrn="adjoint"))
    assert difference(maps[:, 0], expected) < 1e-10


FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_": lambda x: x.clamp_(min=0),
    "clamp_min": lambda x: x.clamp_min(0),
    "torch.clamp": lambda x: torch.clamp(x, 0),
    "relu6": lambda x: F.relu6(8 * x),
    "relu6 in place": lambda x: F.relu6(8 * x, inplace=True),
    "hardtanh(0, 6)": lambda x: F.hardtanh(8 * x, 0, 6),
    "clamp(0, 2)": lambda x: x.clamp(0, 2),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bits", ["TTT", "FTT", "TTF"])
def test_every_form_of_relu_is_one(form: str, bits: str) -> None:
    model, x = wrapped(FORMS[form]), some_images()
    assert len(capture(model, x).relus()) == 1
    agrees(model, x, bits=bits)


def test_the_capped_relu_masks_both_ends() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU6()).eval()
    nn.init.ones_(model[0].weight)  # type: ignore[arg-type]
    x = torch.tensor([[[[-1.0, 0.0, 3.0, 6.0, 7.0]]]])
    maps = desali.reconstruct(model, x, "1", desali.Seed.layer(value="one"))
    assert maps.flatten().tolist() == [0, 0, 1, 0, 0]


MIXED: dict[str, Callable[[Tensor], Tensor]] = {
    "input written in place, then read again": lambda x: torch.cat([x.relu_(), x], 1)[:, 2:6],
    "added in place to a ReLU": lambda x: F.relu(x).add_(x),
    "scaled and shifted": lambda x: F.relu(3 - 2 * x / 0.5 + x.neg()),
    "gate by comparison": lambda x: F.relu(x) * (x > 0.1),
    "where": lambda x: torch.where(x > 0.1, F.relu(x), 0.3 * x),
    "detached": lambda x: F.relu(x) + x.detach(),
    "sliced with steps": lambda x: F.relu(x)[:, ::2, 1:-1, 2:].repeat(1, 2, 1, 1),
    "rolled, flipped and padded": lambda x: F.pad(F.relu(x).roll(1, 1).flip(2), (1, 2, 0, 1)),
    "group norm": lambda x: F.relu(F.group_norm(x, 2)),
    "instance norm": lambda x: F.relu(F.instance_norm(x)),
    "leaky": lambda x: F.relu(F.leaky_relu(x, 0.1) + F.leaky_relu(x)),
    "upsampled": lambda x: F.interpolate(F.relu(x), scale_factor=2, mode="bilinear"),
    "broadcast sums": lambda x: F.relu(x) + x.mean((2, 3), keepdim=True) - x.amax(1, keepdim=True),
    "squared": lambda x: F.relu(x) * F.relu(x),
    "twice the same": lambda x: F.relu(x) + F.relu(x) + torch.cat([x[:, :2]] * 2, 1),
    "average without padding counted": lambda x: F.avg_pool2d(F.relu(x), 3, 2, 1, count_include_pad=False),
    "average, ceil_mode": lambda x: F.avg_pool2d(F.relu(x), 2, 2, ceil_mode=True),
    "average, divisor": lambda x: F.avg_pool2d(F.relu(x), 3, 2, 1, divisor_override=5),
    "adaptive averages, unequal": lambda x: F.adaptive_avg_pool2d(F.relu(x), (4, 3)),
    "adaptive averages, equal": lambda x: F.adaptive_avg_pool2d(F.relu(x), (3, 5)),
    "split unequally": lambda x: torch.cat([F.relu(part) for part in reversed(x.split([1, 3], 1))], 1),
    "unbound": lambda x: torch.stack([F.relu(part) for part in x.unbind(1)], 1),
    "batch statistics": lambda x: F.relu(F.batch_norm(x, None, None, training=True)),
    "matrix product": lambda x: F.relu(x.flatten(2) @ x.flatten(2).transpose(1, 2)).unsqueeze(3).expand(-1, -1, -1, 4),
}


@pytest.mark.parametrize("form", MIXED)
def test_other_operations(form: str) -> None:
    agrees(wrapped(MIXED[form]), some_images(), bits="TTF")
    agrees(wrapped(MIXED[form]), some_images(3), bits="TTT")


@pytest.mark.parametrize("form", MIXED)
def test_other_operations_in_portions(form: str) -> None:
    recording = desali.record(wrapped(MIXED[form]), some_images(3))
    joint = recording.reconstruct("last", [desali.Seed.top(3), desali.Seed.layer()])
    with pytest.raises(DesaliError) as error:
        recording.reconstruct("last", desali.Seed.layer(), max_bytes=1)
    least = int(str(error.value).split("needs ")[1].split()[0])
    parts = recording.reconstruct("last", [desali.Seed.top(3), desali.Seed.layer()], max_bytes=least)
    if form != "batch statistics":  # images of one batch see each other
        assert difference(parts, joint) < 1e-12


def test_writing_into_the_parts_of_a_split() -> None:
    x = some_images()
    in_place = wrapped(lambda y: torch.cat([part.relu_() for part in y.chunk(2, 1)], 1))
    apart = wrapped(lambda y: torch.cat([part.relu() for part in y.chunk(2, 1)], 1))
    first, second = (desali.reconstruct(model, x, "last", desali.Seed.layer()) for model in (in_place, apart))
    assert torch.equal(first, second)


def test_writing_through_a_view_that_is_read_again_is_refused() -> None:
    def middle(x: Tensor) -> Tensor:
        x[:, :2].relu_()
        return F.relu(x)

    with pytest.raises(UnsupportedLayerError, match="in place"):
        desali.record(wrapped(middle), some_images())


def test_activations_are_those_before_mutation() -> None:
    model, x = chain(inplace=True), images(2)
    with torch.no_grad():
        expected = model.get_submodule("features.0")(x)
    assert expected.min() < 0
    assert torch.equal(desali.record(model, x).activation("features.0"), expected)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_batch_sizes_share_a_capture(n: int) -> None:
    model = chain(DTYPE)
    network = capture(model, images(1, DTYPE))
    assert capture(model, images(n, DTYPE)) is network
    agrees(model, images(n, DTYPE), "classifier.3")


def test_other_sizes_and_greyscale() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU()).double().eval()
    for size in ((12, 12), (15, 20), (12, 12)):
        agrees(model, torch.randn(2, 1, *size, dtype=DTYPE), "4")


class OneSize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x)).view(3, -1).view(3, 4, 9, 10).roll(1, 1)


def test_a_module_for_one_batch_size_falls_back_to_it() -> None:
    model = OneSize().double().eval()
    agrees(model, some_images(3), "conv")
    recording = desali.record(model, some_images(3))
    assert recording.reconstruct("roll_fn", desali.Seed.top(2)).shape == (3, 2, 3, 11, 12)
    with pytest.raises(CaptureError, match=r"OneSize.*\[2, 3, 11, 12\]"):
        desali.record(model, some_images(2))


def test_squeezing_the_batch_of_one_is_seen() -> None:
    def middle(x: Tensor) -> Tensor:
        return F.relu(x).squeeze().reshape(-1, 4, 9, 10)

    model = wrapped(middle)
    for n in (3, 1, 2):
        agrees(model, some_images(n))


def test_training_mode_is_refused_and_left_alone() -> None:
    model = chain()
    model.get_submodule("classifier.0").train()
    with pytest.raises(CaptureError, match=r"'classifier\.0' is in training mode.*eval\(\)"):
        desali.record(model, images(2))
    assert model.get_submodule("classifier.0").training
    with pytest.raises(CaptureError, match="training mode"):
        desali.record(model.train(), images(2))


class Two(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return F.relu(x + y)


class Twins(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = F.relu(self.conv(x))
        return y, y.mean((2, 3))


class Random(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.dropout(x, 0.5, training=True))


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Two(), ["Two cannot be captured", "takes 2 inputs (x, y)", "wrap it"]),
        (Twins().double(), ["Twins gives 2 outputs: 0 [2, 4, 9, 10], 1 [2, 4]", "output="]),
        (Random(), ["random numbers"]),
        (Branching(), ["Branching cannot be captured"]),
        (nn.Sequential(nn.Conv2d(5, 2, 3), nn.ReLU()).double(), ["cannot be captured for images of shape"]),
    ],
)
def test_what_cannot_be_captured_says_so_in_one_line(model: nn.Module, words: list[str]) -> None:
    with pytest.raises(CaptureError) as error:
        desali.record(model.eval(), some_images())
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


class Container(nn.Module):
    """One output in a dictionary, as segmentation models give it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": F.relu(self.conv(x))}


def test_a_single_output_may_be_in_a_container() -> None:
    recording = desali.record(Container().double().eval(), some_images())
    assert recording.layers == ["conv", "relu_fn"]


def test_local_response_normalisation_is_recognised_functionally() -> None:
    def middle(x: Tensor) -> Tensor:
        return F.local_response_norm(F.relu(x), 3, alpha=2.0, beta=0.6, k=1.5)

    model, x = wrapped(middle), some_images()
    recording = desali.record(model, x)
    norms = [node.operation for node in recording.network.nodes if isinstance(node.operation, LocalResponseNorm)]
    assert norms == [LocalResponseNorm(3, 2.0, 0.6, 1.5)]
    agrees(model, x)


def test_another_normalisation_is_not_mistaken_for_it() -> None:
    def middle(x: Tensor) -> Tensor:
        y = F.relu(x)
        power = F.avg_pool3d(F.pad(y.mul(y).unsqueeze(1), (0, 0, 0, 0, 2, 0)), (3, 1, 1), stride=1).squeeze(1)
        return y / power.mul(2.0).add(1.0).pow(0.5)

    model, x = wrapped(middle), some_images()
    recording = desali.record(model, x)
    assert not any(isinstance(node.operation, LocalResponseNorm) for node in recording.network.nodes)
    agrees(model, x)


def test_relus_are_named() -> None:
    network = capture(chain(), images(2))
    assert [node.name for node in network.relus()] == ["features.1", "features.5", "features.8", "classifier.2"]
    assert all(isinstance(node.operation, ReLU) for node in network.relus())


def test_what_takes_the_place_of_a_function_in_memory_is_not_taken_for_it() -> None:
    model, x = wrapped(torch.relu), some_images()
    for high in (0.5, 0.25, 0.125, 0.0625):
        del model.middle  # the next one tends to get the same address
        model.middle = partial(F.hardtanh, min_val=0.0, max_val=high)
        with torch.no_grad():
            assert torch.equal(desali.record(model, x).output, model(x))


def test_what_takes_the_place_of_a_hook_in_memory_is_not_taken_for_it() -> None:
    model, x = wrapped(torch.relu), some_images()
    for factor in (2.0, 3.0, 4.0):
        handle = model.get_submodule("first").register_forward_hook(partial(_scaled, factor))
        with torch.no_grad():
            assert torch.equal(desali.record(model, x).output, model(x))
        handle.remove()


def _scaled(factor: float, module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output * factor


def test_a_model_keeps_a_limited_number_of_captures() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()).double().eval()
    first = capture(model, some_images())
    for size in range(20, 20 + KEPT + 3):
        x = torch.randn(1, 3, size, size, dtype=DTYPE)
        assert capture(model, x) is capture(model, x)
    assert len(CACHE[model]) == KEPT
    assert capture(model, some_images()) is not first


def test_threads_that_come_together_agree_on_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()).double().eval()
    captured, own = capture(model, some_images()), network.tensors
    captured.names.clear()

    def slow(of: nn.Module) -> dict[str, Tensor]:
        monkeypatch.setattr(network, "tensors", own)
        captured.tensor_names(of)  # another thread, in between
        return own(of)

    monkeypatch.setattr(network, "tensors", slow)
    assert captured.tensor_names(model) == ["0.weight", "0.bias"]
