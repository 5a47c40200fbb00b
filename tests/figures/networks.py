"""Small networks to compare: residual ones in four layers, chains of another architecture, in grey and in colour."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions with a way around them; one ReLU module is used twice, as in torchvision's ResNets."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Residual(nn.Module):
    """ResNet-18 in small, of any image size."""

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5, 2, 2)
        self.relu = nn.ReLU()
        self.layer1, self.layer2 = Block(6, 6, 1), Block(6, 8, 2)
        self.layer3, self.layer4 = Block(8, 10, 2), Block(10, 12, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(12, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.relu(self.conv1(x))))))
        return self.fc(torch.flatten(self.pool(x), 1))


def residual(seed: int = 0, channels: int = 3, classes: int = 4) -> nn.Module:
    """A `Residual` in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Residual(channels, classes).eval()


def plain(seed: int = 0, channels: int = 3, classes: int = 4) -> nn.Module:
    """A chain of another architecture."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, classes),
        ).eval()  # fmt: skip


def further(model: nn.Module, parts: Sequence[str], seed: int = 9, by: float = 0.3) -> nn.Module:
    """A copy with other weights in some of its parts, as if trained further."""
    twin = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in parts:
            for parameter in twin.get_submodule(name).parameters():
                parameter += by * torch.randn(parameter.shape, generator=generator)
    return twin


def picture(colour: bool = True, size: tuple[int, int] = (32, 32), seed: int = 2) -> Tensor:
    """A smooth picture in [0, 1]: [3, h, w] or [1, h, w]."""
    y, x = torch.meshgrid(torch.linspace(0, 6, size[0]), torch.linspace(0, 6, size[1]), indexing="ij")
    planes = [torch.sin(x + y), torch.cos(2 * x), torch.sin(3 * y + seed)]
    found = torch.stack(planes if colour else planes[2:])
    return (found + 1) / 2


@contextmanager
def untouched(*models: nn.Module) -> Iterator[None]:
    """Check that nothing of the models changes: bits, modes, hooks, gradients, and torch's random state."""

    def facts() -> list[Any]:
        found: list[Any] = []
        for model in models:
            for name, tensor in model.state_dict().items():
                found.append(
                    (name, tensor.dtype, str(tensor.device), tensor.cpu().reshape(-1).view(torch.uint8).tolist())
                )
            for name, parameter in model.named_parameters():
                found.append((name, id(parameter), parameter.requires_grad, parameter.grad, parameter.data_ptr()))
            for name, module in model.named_modules():
                hooks = [list(module._forward_hooks), list(module._forward_pre_hooks), list(module._backward_hooks)]
                found.append((name, id(module), module.training, hooks, getattr(module, "inplace", None)))
        return found

    before, state = facts(), torch.get_rng_state()
    yield
    assert facts() == before
    assert torch.equal(torch.get_rng_state(), state)
