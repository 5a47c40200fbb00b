"""The architectures that desali trains, its own as data, others by name. Importing this does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError, UnknownNameError, look_up
from desali.models.foreign import RANDOM_SEED, SQUEEZENET, SQUEEZENET_SHOW, blueprint, classifier_of

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """A network that can be trained, saved and loaded by name.

    Attributes:
        name: its name in cards and on the command line.
        build: (num_classes, in_channels) -> a freshly initialised module, float32, on the CPU (or the device in force).
        input_size: height and width of its images in pixels.
        in_channels: channels of its images; grey images are copied to all of them, colour becomes grey for 1.
        preprocessing: default keyword arguments of `desali.data.preprocess.Preprocessing`.
        classifier: prefixes of the sub-modules that transfer re-initialises; everything else is a feature layer.
        show: layers whose reconstructions are shown by default; empty: ReLUs spread over the depth.
        any_size: whether images of other sizes than `input_size` can be given.
        learning_rate: that the recipes begin with, AdamW's, where no other is asked for.
        on_meta: whether the module may be built on the meta device and its weights assigned.
    """

    name: str
    build: Callable[[int, int], nn.Module]
    input_size: int
    in_channels: int = 3
    preprocessing: dict[str, Any] = field(default_factory=dict)
    classifier: tuple[str, ...] = ("classifier",)
    show: tuple[str, ...] = ("features.relu1", "features.relu2", "features.relu3", "features.relu4", "features.relu5")
    any_size: bool = False
    learning_rate: float = 1e-3
    on_meta: bool = True

    def is_classifier(self, parameter: str) -> bool:
        """Whether the parameter of that name belongs to the classifier, not to the feature layers."""
        return any(parameter == prefix or parameter.startswith(prefix + ".") for prefix in self.classifier)


def _caffenet(num_classes: int, in_channels: int) -> nn.Module:
    from desali.models.caffenet import CaffeNet

    return CaffeNet(num_classes, in_channels)


def _caffenet_small(num_classes: int, in_channels: int) -> nn.Module:
    from desali.models.caffenet import CaffeNetSmall

    return CaffeNetSmall(num_classes, in_channels)


def _vgg_small(num_classes: int, in_channels: int) -> nn.Module:
    from desali.models.vgg import VGGSmall

    return VGGSmall(num_classes, in_channels)


def _squeezenet(num_classes: int, in_channels: int) -> nn.Module:
    from desali.models.squeezenet import SqueezeNet

    return SqueezeNet(num_classes, in_channels)


def _preprocessing(size: int) -> dict[str, Any]:
    return {"size": size, "channels": 3, "window": (-600, 1500), "resize": "bicubic"}


DEFAULT = "vgg-small"
"""The architecture that is trained unless another is named."""

ARCHITECTURES: dict[str, Architecture] = {
    entry.name: entry
    for entry in (
        Architecture(
            DEFAULT,
            _vgg_small,
            input_size=64,
            in_channels=1,
            preprocessing={**_preprocessing(64), "channels": 1, "mean": (0.5,), "std": (0.25,)},
            show=tuple(f"features.relu{number}" for number in (1, 2, 3, 5, 6)),
            any_size=True,
            learning_rate=3e-3,
        ),
        Architecture("caffenet", _caffenet, input_size=227, preprocessing=_preprocessing(227)),
        Architecture("caffenet-small", _caffenet_small, input_size=64, preprocessing=_preprocessing(64)),
        Architecture(
            "squeezenet1_0",
            _squeezenet,
            input_size=227,
            preprocessing=SQUEEZENET,
            classifier=("conv10",),
            show=SQUEEZENET_SHOW,
            any_size=True,
        ),
    )
}


def architecture(name: str) -> Architecture:
    """The architecture of that name, or one made from "torchvision:NAME", "timm:NAME" or "module.path:factory".

    Raises:
        UnknownNameError: there is none; the message suggests the nearest.
        DesaliError: a network that others define and that cannot be built or trained.
    """
    return _foreign(name) if ":" in name else look_up("architecture", name, ARCHITECTURES)


@lru_cache(maxsize=8)
def _foreign(name: str) -> Architecture:
    """A network that others define; its classifier is found by asking for two numbers of classes."""
    plan = blueprint(name)
    if plan is None:
        known = [*ARCHITECTURES, "torchvision:NAME", "timm:NAME", "module.path:factory"]
        raise UnknownNameError("architecture", name, known)
    model = plan.build(None, RANDOM_SEED)
    fields, _ = plan.preprocessing(model)
    channels = int(fields.get("channels", 3))

    def build(num_classes: int, in_channels: int) -> nn.Module:
        if in_channels != channels:
            raise DesaliError(f"{name}: takes {channels} channels, got {in_channels}")
        import torch

        return plan.build(num_classes, int(torch.randint(2**62, ())))  # from the caller's random state

    return Architecture(
        name,
        build,
        input_size=int(fields["size"]),
        in_channels=channels,
        preprocessing=fields,
        classifier=classifier_of(plan),
        show=(),
        any_size=True,
        on_meta=False,
    )
