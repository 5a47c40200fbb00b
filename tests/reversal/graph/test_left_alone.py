"""The model is left alone, and the capture notices what changes in it."""

from __future__ import annotations

import logging
import random
import sys
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import desali
from desali.errors import DesaliError
from desali.reversal.graph.capture import capture
from tests import blocks
from tests.networks import chain, difference, images
from tests.oracles.autograd import project


def state(model: nn.Module) -> list[Any]:
    """Everything about a model that a user could miss."""
    found: list[Any] = [
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    ]
    for name, module in model.named_modules():
        hooks = [list(module._forward_hooks), list(module._forward_pre_hooks), list(module._backward_hooks)]
        found.append((name, id(module), module.training, module.extra_repr(), hooks, sorted(vars(module))))
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        values = tensor.detach().flatten().tolist()
        found.append((name, id(tensor), tensor._version, tensor.requires_grad, tensor.grad is None, values))
    return found


class Counting(nn.Module):
    """Its forward pass changes a buffer in place, another by assignment, and a Python attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU(inplace=True)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(4))
        self.number = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y = self.relu(self.conv(x))
        self.last = y.mean((0, 2, 3))
        return y * (1 + 0 * self.calls)


class Failing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x)).view(7, -1)


@pytest.mark.parametrize("build", [chain, Counting])
def test_nothing_changes(build: Any) -> None:
    torch.manual_seed(0)
    model, x = build().eval(), images(2)
    before, kept = state(model), x.clone()
    recording = desali.record(model, x, keep="activations")
    assert state(model) == before
    layer = recording.layers[-1]
    first = recording.reconstruct(layer, desali.Seed.layer(), "saliency")
    assert torch.equal(recording.reconstruct(layer, desali.Seed.layer(), "saliency"), first)
    recording.activation(layer)
    desali.record(model, x)
    assert state(model) == before
    assert torch.equal(x, kept)


def test_nothing_changes_when_it_fails() -> None:
    model, x = Failing().eval(), images(2)
    before = state(model)
    with pytest.raises(DesaliError):
        desali.record(model, x)
    assert state(model) == before
    model = chain()
    before = state(model)
    recording = desali.record(model, x)
    with pytest.raises(DesaliError):
        recording.reconstruct("features.8", desali.Seed.neuron(99, 0, 0))
    assert state(model) == before


class Mismatched(Failing):
    """A linear layer for another number of features: torch logs the traceback of an export that fails here."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.relu(self.conv(x)).flatten(1))


class Deciding(Failing):
    """A branch on a value: torch logs that it finds no user code for it."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(x))
        return y if y.sum() > 0 else -y


@pytest.mark.parametrize("build", [Mismatched, Deciding])
@pytest.mark.parametrize("level", [logging.NOTSET, logging.ERROR])
def test_a_failed_capture_logs_nothing_and_leaves_the_levels(
    capsys: pytest.CaptureFixture[str], build: type[nn.Module], level: int
) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    loggers = [
        logging.getLogger(f"torch.{name}") for name in ("_subclasses.fake_tensor", "fx.experimental.symbolic_shapes")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(level)
    try:
        with pytest.raises(DesaliError):
            desali.record(build().eval(), images(2))
        assert [logger.level for logger in loggers] == [level, level]
    finally:
        for logger, former in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(former)
    assert records == []
    assert capsys.readouterr() == ("", "")


class Printing(Deciding):
    def forward(self, x: Tensor) -> Tensor:
        print("the module was here", file=sys.stderr)
        return super().forward(x)


def test_what_a_module_prints_is_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DesaliError):
        desali.record(Printing().eval(), images(2))
    assert set(capsys.readouterr().err.splitlines()) == {"the module was here"}


def test_nothing_changes_on_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = chain(), images(2)
    fresh, y = blocks.build(blocks.Residual)
    before = state(model)
    recording = desali.record(model, x)

    def interrupt(*_args: Any, **_options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("desali.ops.conv_transpose", interrupt)
    with pytest.raises(KeyboardInterrupt):
        recording.reconstruct("features.8", desali.Seed.layer())
    monkeypatch.setattr("torch.export.export", interrupt)
    untouched = state(fresh)
    with pytest.raises(KeyboardInterrupt):
        desali.record(fresh, y)
    monkeypatch.undo()
    assert state(model) == before
    assert state(fresh) == untouched
    assert recording.reconstruct("features.8", desali.Seed.layer()).abs().max() > 0
    assert desali.record(fresh, y).layers


@pytest.mark.parametrize("mode", ["inference", "grad", "no_grad", "autocast"])
def test_the_callers_mode_does_not_matter(mode: str) -> None:
    model, x = chain(), images(2)
    seed = [desali.Seed.top(2), desali.Seed.layer()]
    expected = desali.reconstruct(model, x, "classifier.3", seed, "saliency")
    modes: dict[str, Any] = {
        "inference": torch.inference_mode(),
        "grad": torch.enable_grad(),
        "no_grad": torch.no_grad(),
        "autocast": torch.autocast("cpu", torch.bfloat16),
    }
    for fresh in (model, chain()):
        with modes[mode]:
            maps = desali.reconstruct(fresh, x.clone().requires_grad_(mode == "grad"), "classifier.3", seed, "saliency")
        assert torch.equal(maps, expected)
        assert not maps.requires_grad


def test_changed_parameters_are_read_anew_without_a_new_capture() -> None:
    model, x = chain(torch.float64), images(2, torch.float64)
    network = capture(model, x)
    convolution: Any = model.get_submodule("features.4")
    convolution.weight = nn.Parameter(convolution.weight.detach() * -1.5)
    assert capture(model, x) is network
    expected = project(model, x, "features.8", lambda y: y, mask=True, backward=True)
    method = desali.Method(True, True, True, lrn="adjoint")
    assert difference(desali.reconstruct(model, x, "features.8", desali.Seed.layer(), method)[:, 0], expected) < 1e-12


def _stride(model: Any) -> None:
    model.features[2].stride = 3


def _hook(model: Any) -> None:
    model.features[0].register_forward_hook(lambda _m, _i, output: 2 * output)


def _module(model: Any) -> None:
    model.features[1] = nn.Hardtanh(0, 0.2).eval()


def _unbias(model: Any) -> None:
    model.classifier[3].bias = None


@pytest.mark.parametrize("change", [_stride, _hook, _module, _unbias])
def test_changed_structure_is_captured_anew(change: Any) -> None:
    model, x = chain(torch.float64), images(2, torch.float64)
    before = capture(model, x)
    with torch.no_grad():
        output = model(x)
        change(model)
        if change is _stride:
            model.classifier = nn.Sequential(nn.ReLU()).eval()
        assert output.shape != model(x).shape or not torch.equal(output, model(x))
        recording = desali.record(model, x)
        assert recording.network is not before
        assert torch.equal(recording.output, model(x))


def test_untied_parameters_are_captured_anew() -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3)).eval()
    model[2].weight = model[0].weight
    x = images(2)
    assert torch.equal(desali.record(model, x).output, model(x))
    model[2].weight = nn.Parameter(torch.randn(3, 3, 3, 3))
    assert torch.equal(desali.record(model, x).output, model(x))


def test_computed_weights() -> None:
    torch.manual_seed(0)
    x = images(2, torch.float64)
    for kind in ("weight_norm", "pruned", "spectral_norm"):
        model: Any = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.ReLU()).double()
        if kind == "weight_norm":
            parametrizations.weight_norm(model[2])
        elif kind == "spectral_norm":
            parametrizations.spectral_norm(model[2])
        else:
            prune.l1_unstructured(model[2], "weight", amount=0.5)
        model.eval()
        for _ in range(2):
            recording = desali.record(model, x)
            with torch.no_grad():
                assert torch.equal(recording.output, model(x)), kind
            expected = project(model, x, "3", lambda y: y, mask=True, backward=True)
            assert difference(recording.reconstruct("3", desali.Seed.layer())[:, 0], expected) < 1e-12, kind
            with torch.no_grad():
                for parameter in model[2].parameters():
                    parameter.mul_(1.1)


def test_the_caller_may_write_into_the_modules_own_output() -> None:
    model, x = chain(), images(2)
    recording = desali.record(model, x)
    recording.output.zero_()
    assert desali.record(model, x).output.abs().max() > 0


def test_what_changes_in_its_place_is_seen() -> None:
    """The quick walk over a model notices lists, tensors and types that are written into, not replaced."""

    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.factors = [1.0]
            self.plain = torch.ones(())

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.conv(x) * self.factors[0] * self.plain)

    model, x = Listed().eval(), images(2)
    for change in (lambda: None, lambda: model.factors.__setitem__(0, -2.0), lambda: model.plain.mul_(3), model.double):
        change()
        given = x.to(model.conv.weight.dtype)
        with torch.no_grad():
            assert torch.equal(desali.record(model, given).output, model(given))
