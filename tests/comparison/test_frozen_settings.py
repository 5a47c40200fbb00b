"""Equal weights are not equal networks: settings, pooling, hooks and choices by comparison count too."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import desali
from desali.errors import DataError

IMAGES = torch.randn(24, 2, 16, 16, generator=torch.Generator().manual_seed(3))
PATIENTS = [f"P{k // 3}" for k in range(24)]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.pool = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.MaxPool2d(2)
        self.second, self.gate, self.head = nn.Conv2d(6, 8, 3, padding=1), nn.Conv2d(6, 8, 1), nn.Linear(8, 3)
        self.relu1, self.relu2, self.scale = nn.ReLU(), nn.ReLU(), 1.0

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu1(self.norm(self.first(x)) * self.scale))
        y = self.second(x)
        y = torch.where(self.gate(x) > 0, y, -y)
        out: Tensor = self.head(self.relu2(y).mean((2, 3)))
        return out


def pooled(net: Net) -> None:
    net.pool = nn.AvgPool2d(2).eval()


def scaled(net: Net) -> None:
    net.scale = -3.0


def dilated(net: Net) -> None:
    net.second = copy.deepcopy(net.second)
    net.second.dilation, net.second.padding = (2, 2), (2, 2)


def hooked(net: Net) -> None:
    net.second.register_forward_hook(lambda module, inputs, output: -output)


def gated(net: Net) -> None:
    net.gate.weight.data.neg_()


CHANGES: list[tuple[Callable[[Net], None], str]] = [
    (pooled, "relu2"), (scaled, "relu1"), (dilated, "relu2"), (hooked, "relu2"), (gated, "relu2"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "layer"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_a_network_that_computes_otherwise_is_not_frozen(change: Callable[[Net], None], layer: str) -> None:
    torch.manual_seed(0)
    before = Net().eval()
    after = copy.deepcopy(before)
    change(after)
    found = desali.lineage(before, after, IMAGES, PATIENTS, random_networks=0)[layer]
    assert not found.equal
    assert "frozen" not in found.state


def test_an_equal_copy_is_frozen_throughout() -> None:
    torch.manual_seed(0)
    before = Net().eval()
    change = desali.lineage(before, copy.deepcopy(before), IMAGES, PATIENTS, random_networks=0)
    assert all(layer.equal for layer in change)


def test_a_copy_is_no_replicate() -> None:
    torch.manual_seed(0)
    before, after = Net().eval(), Net().eval()
    with pytest.raises(DataError, match="replicate 1 has the same weights as after"):
        desali.lineage(before, after, IMAGES, PATIENTS, replicates=[copy.deepcopy(after)])
