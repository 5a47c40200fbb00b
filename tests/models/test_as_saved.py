"""Weights as people have them: wrapped, prefixed, without counters, with another classifier."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import desali
from desali.errors import WeightsError

State = dict[str, Tensor]


def network(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )


def headless() -> nn.Sequential:
    return network()[:-1]


@pytest.fixture(autouse=True)
def factories() -> Iterator[None]:
    module = types.ModuleType("as_saved_networks")
    module.make = lambda num_classes=3: network(num_classes)
    module.fixed = lambda: network(3)
    sys.modules[module.__name__] = module
    yield
    del sys.modules[module.__name__]


def state(classes: int = 3) -> State:
    torch.manual_seed(7)
    made = network(classes)
    with torch.no_grad():
        for tensor in made.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor))
    return made.state_dict()


def loaded(folder: Path, content: Any, suffix: str = ".pt", factory: str = "make", **options: Any) -> Any:
    file = folder / f"w{suffix}"
    if suffix == ".safetensors":
        save_file(content, file)
    else:
        torch.save(content, file)
    return desali.load(f"as_saved_networks:{factory}", weights=file, **options)


def prefixed(prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state().items()}


WAYS: dict[str, Callable[[], Any]] = {
    "plain": state,
    "DataParallel": lambda: prefixed("module."),
    "torch.compile": lambda: prefixed("_orig_mod."),
    "both": lambda: prefixed("_orig_mod.module."),
    "backbone": lambda: prefixed("encoder.backbone."),
    "a wrapper": lambda: {"state_dict": state(), "epoch": 3, "optimizer": {"state": {}}},
    "two wrappers": lambda: {"model": {"model_state_dict": state()}},
    "an average beside": lambda: {"ema": {k: v * 0 for k, v in state().items()}, "model_state_dict": state()},
    "an average alone": lambda: {"state_dict_ema": state()},
    "Lightning": lambda: {
        "state_dict": {**prefixed("model."), "criterion.weight": torch.ones(3)},
        "pytorch-lightning_version": "2.5.0",
        "hyper_parameters": {"lr": 0.1},
    },
    "no counters": lambda: {name: tensor for name, tensor in state().items() if "num_batches" not in name},
    "a number beside": lambda: {**state(), "epoch": 3},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
def test_weights_come_out_as_they_were(tmp_path: Path, way: str, suffix: str) -> None:
    found = loaded(tmp_path, WAYS[way](), suffix)
    for name, tensor in state().items():
        if "num_batches" not in name:
            assert torch.equal(found.model.state_dict()[name], tensor), name
    assert bool(found.card.get("weights_notes")) == (way != "plain")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single(tmp_path: Path, dtype: torch.dtype) -> None:
    half = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state().items()}
    found = loaded(tmp_path, {f"module.{name}": tensor for name, tensor in half.items()}, ".safetensors")
    assert torch.equal(found.model.state_dict()["5.weight"], half["5.weight"].float())


def test_what_was_done_is_said(tmp_path: Path) -> None:
    notes = loaded(tmp_path, WAYS["Lightning"](), ".ckpt").card["weights_notes"]
    assert notes == [
        "under 'state_dict'",
        "without 'criterion.weight' outside of 'model.'",
        "without the prefix 'model.'",
    ]


def test_the_number_of_classes_is_read_off(tmp_path: Path) -> None:
    assert loaded(tmp_path, state(5)).model[-1].out_features == 5
    assert loaded(tmp_path, {"state_dict": {f"module.{k}": v for k, v in state(5).items()}}).model[-1].out_features == 5
    with pytest.raises(WeightsError, match="takes no num_classes"):
        loaded(tmp_path, state(5), factory="fixed")
    with pytest.raises(WeightsError, match="num_classes=4 was asked for; leave it out"):
        loaded(tmp_path, state(5), num_classes=4)


def test_a_classifier_that_is_missing_or_beside_is_allowed_only_when_asked(tmp_path: Path) -> None:
    without = {name: tensor for name, tensor in state().items() if not name.startswith("5.")}
    with pytest.raises(WeightsError, match=r"without '5\.weight', '5\.bias' .*allow_missing=True"):
        loaded(tmp_path, without)
    found = loaded(tmp_path, without, allow_missing=True)
    assert torch.equal(found.model.state_dict()["0.weight"], state()["0.weight"])
    assert found.card["weights_notes"] == ["'5.weight', '5.bias' drawn at random"]
    beside = {**state(), "6.weight": torch.ones(2)}
    with pytest.raises(WeightsError, match=r"with '6\.weight' beside"):
        loaded(tmp_path, beside)
    assert loaded(tmp_path, beside, allow_missing=True).card["weights_notes"] == ["without '6.weight'"]


@pytest.mark.parametrize("names", [("generator.", "disc."), ("student.", "teacher.")])
def test_two_networks_that_fit_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(WeightsError, match="holds 2 networks that fit"):
        loaded(tmp_path, {**prefixed(names[0]), **prefixed(names[1])})
    with pytest.raises(WeightsError, match="holds weights under 'model', 'net'"):
        loaded(tmp_path, {"net": state(), "model": state()})


def test_averages_are_taken_only_where_nothing_else_is_there(tmp_path: Path) -> None:
    both = {**{f"ema.{name}": tensor * 0 for name, tensor in state().items()}, **prefixed("model.")}
    assert torch.equal(loaded(tmp_path, both).model.state_dict()["0.weight"], state()["0.weight"])


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    whole = {name: (tensor * 100).to(torch.int8) if tensor.dim() else tensor for name, tensor in state().items()}
    with pytest.raises(WeightsError, match="holds int8, expected floating-point numbers"):
        loaded(tmp_path, whole)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], {"state_dict": {"epoch": 3}}, {"model": {}}])
def test_what_holds_no_weights_is_refused_in_one_line(tmp_path: Path, content: Any) -> None:
    with pytest.raises(WeightsError, match=r"expected a state dict of tensors, got .*save model\.state_dict\(\)"):
        loaded(tmp_path, content)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    for options in ({}, {"allow_missing": True}):
        with pytest.raises(WeightsError, match="not weights of"):
            loaded(tmp_path, nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4)).state_dict(), **options)


class Versioned(nn.Linear):
    """As torchvision's MNASNet: asks for the version that its weights were saved with."""

    _version = 2

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: dict[str, Any], *others: Any) -> None:
        if metadata.get("version") != 2:
            raise ValueError(f"version should be 2 instead of {metadata.get('version')}\nand so on")
        super()._load_from_state_dict(state, prefix, metadata, *others)


def test_modules_that_ask_for_a_version_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["as_saved_networks"]
    monkeypatch.setattr(module, "versioned", lambda: nn.Sequential(Versioned(3, 2)), raising=False)
    monkeypatch.setattr(module, "refusing", lambda: nn.Sequential(Refusing(3, 2)), raising=False)
    state = nn.Sequential(nn.Linear(3, 2)).state_dict()
    file = tmp_path / "w.pt"
    torch.save(state, file)
    assert torch.equal(
        desali.load("as_saved_networks:versioned", weights=file).model.state_dict()["0.weight"], state["0.weight"]
    )
    with pytest.raises(
        WeightsError, match=r"w\.pt: as_saved_networks:refusing does not take these weights \(no, never\)"
    ):
        desali.load("as_saved_networks:refusing", weights=file)


class Refusing(nn.Linear):
    def _load_from_state_dict(self, *_: Any) -> None:
        raise ValueError("no, never\nreally")


def test_a_torchscript_archive_names_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.jit.save(torch.jit.script(network().eval()), file)
    with pytest.raises(WeightsError, match=r"TorchScript archive.*save the state_dict\(\) of the module"):
        desali.load("as_saved_networks:make", weights=file)
