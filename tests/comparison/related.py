"""Networks that are related in known ways, and images with patients, for the tests of lineage."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

WIDTHS = (48, 64, 64, 80, 96)
SIZE = 24


class Plain(nn.Module):
    """Five convolutions, one of them grouped, pooling between them, a classifier without a ReLU."""

    def __init__(self, widths: Sequence[int] = WIDTHS, classes: int = 4, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for number, width in enumerate(widths):
            groups = 2 if number == 2 else 1
            layers += [nn.Conv2d(before, width, 3, padding=1, groups=groups), nn.ReLU()]
            if number in (1, 3):
                layers.append(nn.MaxPool2d(2))
            before = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        return [layer for layer in self.features if isinstance(layer, nn.Conv2d)]


class Block(nn.Module):
    """Two convolutions with batch normalisation around a shortcut; its second ReLU reads the sum."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Conv2d(before, width, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.shortcut(x)
        return self.relu(y)


class Residual(nn.Module):
    """A small ResNet with three stages."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 24, 2), Block(24, 24, 1))
        self.layer3 = nn.Sequential(Block(24, 32, 2), Block(32, 32, 1))
        self.fc = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


class Mobile(nn.Module):
    """Depthwise convolutions with ReLU6, and a linear bottleneck that no ReLU reads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.BatchNorm2d(16), nn.ReLU6())
        self.bottleneck = nn.Conv2d(16, 8, 1)
        self.expand = nn.Sequential(nn.Conv2d(8, 24, 1), nn.ReLU6())

    def forward(self, x: Tensor) -> Tensor:
        return self.expand(self.bottleneck(self.depthwise(self.stem(x)))).mean((2, 3))


class Dense(nn.Module):
    """Joined layers: batch normalisation and ReLU come before each convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 12, 3, 2, 1)
        self.norm1, self.conv1 = nn.BatchNorm2d(12), nn.Conv2d(12, 8, 3, 1, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(20), nn.Conv2d(20, 8, 3, 1, 1)
        self.norm3 = nn.BatchNorm2d(28)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv0(x)
        x = torch.cat([x, self.conv1(torch.relu(self.norm1(x)))], 1)
        x = torch.cat([x, self.conv2(torch.relu(self.norm2(x)))], 1)
        return torch.relu(self.norm3(x)).mean((2, 3))


def made(network: type[nn.Module], seed: int = 0) -> nn.Module:
    """A network in evaluation mode, batch normalisations with statistics as if it had been trained."""
    torch.manual_seed(seed)
    model = network()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return model.eval()


def plain(seed: int = 0) -> Plain:
    """A `Plain` network in evaluation mode."""
    model = made(Plain, seed)
    assert isinstance(model, Plain)
    return model


def permuted() -> tuple[Plain, Plain, Tensor]:
    """A network, a copy whose fourth convolution ("features.8") has its channels in another order, and that order."""
    before = plain()
    after = copy.deepcopy(before)
    conv, follower = after.convolutions[3], after.convolutions[4]
    order = torch.randperm(conv.out_channels, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        conv.weight.copy_(conv.weight[order])
        conv.bias.copy_(conv.bias[order])
        follower.weight.copy_(follower.weight[:, order])
    return before, after, order


def shaken(model: nn.Module, amount: float, seed: int = 1) -> nn.Module:
    """A copy whose weights have moved by `amount` times their own deviation, as training moves them."""
    generator = torch.Generator().manual_seed(seed)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            if parameter.dim() > 1:
                parameter += amount * parameter.std() * torch.randn(parameter.shape, generator=generator)
    return twin


def pictures(n: int = 24, channels: int = 3, size: int = SIZE, seed: int = 3) -> Tensor:
    """Noise with the spectrum of natural images, smooth in space; float32 [n, channels, size, size]."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, channels, size, size, generator=generator)
    frequency = torch.fft.fftfreq(size)
    falloff = 1 / (frequency[:, None] ** 2 + frequency[None] ** 2 + 0.003).sqrt()
    smooth = torch.fft.ifft2(torch.fft.fft2(noise) * falloff).real
    return smooth / smooth.std()


def patients(n: int = 24, count: int = 6) -> list[str]:
    """Names of the patients of `n` images, `count` in all."""
    return [f"P{k % count}" for k in range(n)]
