"""Layer names are the module paths that users know."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import desali
from desali.errors import UnknownNameError
from tests import blocks


def test_modules_functions_and_second_uses() -> None:
    layers = desali.record(*blocks.build(blocks.Residual)).layers
    start = layers.index("layer1.0.conv1")
    assert layers[start : start + 7] == [
        "layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu", "layer1.0.conv2", "layer1.0.bn2", "layer1.0.add_fn",
        "layer1.0.relu:1",
    ]  # fmt: skip
    dense = desali.record(*blocks.build(blocks.Dense)).layers
    assert dense[1:4] == ["layers.0.cat_fn", "layers.0.norm1", "layers.0.relu_fn"]
    assert len(set(dense)) == len(dense)


def test_containers_mean_their_last_operation() -> None:
    recording = desali.record(*blocks.build(blocks.Residual))
    for container, last in (
        ("layer1", "layer1.1.relu:1"),
        ("layer1.0", "layer1.0.relu:1"),
        ("layer1.1.downsample", None),
    ):
        expected = recording.activation(last or "layer1.1.downsample.1")
        assert torch.equal(recording.activation(container), expected)


class Shared(nn.Module):
    """A container that is used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.block(F.relu(self.block(x))))


def test_later_uses_of_a_container() -> None:
    torch.manual_seed(0)
    model, x = Shared().eval(), torch.randn(2, 3, 8, 8)
    recording = desali.record(model, x)
    assert recording.layers == [
        "block.0", "block.1", "relu_fn", "block.0:1", "block.1:1", "block.0:2", "block.1:2",
    ]  # fmt: skip
    with torch.no_grad():
        once = model.block(x)
        twice = model.block(once)
    assert torch.equal(recording.activation("block:1"), twice)
    assert torch.equal(recording.activation("block"), model.block(twice))
    assert torch.equal(recording.activation("block.1"), once)
    with pytest.raises(UnknownNameError, match="block"):
        recording.activation("block:3")


def test_names_do_not_depend_on_the_batch() -> None:
    model, x = blocks.build(blocks.Inception, 3)
    assert desali.record(model, x).layers == desali.record(model, x[:1]).layers


def test_the_method_may_be_limited_to_containers() -> None:
    model, x = blocks.build(blocks.Residual)
    recording = desali.record(model, x)
    guided = desali.Method(True, True, True, lrn="adjoint", only=["layer1.1"])
    seed = desali.Seed.layer()
    assert torch.equal(
        recording.reconstruct("layer1.0", seed, guided), recording.reconstruct("layer1.0", seed, "saliency")
    )
    assert not torch.equal(
        recording.reconstruct("layer1.1", seed, guided), recording.reconstruct("layer1.1", seed, "saliency")
    )
