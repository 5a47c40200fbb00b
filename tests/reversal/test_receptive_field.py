"""The receptive field by arithmetic equals the support of the gradient on a copy whose gradient cannot vanish."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import desali
from desali.errors import SeedError
from tests.networks import SIZE, chain, images


def support(model: nn.Module, layer: str, position: tuple[int, ...], size: tuple[int, ...], channels: int) -> Tensor:
    """Where the gradient of all channels at a position is not zero; weights positive, pools averaged by the caller."""
    x = torch.ones(1, channels, *size, dtype=torch.float64, requires_grad=True)
    seen: list[Tensor] = []
    model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: seen.append(output))
    model(x)
    (gradient,) = torch.autograd.grad(seen[0][(slice(None), slice(None), *position)].sum(), x)
    return gradient[0].sum(0) != 0


def positive_copy(model: nn.Module) -> nn.Module:
    """The same geometry with positive weights and, for max pooling and normalisation, something linear as wide."""
    twin = copy.deepcopy(model).double()
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, (nn.LocalResponseNorm, nn.BatchNorm2d)):
                setattr(module, name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d):
                setattr(module, name, _Spread(child))
    for parameter in twin.parameters():
        nn.init.constant_(parameter, 0.01)
    return twin.eval()


class _Spread(nn.Module):
    """A sum over the windows of a max pooling; padding counts as zero."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        pool = self.pool
        like = nn.functional.max_pool2d(x, pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)
        kernel, stride, padding = pool.kernel_size, pool.stride, pool.padding
        assert isinstance(kernel, int)
        assert isinstance(stride, int)
        assert isinstance(padding, int)
        assert isinstance(pool.dilation, int)
        reach = [(count - 1) * stride + (kernel - 1) * pool.dilation + 1 for count in like.shape[2:]]
        extra = [max(0, need - size - padding) for need, size in zip(reach, x.shape[2:], strict=True)]
        wide = nn.functional.pad(x, (padding, extra[1], padding, extra[0]))
        columns = nn.functional.unfold(wide, kernel, pool.dilation, 0, stride)
        summed = columns.view(len(x), x.shape[1], kernel * kernel, -1).sum(2)
        rows = (wide.shape[2] - (kernel - 1) * pool.dilation - 1) // stride + 1
        return summed.view(len(x), x.shape[1], rows, -1)[:, :, : like.shape[2], : like.shape[3]]


def check(model: nn.Module, layer: str, position: tuple[int, ...], size: tuple[int, ...], channels: int = 3) -> None:
    window = desali.record(model, torch.zeros(1, channels, *size)).receptive_field(layer, position)
    seen = support(positive_copy(model), layer, position, size, channels).nonzero()
    if not len(seen):
        assert window == (0,) * 2 * len(size)
        return
    first, extent = window[: len(size)], window[len(size) :]
    visible = [(max(a, 0), min(a + b, limit) - 1) for a, b, limit in zip(first, extent, size, strict=True)]
    assert visible == list(zip(seen.amin(0).tolist(), seen.amax(0).tolist(), strict=True)), window


@pytest.mark.parametrize("layer", ["features.0", "features.2", "features.3", "features.4", "features.6", "features.7"])
def test_chain(layer: str) -> None:
    model = chain()
    shape = desali.record(model, images(1)).shape(layer)
    for position in {(0, 0), (shape[1] // 2, shape[2] // 2), (shape[1] - 1, shape[2] - 1), (1, shape[2] - 1)}:
        check(model, layer, position, SIZE)


def test_fully_connected_neurons() -> None:
    check(chain(), "classifier.3", (), SIZE)


@given(
    first=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)),
    pool=st.tuples(st.integers(1, 3), st.integers(1, 3), st.booleans()),
    second=st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(1, 2)),
    where=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(max_examples=15)
def test_random_geometry(
    first: tuple[int, ...], pool: tuple[int, int, bool], second: tuple[int, ...], where: tuple[float, float]
) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, *first),
        nn.ReLU(),
        nn.MaxPool2d(pool[0], pool[1], pool[0] // 2, ceil_mode=pool[2]),
        nn.Conv2d(2, 2, *second),
        nn.ReLU(),
    ).eval()
    size = (23, 19)
    try:
        shape = model(torch.zeros(1, 1, *size)).shape[2:]
    except RuntimeError:  # the second kernel is larger than what the pooling leaves
        assume(False)
    position = tuple(int(part * (count - 1)) for part, count in zip(where, shape, strict=True))
    check(model, "4", position, size, channels=1)


@pytest.mark.parametrize("position", [(0,), (0, 99), (-1, 0), (0, 0, 0)])
def test_positions_must_fit(position: tuple[int, ...]) -> None:
    with pytest.raises(SeedError, match=r"features\.2"):
        desali.record(chain(), images(1)).receptive_field("features.2", position)
