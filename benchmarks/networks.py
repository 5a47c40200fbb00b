"""ResNet, DenseNet-121 and MobileNet v2 in plain torch.nn, with the shapes and in-place layers of torchvision's."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """A block of ResNet (He et al. 2016): two 3x3 convolutions, or 1x1, 3x3, 1x1 with `expand` = 4."""

    def __init__(self, before: int, width: int, stride: int, expand: int) -> None:
        super().__init__()
        after = width * expand
        if expand == 1:
            shapes = [(before, width, 3, stride), (width, width, 3, 1)]
        else:
            shapes = [(before, width, 1, 1), (width, width, 3, stride), (width, after, 1, 1)]
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, k, s, k // 2, bias=False) for i, o, k, s in shapes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o, _, _ in shapes)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module | None = None
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, width * expand, H / stride, W / stride]."""
        identity = x if self.shortcut is None else self.shortcut(x)
        last = len(self.convolutions) - 1
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = norm(convolution(x))
            if index < last:
                x = self.relu(x)
        x += identity
        out: Tensor = self.relu(x)
        return out


def resnet(depths: tuple[int, ...], expand: int) -> nn.Module:
    """ResNet-18 with depths (2, 2, 2, 2) and expand 1; ResNet-50 with (3, 4, 6, 3) and 4."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    channels = 64
    for stage, depth in enumerate(depths):
        for index in range(depth):
            width = 64 * 2**stage
            layers.append(Residual(channels, width, 2 if stage and not index else 1, expand))
            channels = width * expand
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


class Dense(nn.Module):
    """A layer of DenseNet (Huang et al. 2017): its 32 new channels are appended to what it was given."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(before), nn.ReLU(inplace=True), nn.Conv2d(before, 128, 1, bias=False),
            nn.BatchNorm2d(128), nn.ReLU(inplace=True), nn.Conv2d(128, 32, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, parts: list[Tensor]) -> Tensor:
        """The maps so far, [N, C_i, H, W] each -> [N, 32, H, W]."""
        out: Tensor = self.layers(torch.cat(parts, 1))
        return out


class DenseBlock(nn.ModuleList):
    """Dense layers, each reading all before it."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C + 32 * layers, H, W]."""
        parts = [x]
        for layer in self:
            parts.append(layer(parts))
        return torch.cat(parts, 1)


def densenet121() -> nn.Module:
    """DenseNet-121."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    channels = 64
    for block, depth in enumerate((6, 12, 24, 16)):
        if block:
            half = nn.Conv2d(channels, channels // 2, 1, bias=False)
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True), half, nn.AvgPool2d(2)]
            channels //= 2
        layers.append(DenseBlock(Dense(channels + 32 * index) for index in range(depth)))
        channels += 32 * depth
    head = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head, nn.Linear(channels, 1000))


class Inverted(nn.Module):
    """A block of MobileNet v2 (Sandler et al. 2018): expand, depthwise 3x3, project."""

    def __init__(self, before: int, after: int, stride: int, expand: int) -> None:
        super().__init__()
        width = before * expand
        widen = _conv6(before, width, 1) if expand > 1 else []
        depthwise = _conv6(width, width, 3, stride, groups=width)
        self.conv = nn.Sequential(*widen, *depthwise, nn.Conv2d(width, after, 1, bias=False), nn.BatchNorm2d(after))
        self.same = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """[N, before, H, W] -> [N, after, H / stride, W / stride]."""
        out: Tensor = self.conv(x)
        return x + out if self.same else out


def _conv6(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU6(inplace=True)]


def mobilenet_v2() -> nn.Module:
    """MobileNet v2."""
    layers, channels = _conv6(3, 32, 3, 2), 32
    for expand, after, depth, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for index in range(depth):
            layers.append(Inverted(channels, after, 1 if index else stride, expand))
            channels = after
    layers += _conv6(channels, 1280, 1)
    named = OrderedDict(features=nn.Sequential(*layers), pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    return nn.Sequential(OrderedDict(**named, classifier=nn.Linear(1280, 1000)))
