"""The networks of the benchmarks: AlexNet, VGG-16 and CaffeNet with random weights, in plain torch.nn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""Output channels of the convolutions; 0 is a max pooling (Simonyan and Zisserman 2015, configuration D)."""


@dataclass(frozen=True)
class Net:
    """A network with what the benchmarks need to know of it.

    Attributes:
        name: "alexnet", "vgg16", "caffenet" or "caffenet-small".
        module: in evaluation mode, parameters frozen (the cheaper case for autograd).
        size: height and width of its images in pixels.
        convolutions: names of the convolutions in forward order.
        pool5: name of the last max pooling.
    """

    name: str
    module: nn.Module
    size: int
    convolutions: tuple[str, ...]
    pool5: str

    @property
    def features(self) -> nn.Sequential:
        """The layers up to the last max pooling."""
        features = self.module.get_submodule("features")
        assert isinstance(features, nn.Sequential)
        return features

    def head(self, x: Tensor) -> Tensor:
        """Logits from the output of `features`."""
        if isinstance(self.module, FeatureNet):
            return self.module.head(x)
        logits: Tensor = self.module.get_submodule("classifier")(torch.flatten(x, 1))
        return logits

    def images(self, n: int, seed: int = 1, size: int | None = None, device: str = "cpu") -> Tensor:
        """Random images [n, 3, size, size]."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(n, 3, size or self.size, size or self.size, generator=generator).to(device)


class FeatureNet(nn.Module):
    """`features`, average pooling to a fixed size, `classifier`: the frame of AlexNet and VGG-16."""

    def __init__(self, features: nn.Sequential, channels: int, cells: int, hidden: int) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(cells)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(channels * cells * cells, hidden), nn.ReLU(),
            nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1000),
        )  # fmt: skip

    def head(self, x: Tensor) -> Tensor:
        """Logits [n, 1000] from the output of `features`."""
        logits: Tensor = self.classifier(torch.flatten(self.avgpool(x), 1))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, 1000] of images [n, 3, height, width]."""
        return self.head(self.features(images))


def alexnet(divisor: int = 1) -> nn.Module:
    """AlexNet with torchvision's geometry; `divisor` thins its channels, for the tests."""
    c1, c2, c3, c4, c5 = (channels // divisor for channels in (64, 192, 384, 256, 256))
    features = nn.Sequential(
        nn.Conv2d(3, c1, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(c1, c2, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU(),
        nn.Conv2d(c3, c4, 3, padding=1), nn.ReLU(),
        nn.Conv2d(c4, c5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip
    return FeatureNet(features, c5, 6, 4096 // divisor)


def vgg16(divisor: int = 1) -> nn.Module:
    """VGG-16 without batch normalisation; `divisor` thins its channels, for the tests."""
    layers: list[nn.Module] = []
    channels = 3
    for wanted in VGG16:
        if wanted:
            layers += [nn.Conv2d(channels, wanted // divisor, 3, padding=1), nn.ReLU()]
            channels = wanted // divisor
        else:
            layers.append(nn.MaxPool2d(2, 2))
    return FeatureNet(nn.Sequential(*layers), channels, 7, 4096 // divisor)


def _caffenet() -> nn.Module:
    from desali.models import CaffeNet

    return CaffeNet(1000)


def _caffenet_small() -> nn.Module:
    from desali.models import CaffeNetSmall

    return CaffeNetSmall(7)


_BUILDERS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "alexnet": (alexnet, 224),
    "vgg16": (vgg16, 224),
    "caffenet": (_caffenet, 227),
    "caffenet-small": (_caffenet_small, 64),
    "alexnet-tiny": (lambda: alexnet(8), 95),
    "vgg16-tiny": (lambda: vgg16(16), 32),
}


def build(name: str, seed: int = 0, device: str = "cpu") -> Net:
    """A network with Kaiming normal weights and small random biases, the same for the same seed."""
    make, size = _BUILDERS[name]
    state = torch.random.get_rng_state()
    try:
        torch.manual_seed(seed)
        module = make()
        for layer in module.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.normal_(layer.bias, std=0.1)
    finally:
        torch.random.set_rng_state(state)
    module.eval().requires_grad_(False).to(device)
    named = list(module.get_submodule("features").named_children())
    convolutions = tuple(f"features.{name}" for name, layer in named if isinstance(layer, nn.Conv2d))
    pools = [f"features.{name}" for name, layer in named if isinstance(layer, nn.MaxPool2d)]
    return Net(name, module, size, convolutions, pools[-1])
