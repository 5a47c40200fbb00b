"""A dimension of one element may have any stride; nothing may trust it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import desali
from desali import Seed, ops
from tests.ops.cases import assert_same, in_layout, normal, random_mask


def test_inverse_relu_in_three_dimensions_whose_last_has_one_element() -> None:
    for channels in (1, 5):
        signal = in_layout(normal(0, 1, 2, channels, 6, 2, 1), "channels_last", 2)
        signal = signal.as_strided(signal.shape, [*signal.stride()[:-1], 12])
        mask = random_mask(1, 1, (6, 2, 1), channels)
        own, wanted = (ops.inverse_relu(signal, mask, map_size=(6, 2, 1), backend=b) for b in ("auto", "torch"))
        assert_same(own, wanted)


def test_volumes_that_were_turned() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.relu, self.last = nn.Conv3d(1, 1, 1), nn.ReLU(), nn.Conv3d(1, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.last(self.relu(self.first(x)).transpose(2, 4))
            return out

    torch.manual_seed(0)
    recording = desali.record(Turned().eval(), torch.randn(3, 1, 6, 1, 1))
    own = recording.reconstruct("last", Seed.layer(), "saliency")
    torch.testing.assert_close(own, recording.reconstruct("last", Seed.layer(), "saliency", backend="torch"))
