"""What a module reads in objects of the user's own is seen when it changes, and what does not change costs nothing."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import desali
from desali.errors import DesaliError
from desali.reversal.graph.marks import mark, may_change
from desali.reversal.graph.state import State
from tests.networks import images


@dataclasses.dataclass
class Dataclass:
    v: float


class Slots:
    __slots__ = ("v",)

    def __init__(self, v: float) -> None:
        self.v = v


class Helper:
    def __init__(self, v: float) -> None:
        self.v = v

    def __call__(self) -> float:
        return self.v

    def value(self) -> float:
        return self.v


class Scaled(nn.Module):
    """A convolution and a ReLU, scaled by what `read` gives."""

    def __init__(self, read: Callable[[Any], float], held: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)
        self.held = held
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(torch.relu(self.first(x)) * float(self.read(self.held)))
        return out


def set_v(held: Any) -> None:
    held.v = 3.0


def class_settings() -> type:
    return type("Settings", (), {"v": 2.0})


def closure() -> Callable[[], float]:
    cell = types.SimpleNamespace(v=2.0)

    def read() -> float:
        return float(cell.v)

    read.cell = cell  # type: ignore[attr-defined]
    return read


def counting() -> Callable[..., float]:
    v = 2.0

    def read(new: float | None = None) -> float:
        nonlocal v
        v = v if new is None else new
        return v

    return read


KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "namespace": (lambda: types.SimpleNamespace(v=2.0), lambda h: h.v, set_v),
    "arguments": (lambda: argparse.Namespace(v=2.0), lambda h: h.v, set_v),
    "dataclass": (lambda: Dataclass(2.0), lambda h: h.v, set_v),
    "slots": (lambda: Slots(2.0), lambda h: h.v, set_v),
    "object in an object": (lambda: Helper(Dataclass(2.0)), lambda h: h.v.v, lambda h: set_v(h.v)),  # type: ignore[arg-type]
    "list in an object": (lambda: Helper([2.0]), lambda h: h.v[0], lambda h: h.v.append(h.v.pop() + 1)),  # type: ignore[arg-type]
    "object in a list": (lambda: [Dataclass(2.0)], lambda h: h[0].v, lambda h: set_v(h[0])),
    "object in a tuple": (lambda: (Dataclass(2.0),), lambda h: h[0].v, lambda h: set_v(h[0])),
    "callable object": (lambda: Helper(2.0), lambda h: h(), set_v),
    "bound method": (lambda: Helper(2.0).value, lambda h: h(), lambda h: set_v(h.__self__)),
    "partial": (lambda: functools.partial(max, [2.0, 1.0]), lambda h: h(), lambda h: h.args[0].append(3.0)),
    "closure over an object": (closure, lambda h: h(), lambda h: set_v(h.cell)),
    "closure over a number": (counting, lambda h: h(), lambda h: h(3.0)),
    "class": (class_settings, lambda h: h.v, set_v),
    "class of an object": (lambda: class_settings()(), lambda h: h.v, lambda h: set_v(type(h))),
    "tensor in an object": (lambda: Helper(torch.tensor(2.0)), lambda h: h.v, lambda h: h.v.add_(1)),  # type: ignore[arg-type]
    "array": (lambda: np.array([2.0]), lambda h: h[0], lambda h: h.__setitem__(0, 3.0)),
    "array in an object": (lambda: Helper(np.array([2.0])), lambda h: h.v[0], lambda h: h.v.__setitem__(0, 3.0)),  # type: ignore[arg-type]
    "backward array": (lambda: np.array([1.0, 2.0])[::-1], lambda h: h[0], lambda h: h.__setitem__(0, 3.0)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_in_an_object_of_the_users_counts(kind: str) -> None:
    make, read, change = KINDS[kind]
    model = Scaled(read, make()).eval()
    x = images()
    first = desali.record(model, x)
    assert torch.equal(first.output, model(x))
    assert desali.record(model, x).network is first.network, "nothing changed: the capture is used again"
    change(model.held)
    second = desali.record(model, x)
    assert torch.equal(second.output, model(x))
    assert not torch.equal(second.output, first.output)
    if kind != "tensor in an object":  # such may be computed anew in every forward pass, as a pruned weight is
        with pytest.raises(DesaliError, match="record again"):
            first.reconstruct("first", desali.Seed.layer())
    own = second.reconstruct("second", desali.Seed.neuron(0, 1, 1), "saliency")
    leaf = x.clone().requires_grad_()
    expected = torch.autograd.grad(model(leaf)[:, 0, 1, 1].sum(), leaf)[0]
    torch.testing.assert_close(own[:, 0], expected)


def test_a_setting_in_the_modules_class_counts_and_a_forward_put_there() -> None:
    class Own(Scaled):
        v = 2.0

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.first(x)) * self.v

    model, x = Own(float, 0).eval(), images()
    first = desali.record(model, x)
    Own.v = 3.0
    assert torch.equal(desali.record(model, x).output, model(x))
    with pytest.raises(DesaliError, match="record again"):
        first.reconstruct("first", desali.Seed.layer())
    Own.forward = lambda self, x: torch.relu(self.first(x))  # type: ignore[method-assign]
    assert torch.equal(desali.record(model, x).output, model(x))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model.first, "padding_mode", "circular"),
        lambda model: setattr(model.norm, "eps", 0.5),
        lambda model: setattr(model.first, "stride", (2, 2)),
        lambda model: model.first.register_forward_hook(lambda module, args, out: out * 2),
        lambda model: model.train(),
    ],
    ids=["padding_mode", "eps", "stride", "hook", "training"],
)
def test_a_recording_is_not_used_after_the_model_was_set_otherwise(change: Callable[[Any], Any]) -> None:
    model = nn.Sequential()
    model.first, model.norm, model.relu = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
    model.eval()
    recording = desali.record(model, images())
    recording.reconstruct("relu", desali.Seed.layer())
    change(model)
    with pytest.raises(DesaliError, match="the model or the images changed since"):
        recording.reconstruct("relu", desali.Seed.layer())
    with pytest.raises(DesaliError, match="record again"):
        recording.activation("norm")


def test_objects_that_hold_the_model_or_themselves_end() -> None:
    model = Scaled(lambda held: held.v, Helper(2.0)).eval()
    model.held.model, model.held.itself = model, model.held
    x = images()
    assert desali.record(model, x).network is desali.record(model, x).network
    model.held.v = 3.0
    assert torch.equal(desali.record(model, x).output, model(x))


def test_modules_functions_and_types_of_others_are_not_looked_into() -> None:
    for value in (nn.ReLU(), nn.ReLU, torch.relu, torch.float32, len, np.float64(1), object(), lambda x: x):
        assert not may_change(value), value
        assert mark(value) == mark(value)


def test_a_model_whose_objects_stay_keeps_its_structure() -> None:
    model = Scaled(lambda held: held.v, Helper(2.0)).eval()
    assert State(model).structure is State(model).structure
