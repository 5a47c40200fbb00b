"""The architectures that desali trains, as data. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from desali.errors import look_up

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """A network that can be trained, saved and loaded by name.

    Attributes:
        name: its name in cards and on the command line.
        build: (num_classes, in_channels) -> a freshly initialised module, float32, on the CPU (or the device in force).
        input_size: height and width of its images in pixels.
        in_channels: channels of its images; grey images are copied to all of them.
        preprocessing: default keyword arguments of `desali.data.preprocess.Preprocessing`.
        classifier: prefixes of the sub-modules that transfer re-initialises; everything else is a feature layer.
        show: layers whose reconstructions are shown by default.
    """

    name: str
    build: Callable[[int, int], nn.Module]
    input_size: int
    in_channels: int = 3
    preprocessing: dict[str, Any] = field(default_factory=dict)
    classifier: tuple[str, ...] = ("classifier",)
    show: tuple[str, ...] = ("features.relu1", "features.relu2", "features.relu3", "features.relu4", "features.relu5")

    def is_classifier(self, parameter: str) -> bool:
        """Whether the parameter of that name belongs to the classifier, not to the feature layers."""
        return any(parameter == prefix or parameter.startswith(prefix + ".") for prefix in self.classifier)


def _caffenet(num_classes: int, in_channels: int) -> nn.Module:
    from desali.models.caffenet import CaffeNet

    return CaffeNet(num_classes, in_channels)


def _caffenet_small(num_classes: int, in_channels: int) -> nn.Module:
    from desali.models.caffenet import CaffeNetSmall

    return CaffeNetSmall(num_classes, in_channels)


def _preprocessing(size: int) -> dict[str, Any]:
    return {"size": size, "channels": 3, "window": (-600, 1500), "resize": "bicubic"}


ARCHITECTURES: dict[str, Architecture] = {
    entry.name: entry
    for entry in (
        Architecture("caffenet", _caffenet, input_size=227, preprocessing=_preprocessing(227)),
        Architecture("caffenet-small", _caffenet_small, input_size=64, preprocessing=_preprocessing(64)),
    )
}


def architecture(name: str) -> Architecture:
    """The architecture of that name.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest.
    """
    return look_up("architecture", name, ARCHITECTURES)
