"""Batch normalisation folded on demand: the same network up to rounding, and the model left alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import desali
from desali.reversal.graph.folding import fold_batch_norm
from desali.reversal.layers.norms import BatchNorm
from tests import blocks
from tests.networks import chain, difference, images
from tests.reversal.graph.test_left_alone import state


def norms(recording: desali.Recording) -> int:
    return sum(isinstance(node.operation, BatchNorm) for node in recording.network.nodes)


@pytest.mark.parametrize("kind", [blocks.Residual, blocks.InvertedResidual, blocks.Shuffle, blocks.Volume, blocks.Line])
def test_folding_keeps_the_reconstruction(kind: type[nn.Module]) -> None:
    model, x = blocks.build(kind)
    before = state(model)
    plain, folded = desali.record(model, x), desali.record(model, x, fold_batch_norm=True)
    assert state(model) == before
    assert norms(plain) > 0
    assert norms(folded) == 0
    assert difference(folded.output, plain.output) < 1e-12
    layer = plain.layers[-1]
    for method in ("desalinet", "deconvnet", "saliency"):
        maps = [recording.reconstruct(layer, desali.Seed.logit(1), method) for recording in (plain, folded)]
        assert difference(maps[1], maps[0]) < 1e-10, method
    assert desali.record(model, x, fold_batch_norm=True).network is folded.network, "folded once"


def test_changed_parameters_are_folded_anew() -> None:
    model, x = blocks.build(blocks.Residual)
    first = desali.record(model, x, fold_batch_norm=True).output
    norm = model.get_submodule("layer1.0.bn1")
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.weight.mul_(2)
        second = desali.record(model, x, fold_batch_norm=True).output
        assert difference(second, model(x)) < 1e-12
    assert difference(second, first) > 1e-3


class Before(nn.Module):
    """One normalisation comes first, one follows a convolution that something else reads too, one is folded."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.BatchNorm2d(3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(self.first(x))
        return self.third(self.conv2((self.second(y) + y).relu())).relu()


def test_what_is_read_twice_or_comes_before_stays() -> None:
    model, x = blocks.settle(Before()), images(2, torch.float64)
    plain, folded = desali.record(model, x), desali.record(model, x, fold_batch_norm=True)
    assert (norms(plain), norms(folded)) == (3, 2)
    assert difference(folded.output, plain.output) < 1e-12


def test_without_batch_normalisation_nothing_happens() -> None:
    model = chain()
    assert fold_batch_norm(model, images(2)) is model


def test_a_tensor_that_takes_another_ones_address_is_folded_anew() -> None:
    model, x = blocks.settle(Before()), images(2, torch.float64)
    convolution = model.get_submodule("conv2")
    first = nn.Parameter(convolution.weight.detach().clone())  # type: ignore[operator,union-attr]
    convolution.weight = first
    before = desali.record(model, x, fold_batch_norm=True).output
    first.data.mul_(2)
    convolution.weight = nn.Parameter(first.data)  # the same address, and no writes counted
    after = desali.record(model, x, fold_batch_norm=True).output
    with torch.no_grad():
        assert difference(after, model(x)) < 1e-12
    assert difference(before, after) > 1e-3
