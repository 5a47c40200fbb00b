"""Models by one string: what is loaded is what the file holds, and every way to fail gives one line."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import desali
from desali.errors import DesaliError, UnknownNameError, WeightsError
from desali.models import LoadedModel, SqueezeNet, load
from desali.models.sources import Source, label, parse
from tests.torchvision_models import torchvision

FACTORIES = """
import torch
from torch import nn

def net(num_classes=3):
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(4, num_classes))

def grey():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())

class Own(nn.Sequential):
    preprocessing = {"size": 48, "channels": 3, "scale": 255.0}
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU())

def nothing():
    return 7

def fixed():
    return net()

def broken():
    raise RuntimeError("no such\\nthing")

constant = 3
"""


def message(call: Callable[[], Any], kind: type[DesaliError] = DesaliError) -> str:
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def write_npz(path: Path, state: dict[str, Tensor]) -> Path:
    np.savez(path, **{name: tensor.numpy() for name, tensor in state.items()})
    return path


def fill(model: nn.Module, seed: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(tensor.shape, generator=generator) * 0.1 if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }


def same(loaded: LoadedModel, state: dict[str, Tensor]) -> bool:
    own = loaded.model.state_dict()
    return set(own) == set(state) and all(torch.equal(own[name], state[name]) for name in own)


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of factories in the current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "factories_of_a_user.py").write_text(FACTORIES)
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "factories_of_a_user", raising=False)
    return "factories_of_a_user"


def test_strings_are_taken_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse("two_stage") == Source(None)
    assert parse("runs/two_stage/model.safetensors") == Source(None)
    assert parse("torchvision:resnet18") == Source("torchvision:resnet18")
    assert parse("torchvision:resnet18@a@b.pt") == Source("torchvision:resnet18", "a@b.pt")
    assert parse("timm:resnet18.a1_in1k@w.pt") == Source("timm:resnet18.a1_in1k", "w.pt")
    assert parse("squeezenet1_0:w.npz") == parse("squeezenet1_0@w.npz") == Source("squeezenet1_0", "w.npz")
    assert parse("my.nets:make@random") == Source("my.nets:make", "random")
    assert label("torchvision:resnet18", "a/best.pt") == "resnet18@best"
    assert label("timm:org/net.v1@random") == "org-net.v1@random"
    assert label("my.nets:Net.small@x.pt") == "small@x"
    (tmp_path / "a:b.pt").touch()
    assert parse("a:b.pt") == Source(None), "a file that exists is a path"


def test_squeezenet_from_an_npz_of_the_published_format(tmp_path: Path) -> None:
    state = fill(SqueezeNet(5))
    file = write_npz(tmp_path / "w.npz", state)
    before = torch.get_rng_state()
    for loaded in (load("squeezenet1_0", weights=file), load(f"squeezenet1_0:{file}")):
        assert same(loaded, state), "the number of classes is read off the weights"
        assert not loaded.model.training
        assert loaded.path == file
        assert loaded.preprocessing.channel_order == "bgr"
    assert torch.equal(before, torch.get_rng_state())
    image = np.zeros((9, 9, 3), np.uint8)
    image[..., 0] = 255  # red
    x = loaded.preprocessing.apply(image, "uint8")
    assert x.shape == (3, 227, 227)
    assert x[:, 4, 4].tolist() == pytest.approx([-104, -117, 255 - 123], abs=1e-3)
    with torch.no_grad():
        assert loaded.model(x[None]).shape == (1, 5)
    assert desali.record(loaded.model, x[None]).shape("pool8") == (512, 13, 13), "poolings round their size up"


def test_squeezenet_with_its_published_weights_knows_a_cat(real_data: Path) -> None:
    file = real_data / "squeezenet" / "squeezenet_v1_0_decoded.npz"
    if not file.is_file():
        pytest.skip(f"REAL DATA ABSENT: no {file}. This test has checked NOTHING.")
    data = pytest.importorskip("skimage.data", reason="scikit-image absent: no photograph")
    loaded = load("squeezenet1_0", weights=file)
    assert sum(parameter.numel() for parameter in loaded.model.parameters()) == 1_248_424
    x = loaded.preprocessing.apply(data.chelsea()[:, 75:375], "uint8")
    with torch.no_grad():
        best = loaded.model(x[None])[0].topk(3).indices.tolist()
    assert set(best) <= {281, 282, 283, 284, 285, 287}, "tabby, tiger, Persian, Siamese, Egyptian cat, lynx"
    assert best[0] in {281, 282, 285}


def test_a_truncated_or_pickled_npz_is_refused(tmp_path: Path) -> None:
    file = write_npz(tmp_path / "w.npz", fill(SqueezeNet(2)))
    data = file.read_bytes()
    for keep in (0, 10, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:keep])
        assert "w.npz: unreadable" in message(lambda: load("squeezenet1_0", weights=file), WeightsError)
    target = tmp_path / "touched"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (target,))

    np.savez(file, **{"conv1.weight": np.array([Evil()], object)})
    assert "w.npz: unreadable" in message(lambda: load("squeezenet1_0", weights=file), WeightsError)
    state = tmp_path / "w.pt"
    state.write_bytes(pickle.dumps({"conv1.weight": Evil()}))
    assert "not a plain state dict" in message(lambda: load("squeezenet1_0", weights=state), WeightsError)
    assert not target.exists()


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    state = fill(SqueezeNet(2))
    file = tmp_path / "w.npz"
    write_npz(file, {name: tensor for name, tensor in state.items() if name != "fire9.squeeze.bias"})
    assert "without 'fire9.squeeze.bias'" in message(lambda: load("squeezenet1_0", weights=file), WeightsError)
    write_npz(file, {**state, "extra": torch.zeros(1)})
    assert "with 'extra' beside" in message(lambda: load("squeezenet1_0", weights=file), WeightsError)
    write_npz(file, {**state, "conv1.weight": torch.zeros(96, 3, 5, 5)})
    text = message(lambda: load("squeezenet1_0", weights=file), WeightsError)
    assert "conv1.weight must have shape [96, 3, 7, 7] in squeezenet1_0, got [96, 3, 5, 5]" in text
    write_npz(file, state)
    text = message(lambda: load("squeezenet1_0", weights=file, num_classes=3), WeightsError)
    assert "conv10" in text
    assert "got [2" in text
    assert "no such weights file" in message(lambda: load("squeezenet1_0", weights=tmp_path / "none.pt"), WeightsError)
    assert "not a weights file" in message(lambda: load("squeezenet1_0", weights=tmp_path / "w.h5"), WeightsError)


def test_random_weights_only_when_asked_for() -> None:
    assert '"random"' in message(lambda: load("squeezenet1_0"), WeightsError)
    first, second = (load("squeezenet1_0", weights="random", num_classes=4) for _ in range(2))
    assert first.path is None
    assert first.card["weights"] == "random"
    assert "weights_sha256" not in first.card
    assert same(first, second.model.state_dict()), "the same random weights every time"


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_factory_in_the_current_folder(factories: str, tmp_path: Path, suffix: str) -> None:
    path = list(sys.path)
    state = fill(load(f"{factories}:net@random").model)
    file = tmp_path / f"w{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    loaded = load(f"{factories}:net", weights=file)
    assert same(loaded, state)
    assert loaded.preprocessing.size == 224
    assert loaded.card["preprocessing_origin"].startswith("assumed")
    assert sys.path == path
    wide = load(f"{factories}:net@random", num_classes=9)
    assert wide.model(torch.zeros(1, 3, 8, 8)).shape == (1, 9)
    assert load(f"{factories}:grey@random").preprocessing.channels == 1
    own = load(f"{factories}:Own@random")
    assert (own.preprocessing.size, own.preprocessing.scale) == (48, 255.0)
    assert "Own" in own.card["preprocessing_origin"]


@pytest.mark.parametrize(
    ("attribute", "part"),
    [
        ("nothing", "must return a torch.nn.Module, got int"),
        ("broken", "failed with RuntimeError: no such thing"),
        ("constant", "expected a function or class"),
        ("nett", "did you mean 'net'"),
        ("net.deep", "has no 'net.deep'"),
    ],
)
def test_factories_that_fail(factories: str, attribute: str, part: str) -> None:
    assert part in message(lambda: load(f"{factories}:{attribute}@random"))


def test_a_module_that_is_not_there() -> None:
    text = message(lambda: load("no_such_module_anywhere:make@random"))
    assert "no_such_module_anywhere cannot be imported" in text
    assert "current folder" in text


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_a_missing_package_names_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Absent(package), *sys.meta_path])
    assert f"pip install {package}" in message(lambda: load(f"{package}:resnet18@random"))


class _Absent:
    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_torchvision_weights_with_their_own_number_of_classes(tmp_path: Path) -> None:
    models = torchvision()
    state = fill(models.resnet18(num_classes=7))
    file = tmp_path / "best.safetensors"
    save_file(state, file)
    loaded = load("torchvision:resnet18", weights=file)
    assert same(loaded, state)
    own = loaded.preprocessing
    assert (own.size, own.channel_order, own.mean, own.std) == (
        224, "rgb", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    )  # fmt: skip
    text = message(lambda: load("torchvision:resnet34", weights=file), WeightsError)
    assert "not weights of torchvision:resnet34" in text
    text = message(lambda: load("torchvision:resnet81@random"), UnknownNameError)
    assert "resnet18" in text


def test_timm_gives_its_own_preprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for timm, which need not be installed."""
    asked: list[tuple[str, bool]] = []

    def create_model(name: str, pretrained: bool, num_classes: int = 10) -> nn.Module:
        asked.append((name, pretrained))
        model = nn.Sequential(nn.Conv2d(3, num_classes, 3), nn.ReLU())
        model.pretrained_cfg = {"input_size": (3, 160, 160), "mean": (0.5,) * 3, "std": (0.5,) * 3}  # type: ignore[assignment]
        return model

    stand_in = types.ModuleType("timm")
    stand_in.list_models = lambda: ["resnet18", "resnet50"]  # type: ignore[attr-defined]
    stand_in.create_model = create_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", stand_in)
    loaded = load("timm:resnet18.a1_in1k@random")
    assert asked == [("resnet18.a1_in1k", False)], "nothing is fetched"
    assert (loaded.preprocessing.size, loaded.preprocessing.mean) == (160, (0.5, 0.5, 0.5))
    assert "resnet50" in message(lambda: load("timm:resnet5@random"), UnknownNameError)


def test_a_trained_recipe_brings_its_own_weights(tmp_path: Path) -> None:
    text = message(lambda: load("two_stage", weights=tmp_path / "w.pt"), WeightsError)
    assert "leave them out" in text
    assert "desali train two_stage" in message(lambda: load("two_stage", runs=tmp_path), WeightsError)


def test_load_is_the_same_from_the_top_and_puts_the_model_on_a_device(factories: str) -> None:
    loaded = desali.load(f"{factories}:net", "random", device="cpu", classes=["a", "b", "c"])
    assert loaded.classes == ("a", "b", "c")
    assert loaded.preprocessing is loaded.preprocessing, "built once"
    assert next(loaded.model.parameters()).device.type == "cpu"
    assert not loaded.model.training
    assert desali.load is load
    if not torch.cuda.is_available():
        assert "no CUDA device" in message(lambda: desali.load(f"{factories}:net", "random", device="cuda"))
    assert "unknown device 'gpux'" in message(lambda: desali.load(f"{factories}:net", "random", device="gpux"))


def test_class_names_must_fit_the_network(factories: str, tmp_path: Path) -> None:
    named = load("squeezenet1_0", weights="random", classes=["x", "y"])
    assert named.classes == ("x", "y")
    assert dict(named.model.named_parameters())["conv10.weight"].shape[0] == 2
    net = f"{factories}:net"
    assert load(net, weights="random", classes=["x", "y"]).classes == ("x", "y")
    for call, expected in (
        (
            lambda: load(f"{factories}:fixed", weights="random", classes=["x", "y"]),
            "2 class names were given, but its output has shape [1, 3]",
        ),
        (lambda: load(net, weights="random", classes=["x", "x", "y"]), "classes must be names that differ"),
        (lambda: load(net, weights="random", classes="xyz"), "classes must be a list of names"),
        (lambda: load(net, weights="random", classes=[]), "classes must be a list of names"),
        (lambda: load(net, weights="random", classes=["x", "y"], num_classes=3), "2 names, but num_classes is 3"),
        (lambda: load(tmp_path, classes=["x"]), "brings its own weights and classes"),
    ):
        assert expected in message(call)
