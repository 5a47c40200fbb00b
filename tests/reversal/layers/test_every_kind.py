"""Every kind of layer: its reversal is the adjoint that autograd computes, and its reach is what autograd touches."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import desali
from desali.ops import can_run
from desali.reversal.graph.share import adopt
from desali.reversal.layers import registry
from desali.reversal.layers.arithmetic import Product, Sum
from desali.reversal.layers.arranging import ChannelShuffle, Concatenation, Identity, Permutation, Reshape, Slice
from desali.reversal.layers.base import Layer
from desali.reversal.layers.convolution import Convolution, Linear
from desali.reversal.layers.norms import BatchNorm, LocalResponseNorm
from desali.reversal.layers.other import Other
from desali.reversal.layers.pooling import AveragePool, GlobalAverage, MaxPool
from desali.reversal.layers.relu import ReLU
from desali.reversal.methods import TRUE_ADJOINT
from desali.reversal.receptive_field import image_cells
from tests.blocks import settle
from tests.networks import difference


class Function(nn.Module):
    """A function of maps as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Probe(nn.Module):
    """One layer, called "kind", and a ReLU behind it, since methods want one."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.kind = layer

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.kind(x))


@dataclass(frozen=True)
class Example:
    """A layer to try.

    Attributes:
        shape: [C, *spatial] of the image.
        exact: its reach is no wider than what it reads; False: it is everything, to be safe; None: something between.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = (4, 7, 6)
    exact: bool | None = True


def function(
    call: Callable[[Tensor], Tensor], shape: tuple[int, ...] = (4, 7, 6), exact: bool | None = True
) -> Example:
    return Example(lambda: Function(call), shape, exact)


LINE, VOLUME = (2, 15), (2, 5, 6, 7)
EXAMPLES: dict[type[Layer], dict[str, Example]] = {
    ReLU: {
        "module": Example(nn.ReLU),
        "capped": function(lambda x: F.relu6(6 * x)),
        "clamped": function(lambda x: x.clamp(0, 0.5)),
        "by comparison": function(lambda x: torch.where(x > 0, x, 0)),
        "1-D": Example(nn.ReLU, LINE),
        "3-D": Example(nn.ReLU, VOLUME),
    },
    Identity: {
        "dropout": Example(nn.Dropout),
        "clone": function(lambda x: x.clone()),
        "adaptive, same size": Example(lambda: nn.AdaptiveAvgPool2d((7, 6))),
    },
    Convolution: {
        "plain": Example(lambda: nn.Conv2d(4, 5, 3)),
        "stride and padding": Example(lambda: nn.Conv2d(4, 3, (3, 2), (2, 3), (1, 0))),
        "dilation": Example(lambda: nn.Conv2d(4, 3, 2, dilation=3)),
        "groups": Example(lambda: nn.Conv2d(4, 6, 3, 1, 1, groups=2)),
        "depthwise": Example(lambda: nn.Conv2d(4, 4, 3, 2, 1, groups=4)),
        "padding in words": Example(lambda: nn.Conv2d(4, 3, 3, padding="same")),
        "1-D": Example(lambda: nn.Conv1d(2, 3, 5, 2, 2), LINE),
        "3-D": Example(lambda: nn.Conv3d(2, 3, (1, 2, 3), (1, 2, 1), (0, 1, 1)), VOLUME),
    },
    Linear: {
        "of a vector": Example(lambda: nn.Sequential(nn.Flatten(), nn.Linear(168, 4))),
        "of channels in the last place": Example(lambda: nn.Linear(6, 3)),
        "square, in the last place": Example(lambda: nn.Linear(6, 6)),
    },
    BatchNorm: {
        "2-D": Example(lambda: nn.BatchNorm2d(4)),
        "without weight": Example(lambda: nn.BatchNorm2d(4, affine=False)),
        "1-D": Example(lambda: nn.BatchNorm1d(2), LINE),
        "3-D": Example(lambda: nn.BatchNorm3d(2), VOLUME),
    },
    LocalResponseNorm: {
        "module": Example(lambda: nn.LocalResponseNorm(3, alpha=2.0, beta=0.6, k=1.5)),
        "wider than the channels": Example(lambda: nn.LocalResponseNorm(7, alpha=0.5)),
        "written out": function(lambda x: F.local_response_norm(x, 2, 1.0, 0.75, 2.0)),
        "3-D": Example(lambda: nn.LocalResponseNorm(2, alpha=0.5), VOLUME),
    },
    MaxPool: {
        "overlapping": Example(lambda: nn.MaxPool2d(3, 2)),
        "padding and ceil_mode": Example(lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
        "dilation": Example(lambda: nn.MaxPool2d(2, 1, 0, 2)),
        "adaptive": Example(lambda: nn.AdaptiveMaxPool2d((7, 3))),
        "1-D": Example(lambda: nn.MaxPool1d(3, 2, 1), LINE),
        "3-D": Example(lambda: nn.MaxPool3d(2), VOLUME),
    },
    AveragePool: {
        "padding": Example(lambda: nn.AvgPool2d(3, 2, 1)),
        "divisor": Example(lambda: nn.AvgPool2d((2, 3), divisor_override=5)),
        "adaptive": Example(lambda: nn.AdaptiveAvgPool2d((7, 3))),
        "1-D": Example(lambda: nn.AvgPool1d(3, 2), LINE),
        "3-D": Example(lambda: nn.AvgPool3d((1, 2, 3)), VOLUME),
    },
    GlobalAverage: {
        "adaptive": Example(lambda: nn.AdaptiveAvgPool2d(1)),
        "mean": function(lambda x: x.mean((2, 3))),
        "3-D": function(lambda x: x.mean((2, 3, 4), keepdim=True), VOLUME),
    },
    Sum: {
        "scaled": function(lambda x: 3 - 2 * x / 0.5),
        "of two": function(lambda x: x + 2 * x),
        "difference": function(lambda x: torch.rsub(x, 3 * x, alpha=2)),
        "broadcast": function(lambda x: x + x[:, :1]),
        "with a constant": function(lambda x: x + torch.ones(7, 6, dtype=x.dtype)),
        "1-D": function(lambda x: x + 0.5 * x, LINE),
    },
    Product: {
        "square": function(lambda x: x * x),
        "gate for each channel": function(lambda x: x * x.mean((2, 3), keepdim=True)),
        "gate for each position": function(lambda x: x[:, :1] * x),
        "3-D": function(lambda x: x * (2 * x), VOLUME),
    },
    Concatenation: {
        "twice": function(lambda x: torch.cat([x, 2 * x], 1)),
        "of pieces": function(lambda x: torch.cat([x[:, 2:], x], 1)),
        "1-D": function(lambda x: torch.cat([x, 2 * x, x], 1), LINE),
    },
    Slice: {
        "channels": function(lambda x: x[:, 1:3]),
        "positions": function(lambda x: x[:, :, 1:-1, 2:]),
        "steps": function(lambda x: x[:, ::2, :, 1::3]),
        "from the end": function(lambda x: x[:, -3:]),
        "chunk": function(lambda x: x.chunk(2, 1)[1]),
        "split along the map": function(lambda x: x.split([2, 5], 2)[1]),
    },
    Reshape: {
        "flatten": Example(nn.Flatten),
        "of channels": function(lambda x: x.view(x.shape[0], 2, 2, 7, 6)),
        "of rows": function(lambda x: x.view(x.shape[0], 2, 14, 6), exact=None),
        "squeeze": function(lambda x: x.unsqueeze(2)),
    },
    Permutation: {
        "channels last": function(lambda x: x.permute(0, 2, 3, 1)),
        "transpose": function(lambda x: x.transpose(2, 3)),
    },
    ChannelShuffle: {"module": Example(lambda: nn.ChannelShuffle(2))},
    Other: {
        "leaky": Example(lambda: nn.LeakyReLU(0.1)),
        "sigmoid": Example(nn.Sigmoid),
        "padding not counted": Example(lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        "average, ceil_mode": Example(lambda: nn.AvgPool2d(2, 2, ceil_mode=True)),
        "adaptive averages, unequal": Example(lambda: nn.AdaptiveAvgPool2d((4, 4))),
        "adaptive maxima, unequal": Example(lambda: nn.AdaptiveMaxPool2d((5, 4))),
        "group norm": Example(lambda: nn.GroupNorm(2, 4)),
        "statistics of the batch": function(lambda x: F.batch_norm(x, None, None, training=True)),
        "running sum": function(lambda x: x.cumsum(2), exact=False),
        "transposed convolution": Example(lambda: nn.ConvTranspose2d(4, 3, 3, 2), exact=False),
        "upsampling": Example(lambda: nn.UpsamplingBilinear2d(scale_factor=2), exact=False),
        "flip": function(lambda x: x.flip(2), exact=False),
        "softmax": Example(lambda: nn.Softmax(1), exact=False),
        "circular padding": Example(lambda: nn.Conv2d(4, 3, 3, padding=1, padding_mode="circular"), exact=False),
        "mean of a channel": function(lambda x: x.mean(1, keepdim=True), exact=False),
    },
}
ALL = [(kind, name) for kind, examples in EXAMPLES.items() for name in examples]
IDS = [f"{kind.__name__}, {name}" for kind, name in ALL]
BACKENDS = ["torch"] if can_run("conv_transpose") else ["native", "torch"]


@functools.cache
def built(kind: type[Layer], name: str) -> tuple[nn.Module, tuple[int, ...]]:
    example = EXAMPLES[kind][name]
    torch.manual_seed(0)
    return settle(Probe(example.make())), example.shape


def test_every_kind_has_examples() -> None:
    assert set(EXAMPLES) == set(registry.BUILT_IN)


def positions(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The corners of a map, its middle and one more place."""
    spatial = shape[1:]
    places = [
        tuple(at(size) for size in spatial) for at in (lambda n: 0, lambda n: n - 1, lambda n: n // 2, lambda n: n // 3)
    ]
    return list(dict.fromkeys(places))


@pytest.mark.parametrize(("kind", "name"), ALL, ids=IDS)
def test_the_reversal_is_the_adjoint(kind: type[Layer], name: str) -> None:
    model, shape = built(kind, name)
    x = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    recording = desali.record(model, x)
    assert any(type(node.operation) is kind for node in recording.network.nodes), recording.network.nodes
    with torch.no_grad():
        assert torch.equal(recording.output, model(x))
    leaf = x.clone().requires_grad_()
    value = model.kind(leaf)  # type: ignore[operator]
    size = tuple(value.shape[1:])
    signals = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    signals[:, 0] = 0
    at = positions(size)[-1]
    signals[(slice(None), 0, size[0] - 1, *at)] = 1
    expected = [torch.autograd.grad(value, leaf, signals[:, k], retain_graph=True)[0] for k in range(3)]
    seeds = [desali.Seed.neuron(size[0] - 1, *at), desali.Seed.tensor(signals[:, 1:])]
    for backend in BACKENDS:
        recording = desali.record(model, x, backend=backend if len(shape) == 3 else "auto")
        for crop in (True, False):
            maps = recording.reconstruct("kind", seeds, TRUE_ADJOINT, crop=crop)
            for k, gradient in enumerate(expected):
                assert difference(maps[:, k], gradient) < 1e-12, (backend, crop, k)


def touched(model: nn.Module, x: Tensor, at: tuple[int, ...]) -> Tensor:
    """Where a mixture of all channels at a position has a gradient, in any of the images."""
    leaf = x.clone().requires_grad_()
    value = model.kind(leaf)  # type: ignore[operator]
    weights = torch.rand(value.shape[:2], dtype=x.dtype, generator=torch.Generator().manual_seed(3)) + 0.5
    (gradient,) = torch.autograd.grad((value[(slice(None), slice(None), *at)] * weights).sum(), leaf)
    return gradient.ne(0).any(0).any(0) if x.dim() > 2 else gradient.ne(0).any(0)


@pytest.mark.parametrize(("kind", "name"), ALL, ids=IDS)
def test_the_reach_is_what_a_neuron_reads(kind: type[Layer], name: str) -> None:
    original, shape = built(kind, name)
    model = copy.deepcopy(original)
    generator = torch.Generator().manual_seed(1)
    signed = torch.randn(20, *shape, dtype=torch.float64, generator=generator)
    positive = torch.rand(200, *shape, dtype=torch.float64, generator=generator).add_(0.1)
    desali.record(original, signed)
    adopt(model, original)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_().add_(0.1)
    network = desali.record(model, signed).network
    node = network.find("kind")
    for at in positions(node.shape):
        start = (range(node.shape[0]), *((place,) for place in at))
        cells = image_cells(network, node, start, inside=True)
        assert cells is not None
        reached = [set(part) for part in (cells[1:] or cells)]
        for x in (signed, positive):
            seen = touched(model, x, at).nonzero()
            assert all(set(column.tolist()) <= part for column, part in zip(seen.T, reached, strict=True)), at
        if EXAMPLES[kind][name].exact:
            assert [set(column.tolist()) for column in seen.T] == reached, at
        elif EXAMPLES[kind][name].exact is False:
            assert reached == [set(range(size)) for size in shape[1:]], at
