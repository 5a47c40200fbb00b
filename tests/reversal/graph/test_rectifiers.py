"""Rectifiers that are not written as ReLUs: recognised, refused, or said aloud; never a silent gradient."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import desali
from desali.errors import GradientWarning, MethodError, UnsupportedLayerError
from tests.networks import difference
from tests.reversal.graph.test_capture import some_images, wrapped

Form = Callable[[Tensor], Tensor]


def _assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[y < 0] = 0
    return y


RELUS: dict[str, Form] = {
    "maximum with zeros_like": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "maximum with a constant": lambda x: torch.maximum(torch.tensor(0.0, dtype=x.dtype), x),
    "maximum with full": lambda x: torch.maximum(x, torch.full((), 0.0, dtype=x.dtype)),
    "max with zeros": lambda x: torch.max(x, x.new_zeros(())),
    "fmax": lambda x: torch.fmax(x, x.new_zeros(())),
    "clip": lambda x: torch.clip(x, 0),
    "clamp with a tensor": lambda x: torch.clamp(x, min=torch.tensor(0.0)),
    "threshold(0, 0)": lambda x: F.threshold(x, 0.0, 0.0),
    "where": lambda x: torch.where(x > 0, x, 0),
    "where, zeros": lambda x: torch.where(x >= 0, x, torch.zeros_like(x)),
    "where, the other way": lambda x: torch.where(x <= 0, 0.0, x),
    "where, compared from the right": lambda x: torch.where(torch.zeros_like(x) < x, x, 0),
    "where, negated": lambda x: torch.where(~(x > 0), 0, x),
    "times its sign bit": lambda x: x * (x > 0),
    "sign bit times it": lambda x: (x > 0) * x,
    "times a cast": lambda x: x * (x > 0).to(x.dtype),
    "times type_as": lambda x: x * x.gt(0).type_as(x),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0),
    "assigned": _assigned,
}


@pytest.mark.parametrize("form", RELUS)
def test_a_relu_by_comparison_is_one(form: str) -> None:
    x = some_images()
    model, plain = wrapped(RELUS[form]), wrapped(F.relu)
    recording, expected = desali.record(model, x), desali.record(plain, x)
    assert len(recording.network.relus()) == 1
    with torch.no_grad():
        assert torch.equal(recording.output, model(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for bits in ("TTT", "FTT", "TTF"):
            maps = recording.reconstruct("last", desali.Seed.layer(), bits)
            assert difference(maps, expected.reconstruct("last", desali.Seed.layer(), bits)) < 1e-12
    at = (3, 4)
    assert recording.receptive_field("last", at) == expected.receptive_field("last", at)


KINKS: dict[str, Form] = {
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "rrelu": lambda x: F.rrelu(x),
    "prelu": lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype)),
    "hardtanh": F.hardtanh,
    "clamp elsewhere": lambda x: x.clamp(min=0.1),
    "threshold elsewhere": lambda x: F.threshold(x, 0.1, 0.0),
    "where, another bound": lambda x: torch.where(x > 0.1, x, 0),
    "where, leaky": lambda x: torch.where(x > 0, x, 0.1 * x),
    "times another bit": lambda x: x * (x > 0.1),
    "negative part": lambda x: torch.where(x > 0, 0, x),
    "maximum of two": lambda x: torch.maximum(x, 0.1 * x),
    "magnitude": lambda x: (x + x.abs()) / 2,
    "softshrink": lambda x: F.softshrink(x),
}


@pytest.mark.parametrize("form", KINKS)
def test_what_decides_like_a_rectifier_keeps_its_gradient_aloud(form: str) -> None:
    model, x = wrapped(lambda y: KINKS[form](F.relu(y))), some_images()
    if form in ("negative part", "magnitude", "where, leaky", "leaky", "maximum of two"):
        model = wrapped(lambda y: F.relu(KINKS[form](y) + 0.2))
    recording = desali.record(model, x)
    assert len(recording.network.relus()) == 1
    for bits in ("TTT", "FTF", "FTT"):
        with pytest.warns(GradientWarning, match=r"keep their gradient.*smooth='gradient'"):
            recording.reconstruct("last", desali.Seed.layer(), bits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = desali.Method(True, True, True, smooth="gradient")
        recording.reconstruct("last", desali.Seed.layer(), asked)
        maps = recording.reconstruct("last", desali.Seed.layer(), "saliency")
    leaf = x.clone().requires_grad_()
    output = model(leaf)
    (expected,) = torch.autograd.grad(output, leaf, output.detach())
    assert difference(maps[:, 0], expected) < 1e-10


GATES: dict[str, Form] = {
    "SiLU": lambda x: x * x.sigmoid(),
    "QuickGELU": lambda x: x * torch.sigmoid(1.702 * x),
    "hardswish": lambda x: x * F.relu6(x + 3) / 6,
    "GELU by erf": lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
    "GELU by tanh": lambda x: 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.0447 * x**3))),
    "ReLU by sign": lambda x: x * (1 + x.sign()) / 2,
}


@pytest.mark.parametrize("form", GATES)
def test_activations_written_out_need_the_opt_in(form: str) -> None:
    model, x = wrapped(lambda y: GATES[form](F.relu(y) - 0.3)), some_images()
    recording = desali.record(model, x)
    with pytest.raises(UnsupportedLayerError, match=r"self-gated.*smooth='gradient'"):
        recording.reconstruct("last", desali.Seed.layer())
    asked = desali.Method(True, True, False, lrn="adjoint", smooth="gradient")
    maps = recording.reconstruct("last", desali.Seed.layer(), asked)
    leaf = x.clone().requires_grad_()
    output = model(leaf)
    (expected,) = torch.autograd.grad(output, leaf, output.detach())
    assert difference(maps[:, 0], expected) < 1e-10


OPEN: dict[str, Form] = {
    "squeeze and excite": lambda x: F.relu(x) * x.mean((2, 3), keepdim=True).sigmoid(),
    "squared": lambda x: F.relu(x).square() + F.relu(x) * F.relu(x),
    "constant choice": lambda x: torch.where(torch.ones(9, 10) > 0, F.relu(x), 0),
}


@pytest.mark.parametrize("form", OPEN)
def test_gates_of_other_values_pass_without_a_word(form: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        desali.reconstruct(wrapped(OPEN[form]), some_images(), "last", desali.Seed.layer())


def test_a_network_of_leaky_relus_alone_is_refused() -> None:
    with pytest.raises(MethodError, match="leaky_relu"):
        desali.reconstruct(wrapped(F.leaky_relu), some_images(), "last", desali.Seed.layer())
