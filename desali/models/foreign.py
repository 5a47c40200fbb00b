"""Networks that others define, with their first, random weights: torchvision, timm, and any factory that is named."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError, UnknownNameError

if TYPE_CHECKING:
    from torch import nn

IMAGENET: dict[str, Any] = {
    "size": 224,
    "channels": 3,
    "resize": "bicubic",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
"""What torchvision's and most of timm's weights were trained with: RGB in [0, 1], ImageNet's mean and deviation."""

SQUEEZENET: dict[str, Any] = {
    "size": 227,
    "channels": 3,
    "resize": "bicubic",
    "scale": 255.0,
    "mean": (104.0, 117.0, 123.0),
    "channel_order": "bgr",
}
"""As SqueezeNet's published weights were trained: bytes in the order blue, green, red, minus ImageNet's means."""

SQUEEZENET_SHOW = ("relu1", "fire3.expand_relu", "fire5.expand_relu", "fire7.expand_relu", "fire9.expand_relu")

FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
RANDOM_SEED = 0

_NO_AUXILIARY_DRAW = ("googlenet", "inception_v3")  # their slow drawing of weights is an option


@dataclass(frozen=True)
class Blueprint:
    """How to build a network, and what it expects.

    Attributes:
        name: as the user wrote it, without weights.
        build: number of classes, or None for the network's own, and a seed -> a module with random weights.
        preprocessing: of a module that was built: fields of `Preprocessing`, and in words where they come from.
        show: layers shown by default; empty: ReLUs spread over the depth.
        factory: what the user named, which may or may not take `num_classes`; None: any number can be asked for.
    """

    name: str
    build: Callable[[int | None, int], nn.Module]
    preprocessing: Callable[[nn.Module], tuple[dict[str, Any], str]]
    show: tuple[str, ...] = ()
    factory: Callable[..., Any] | None = None


def blueprint(name: str, options: Mapping[str, Any] = MappingProxyType({})) -> Blueprint | None:
    """The blueprint of "squeezenet1_0", "torchvision:NAME", "timm:NAME" or "module.path:factory"; else None.

    Args:
        options: arguments of torchvision's function beside the number of classes.

    Raises:
        DesaliError: the package or module cannot be imported, or holds no such factory.
        UnknownNameError: the package has no such network.
    """
    source, _, rest = name.partition(":")
    if name == "squeezenet1_0":
        return _squeezenet(name)
    if source == "torchvision" and rest:
        return _torchvision(name, rest, options)
    if source == "timm" and rest:
        return _timm(name, rest)
    return _factory(name) if FACTORY.fullmatch(name) else None


def _squeezenet(name: str) -> Blueprint:
    from desali.models.squeezenet import SqueezeNet

    def build(num_classes: int | None, seed: int = RANDOM_SEED) -> nn.Module:
        return _called(name, seed, lambda: SqueezeNet(1000 if num_classes is None else num_classes))

    words = "the published weights' own: BGR bytes minus ImageNet's means"
    return Blueprint(name, build, lambda _: (dict(SQUEEZENET), words), SQUEEZENET_SHOW)


def package(name: str, module: str) -> Any:
    """Import an optional package, or say in one line what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != name:
            raise DesaliError(f"{name}: needs {error.name}, which is not installed; pip install {error.name}") from None
        raise DesaliError(f"{name} is not installed; pip install {name} (the release that fits this torch)") from None
    except Exception as error:
        import torch

        raise DesaliError(
            f"{name} is installed but cannot be imported beside torch {torch.__version__} ({_line(error)}); "
            f"install the {name} that fits it"
            + ("" if torch.version.cuda else ", built for the CPU as this torch is, with --no-deps")
        ) from error


def _torchvision(name: str, network: str, given: Mapping[str, Any]) -> Blueprint:
    models = package("torchvision", "torchvision.models")
    _check_known("torchvision", network, models.list_models(module=models))

    def build(num_classes: int | None, seed: int = RANDOM_SEED) -> nn.Module:
        options: dict[str, Any] = {**given, **({} if num_classes is None else {"num_classes": num_classes})}
        if network in _NO_AUXILIARY_DRAW:
            options["init_weights"] = False
        return _called(name, seed, lambda: models.get_model(network, weights=None, **options))

    size = 299 if network == "inception_v3" else 224
    rule = {**IMAGENET, "size": size}
    return Blueprint(name, build, lambda _: (dict(rule), f"torchvision's usual: {size} px, ImageNet's mean"))


def _timm(name: str, network: str) -> Blueprint:
    timm = package("timm", "timm")
    _check_known("timm", network.partition(".")[0], timm.list_models())

    def build(num_classes: int | None, seed: int = RANDOM_SEED) -> nn.Module:
        options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
        return _called(name, seed, lambda: timm.create_model(network, pretrained=False, **options))

    def preprocessing(model: nn.Module) -> tuple[dict[str, Any], str]:
        own = getattr(model, "pretrained_cfg", None) or {}
        if not {"input_size", "mean", "std"} <= set(own):
            return dict(IMAGENET), "timm's usual: 224 px, ImageNet's mean"
        channels, size, _ = own["input_size"]
        given = {**IMAGENET, "size": size, "channels": channels, "mean": tuple(own["mean"]), "std": tuple(own["std"])}
        return given, "timm's configuration of this network"

    return Blueprint(name, build, preprocessing)


def classifier_of(plan: Blueprint) -> tuple[str, ...]:
    """The sub-modules that transfer re-initialises: those whose weights depend on the number of classes.

    Linear layers around such a module belong to it (AlexNet's and VGG's whole `classifier`), convolutions and
    normalisations do not, unless they are the module itself.

    Raises:
        DesaliError: the network cannot be built for another number of classes, or no weights depend on it.
    """
    model = plan.build(3, RANDOM_SEED)
    shapes = {name: tensor.shape for name, tensor in model.named_parameters()}
    other = {name: tensor.shape for name, tensor in plan.build(5, RANDOM_SEED).named_parameters()}
    changed = sorted({name.rpartition(".")[0] for name in shapes if shapes[name] != other.get(name)})
    if not changed or "" in changed:
        raise DesaliError(f"{plan.name}: no layer depends on the number of classes, so it cannot be trained as it is")
    return tuple(sorted({_whole_classifier(model, path) for path in changed}))


def _whole_classifier(model: nn.Module, path: str) -> str:
    """The largest sub-module around the one at `path` that holds no other weights than those of linear layers."""
    from torch import nn

    own = model.get_submodule(path)
    while "." in path:
        parent = model.get_submodule(path.rpartition(".")[0])
        weighted = [module for module in parent.modules() if next(module.parameters(recurse=False), None) is not None]
        if not all(module is own or isinstance(module, nn.Linear) for module in weighted):
            break
        path = path.rpartition(".")[0]
    return path


def _check_known(package: str, network: str, known: list[str]) -> None:
    if network not in known:
        near = difflib.get_close_matches(network, known, n=6, cutoff=0.3)
        raise UnknownNameError(f"{package} network", network, near or known[:6])


def _factory(name: str) -> Blueprint:
    module_name, _, attribute = name.partition(":")
    with _current_folder():
        try:
            found: Any = importlib.import_module(module_name)
        except Exception as error:
            raise DesaliError(
                f"{name}: the module {module_name} cannot be imported ({_line(error)}); it must be installed or lie in "
                "the current folder"
            ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            there = [key for key in vars(found) if not key.startswith("_")] if hasattr(found, "__dict__") else []
            near = difflib.get_close_matches(part, there, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DesaliError(f"{name}: {module_name} has no {attribute!r}{hint}")
        found = getattr(found, part)
    if not callable(found):
        raise DesaliError(f"{name}: expected a function or class that makes a network, got {type(found).__name__}")

    def build(num_classes: int | None, seed: int = RANDOM_SEED) -> nn.Module:
        with _current_folder():
            return _called(name, seed, lambda: found() if num_classes is None else found(num_classes=num_classes))

    return Blueprint(name, build, lambda model: _assumed(model, name), factory=found)


def takes_classes(plan: Blueprint) -> bool:
    """Whether another number of classes can be asked for."""
    if plan.factory is None:
        return True
    try:
        parameters = inspect.signature(plan.factory).parameters.values()
    except (TypeError, ValueError):  # written in C
        return False
    return any(one.name == "num_classes" or one.kind is one.VAR_KEYWORD for one in parameters)


def _assumed(model: nn.Module, name: str) -> tuple[dict[str, Any], str]:
    """The module's own `preprocessing`, if it has one; else ImageNet's for three channels, [0, 1] for any other."""
    own = getattr(model, "preprocessing", None)
    if isinstance(own, dict):
        return dict(own), f"{name}'s own"
    from torch import nn

    channels = next((m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), 3)
    if channels == 3:
        return dict(IMAGENET), "assumed: 224 px, ImageNet's mean"
    return {"size": 224, "channels": channels}, "assumed: 224 px, values in [0, 1]"


def _called(name: str, seed: int, make: Callable[[], Any]) -> nn.Module:
    """Run a factory with torch's random state put back afterwards.

    Raises:
        DesaliError: it fails or returns no module.
    """
    import torch

    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = make()
    except Exception as error:
        raise DesaliError(f"{name}: the factory failed with {_line(error)}") from error
    if not isinstance(model, torch.nn.Module):
        raise DesaliError(f"{name}: the factory must return a torch.nn.Module, got {type(model).__name__}")
    return model


@contextmanager
def _current_folder() -> Iterator[None]:
    """Let modules of the current folder be imported, after everything that is installed."""
    folder = str(Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.append(folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return f"{kind}: {text[:200]}" if text else kind
