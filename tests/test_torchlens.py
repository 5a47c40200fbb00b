"""A network of functional and reused ReLUs against TorchLens; absent TorchLens is said aloud."""

from __future__ import annotations

from pathlib import Path

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
def test_against_torchlens(dtype: torch.dtype, tolerance: float, tmp_path: Path) -> None:
    model = settle(Functional(), dtype)
    x = torch.randn(2, 3, 41, 37, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(dtype)
    cases = [(layer, guided) for layer in LAYERS for guided in (True, False)]
    results = torchlens.run([(model, x, LAYERS[layer], guided) for layer, guided in cases], tmp_path)
    assert len(results) == len(cases)
    recording = desali.record(model, x)
    for (layer, guided), (activation, expected) in zip(cases, results, strict=True):
        assert difference(recording.activation(layer), activation) < tolerance
        maps = {name: recording.reconstruct(layer, desali.Seed.layer(), name)[:, 0] for name in ("TTT", "TTF")}
        assert difference(maps["TTT" if guided else "TTF"], expected) < tolerance, (layer, guided)
        assert difference(maps["TTF" if guided else "TTT"], expected) > 0.01, "the rule matters on this network"
