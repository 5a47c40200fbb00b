"""The reference against PyTorch's own operations and autograd."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from desali import ops
from desali.ops.packing import decode_switches, encode_switches, pack_mask, switch_dtype, unpack_mask
from tests.ops.cases import SEEDS, SETTINGS, Window, assert_near, assert_same, awkward, convolutions, normal, poolings

POOLS = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


def pool(x: torch.Tensor, window: Window, ceil_mode: bool = False, indices: bool = False) -> torch.Tensor:
    arguments = (window.kernel, window.stride, window.padding, window.dilation)
    return POOLS[len(window.kernel) - 1](x, *arguments, ceil_mode=ceil_mode, return_indices=indices)


@SETTINGS
@given(SEEDS, st.integers(1, 19))
def test_masks_survive_packing(seed: int, channels: int) -> None:
    positive = normal(seed, 2, channels, 3, 2) > 0
    packed = pack_mask(positive)
    assert packed.shape == (2, 3, 2, math.ceil(channels / 8))
    assert packed.dtype is torch.uint8
    assert torch.equal(unpack_mask(packed, channels), positive)
    flat = packed.reshape(-1, packed.shape[-1])
    if channels % 8:
        assert not (flat[:, -1] >> (channels % 8)).any()
    assert bool(flat[0, 0] & 1) == bool(positive[0, 0, 0, 0])


@pytest.mark.parametrize(
    ("offsets", "dtype"), [(128, torch.uint8), (129, torch.int16), (32768, torch.int16), (32769, torch.int32)]
)
def test_switches_survive_packing(offsets: int, dtype: torch.dtype) -> None:
    offset = torch.tensor([0, 1, offsets // 2, offsets - 1]).view(1, 4, 1)
    positive = torch.tensor([True, False, True, True]).view(1, 4, 1)
    switches = encode_switches(offset, positive, offsets)
    assert switches.dtype is switch_dtype(offsets) is dtype
    back, bits = decode_switches(switches)
    assert torch.equal(back, offset)
    assert torch.equal(bits, positive)


@SETTINGS
@given(poolings(), SEEDS, st.booleans())
def test_pooling_finds_the_maximum_that_pytorch_finds(window: Window, seed: int, ceil_mode: bool) -> None:
    x = awkward(seed, 2, 3, *window.map_size)
    y, switches = ops.max_pool_with_switches(x, **window.arguments, ceil_mode=ceil_mode, backend="torch")
    wanted, index = pool(x, window, ceil_mode, indices=True)
    assert_same(y, wanted)
    offset, positive = decode_switches(switches)
    assert not positive.any()
    for place in itertools.product(*map(range, offset.shape)):
        rest, found = int(offset[place]), 0
        for d in range(len(window.kernel)):
            step = math.prod(window.kernel[d + 1 :])
            k, rest = divmod(rest, step)
            coordinate = place[2 + d] * window.stride[d] - window.padding[d] + k * window.dilation[d]
            found = found * window.map_size[d] + coordinate
        assert found == index[place]


@SETTINGS
@given(poolings(), SEEDS)
def test_unpooling_is_the_gradient_of_the_pooling(window: Window, seed: int) -> None:
    x = normal(seed, 2, 3, *window.map_size, dtype=torch.float64).requires_grad_()
    y = pool(x, window)
    signal = normal(seed + 1, 2, 2, *y.shape[1:], dtype=torch.float64)
    _, switches = ops.max_pool_with_switches(x.detach(), **window.arguments, backend="torch")
    got = ops.max_unpool(signal, switches, map_size=window.map_size, **window.arguments, backend="torch")
    for k in range(2):
        (wanted,) = torch.autograd.grad(y, x, signal[:, k], retain_graph=True)
        assert_near(got[:, k], wanted)


@SETTINGS
@given(poolings(2), SEEDS, st.sampled_from(("sum", "overwrite")), st.booleans())
def test_unpooling_follows_its_definition(window: Window, seed: int, overlap: str, use_switches: bool) -> None:
    x = torch.relu(normal(seed, 1, 2, *window.map_size))
    y, switches = ops.max_pool_with_switches(x, **window.arguments, after_relu=True, backend="torch")
    signal = normal(seed + 1, 1, 1, *y.shape[1:])
    got = ops.max_unpool(
        signal, switches, map_size=window.map_size, **window.arguments,
        use_switches=use_switches, overlap=overlap, backend="torch",
    )  # fmt: skip
    offset, positive = decode_switches(switches)
    assert torch.equal(positive, y > 0)
    wanted = torch.zeros_like(got)
    for c, p, q in itertools.product(*map(range, y.shape[1:])):
        k, m = divmod(int(offset[0, c, p, q]), window.kernel[1])
        if not use_switches:
            k, m = math.ceil(window.kernel[0] / 2) - 1, math.ceil(window.kernel[1] / 2) - 1
        row = p * window.stride[0] - window.padding[0] + k * window.dilation[0]
        column = q * window.stride[1] - window.padding[1] + m * window.dilation[1]
        if 0 <= row < window.map_size[0] and 0 <= column < window.map_size[1]:
            before = wanted[0, 0, c, row, column] if overlap == "sum" else 0
            wanted[0, 0, c, row, column] = before + signal[0, 0, c, p, q]
    assert_near(got, wanted)


@SETTINGS
@given(convolutions(), SEEDS, st.sampled_from((1, 2)))
def test_transposed_convolution_is_the_gradient_of_the_convolution(window: Window, seed: int, groups: int) -> None:
    dims = len(window.kernel)
    pairs = zip(window.kernel, window.dilation, window.padding, window.map_size, strict=True)
    map_size = tuple(max(m, (k - 1) * d + 1 - 2 * p) for k, d, p, m in pairs)
    x = torch.zeros(2, 2 * groups, *map_size, dtype=torch.float64, requires_grad=True)
    weight = normal(seed, 3 * groups, 2, *window.kernel, dtype=torch.float64)
    y = CONVOLUTIONS[dims - 1](x, weight, None, window.stride, window.padding, window.dilation, groups)
    signal = normal(seed + 1, 2, 2, *y.shape[1:], dtype=torch.float64)
    got = ops.conv_transpose(
        signal, weight, map_size=map_size, stride=window.stride, padding=window.padding, dilation=window.dilation,
        groups=groups, backend="torch",
    )  # fmt: skip
    for k in range(2):
        (wanted,) = torch.autograd.grad(y, x, signal[:, k], retain_graph=True)
        assert_near(got[:, k], wanted)


def test_both_bits_are_guided_backpropagation() -> None:
    x = normal(3, 2, 5, 4, 4, dtype=torch.float64).requires_grad_()
    signal = normal(4, 2, 3, 5, 4, 4, dtype=torch.float64)
    _, mask = ops.relu_with_mask(x.detach(), backend="torch")
    for relu_backward in (False, True):
        got = ops.inverse_relu(signal, mask, map_size=(4, 4), relu_backward=relu_backward, backend="torch")
        for k in range(3):
            (gradient,) = torch.autograd.grad(torch.relu(x), x, signal[:, k])
            assert_same(got[:, k], gradient.clamp_min(0) if relu_backward else gradient)


def test_overwrite_lets_a_zero_of_a_later_window_win() -> None:
    x = torch.tensor([0.0, 1.0, 0.0]).view(1, 1, 3)
    _, switches = ops.max_pool_with_switches(x, 2, 1, backend="torch")
    signal = torch.tensor([5.0, 0.0]).view(1, 1, 1, 2)
    arguments = {"map_size": 3, "kernel": 2, "stride": 1, "backend": "torch"}
    assert ops.max_unpool(signal, switches, overlap="overwrite", **arguments).flatten().tolist() == [0, 0, 0]
    assert ops.max_unpool(signal, switches, overlap="sum", **arguments).flatten().tolist() == [0, 5, 0]
    region = {"origin": torch.zeros(1, 1, 1, dtype=torch.int64), "out_origin": torch.zeros(1, 1, 1, dtype=torch.int64)}
    partial = ops.max_unpool(signal[..., :1], switches, overlap="overwrite", out_size=3, **region, **arguments)
    assert partial.flatten().tolist() == [0, 0, 0], "the window outside the region points here with a zero"
