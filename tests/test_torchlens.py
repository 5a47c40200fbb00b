"""A network of functional and reused ReLUs against TorchLens; absent TorchLens is said aloud."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import desali
from tests.blocks import settle
from tests.networks import difference
from tests.oracles import torchlens


class Functional(nn.Module):
    """Every ReLU is written differently; none would be found by looking for modules, except the one used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5, 2, 1)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.conv3 = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.conv4 = nn.Conv2d(8, 5, 3)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2)
        shortcut = self.act(self.conv2(x))
        x = self.act(self.conv3(shortcut) + shortcut)
        return torch.relu(self.conv4(x))


LAYERS = {"conv2": "conv2d_2", "conv3": "conv2d_3", "conv4": "conv2d_4"}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("method", "guided"), [("TTT", True), ("TTF", False)])
@pytest.mark.parametrize("layer", LAYERS)
def test_against_torchlens(layer: str, method: str, guided: bool, dtype: torch.dtype, tolerance: float) -> None:
    torchlens.require()
    model = settle(Functional(), dtype)
    x = torch.randn(2, 3, 41, 37, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(dtype)
    activation, expected = torchlens.project(model, x, LAYERS[layer], guided)
    recording = desali.record(model, x)
    assert difference(recording.activation(layer), activation) < tolerance
    maps = recording.reconstruct(layer, desali.Seed.layer(), method)
    assert difference(maps[:, 0], expected) < tolerance
    if guided:
        plain = recording.reconstruct(layer, desali.Seed.layer(), "TTF")
        assert difference(plain[:, 0], expected) > 0.01, "the rule matters on this network"
