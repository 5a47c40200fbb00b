"""Small networks for the tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Chain(nn.Module):
    """AlexNet in small: strided convolution, overlapping pools, normalisation, padding, a classifier."""

    def __init__(self, channels: int = 3, classes: int = 5, inplace: bool = False) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 8, 5, stride=2),
            nn.ReLU(inplace),
            nn.MaxPool2d(3, 2),
            nn.LocalResponseNorm(5, alpha=0.5, beta=0.75, k=2.0),
            nn.Conv2d(8, 12, 3, padding=1, groups=2),
            nn.ReLU(inplace),
            nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
            nn.Conv2d(12, 10, 3, padding=2, dilation=2),
            nn.ReLU(inplace),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(10 * 4 * 4, 16), nn.ReLU(inplace), nn.Linear(16, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


SIZE = (31, 29)


def chain(dtype: torch.dtype = torch.float32, seed: int = 0, inplace: bool = False) -> nn.Module:
    """A `Chain` in evaluation mode with biases large enough to matter."""
    torch.manual_seed(seed)
    model = Chain(inplace=inplace)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.bias, std=0.3)
    return model.eval().to(dtype)


def images(n: int = 2, dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    """Random images for a `Chain`."""
    return torch.randn(n, 3, *SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def difference(got: Tensor, expected: Tensor) -> float:
    """max |difference| / max |reference|; shapes must agree."""
    assert got.shape == expected.shape, f"shapes {list(got.shape)} and {list(expected.shape)}"
    scale = expected.abs().max().item()
    return (got - expected).abs().max().item() / (scale or 1.0)
