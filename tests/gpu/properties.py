"""What must hold for the CUDA kernels: every op against the reference in float64, on a device or on the emulation.

A property draws its arguments, runs the core on `device` and compares with PyTorch on the CPU.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from desali import ops
from desali.ops import cuda_convolution
from tests.ops.cases import (
    CHANNELS,
    LAYOUTS,
    SEEDS,
    awkward,
    convolutions,
    in_layout,
    normal,
    poolings,
    random_mask,
    random_origins,
    sizes,
)

COUNTS = st.tuples(st.integers(1, 2), st.integers(1, 3), st.sampled_from(CHANNELS))
ALL_DTYPES = st.sampled_from((torch.float32, torch.float64, torch.float16, torch.bfloat16))
UNIT = {torch.float32: 2e-5, torch.float64: 1e-12, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
TF32_UNIT = 2e-3


def assert_same(got: Tensor, wanted: Tensor) -> None:
    """Equal values, NaN equals NaN, wherever the tensors are."""
    torch.testing.assert_close(got.cpu(), wanted.cpu(), rtol=0, atol=0, equal_nan=True)


def assert_near(got: Tensor, wanted: Tensor, unit: float) -> None:
    """Equal up to rounding: `wanted` is float64, and `unit` is relative to its greatest value too."""
    limit = unit * max(1.0, wanted.abs().max().item() if wanted.numel() else 0.0)
    torch.testing.assert_close(got.cpu().double(), wanted, rtol=unit, atol=limit)


def on(device: str, arguments: dict[str, object]) -> dict[str, object]:
    """The same arguments with their tensors on the device."""
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in arguments.items()}


def relu_with_mask(data: st.DataObject, device: str) -> None:
    n, _, channels = data.draw(COUNTS)
    dims, dtype, seed, layout = data.draw(st.tuples(st.integers(0, 3), ALL_DTYPES, SEEDS, LAYOUTS))
    upper = data.draw(st.sampled_from((None, 0.5)))
    x = in_layout(awkward(seed, n, channels, *(11, 5, 3)[:dims], dtype=dtype), layout, 1).to(device)
    y, mask = ops.relu_with_mask(x, upper=upper, backend="native")
    wanted, wanted_mask = ops.relu_with_mask(x.cpu().double(), upper=upper, backend="torch")
    assert_same(y.double(), wanted)
    assert_same(mask, wanted_mask)


def inverse_relu(data: st.DataObject, device: str) -> None:
    n, k, channels = data.draw(COUNTS)
    dims, dtype, seed, layout = data.draw(st.tuples(st.integers(0, 3), ALL_DTYPES, SEEDS, LAYOUTS))
    region = data.draw(st.booleans()) and 1 <= dims <= 2
    map_size = data.draw(sizes(dims, 1, 9))
    size = data.draw(sizes(dims, 1, 9)) if region else map_size
    signal = in_layout(awkward(seed, n, k, channels, *size, 1, dtype=dtype)[..., 0], layout, 2).to(device)
    mask = random_mask(seed, n, map_size, channels)
    relu_mask, relu_backward = data.draw(st.tuples(st.booleans(), st.booleans()))
    arguments = {"map_size": map_size, "relu_mask": relu_mask, "relu_backward": relu_backward}
    arguments["origin"] = random_origins(seed, n, k, dims) if region else None
    wanted = ops.inverse_relu(signal.cpu().double(), mask, **arguments, backend="torch")
    got = ops.inverse_relu(signal, mask.to(device), **on(device, arguments), backend="native")
    assert_same(got.double(), wanted)
    assert got.data_ptr() != signal.data_ptr()
    written = ops.inverse_relu(signal, mask.to(device), **on(device, arguments), out=signal, backend="native")
    assert written is signal
    assert_same(signal.double(), wanted)


def max_pool_with_switches(data: st.DataObject, device: str) -> None:
    n, _, channels = data.draw(COUNTS)
    window = data.draw(st.integers(1, 2).flatmap(poolings))
    dtype, seed, layout = data.draw(st.tuples(ALL_DTYPES, SEEDS, LAYOUTS))
    ceil_mode, after_relu = data.draw(st.tuples(st.booleans(), st.booleans()))
    x = in_layout(awkward(seed, n, channels, *window.map_size, dtype=dtype), layout, 1).to(device)
    arguments = {**window.arguments, "ceil_mode": ceil_mode, "after_relu": after_relu}
    y, switches = ops.max_pool_with_switches(x, **arguments, backend="native")
    wanted, wanted_switches = ops.max_pool_with_switches(x.cpu().double(), **arguments, backend="torch")
    assert_same(y.double(), wanted)
    assert switches.dtype is wanted_switches.dtype
    assert_same(switches, wanted_switches)


def wide_switches(data: st.DataObject, device: str) -> None:
    kernel = data.draw(st.sampled_from(((12, 11), (190, 180))))
    x = torch.relu(normal(0, 1, 3, kernel[0] + 3, kernel[1] + 5))
    arguments = {"kernel": kernel, "stride": (2, 3)}
    y, switches = ops.max_pool_with_switches(x.to(device), **arguments, after_relu=True, backend="native")
    wanted, wanted_switches = ops.max_pool_with_switches(x, **arguments, after_relu=True, backend="torch")
    assert_same(y, wanted)
    assert_same(switches, wanted_switches)
    signal = normal(1, 1, 2, *y.shape[1:])
    way = {"map_size": tuple(x.shape[2:]), **arguments, "relu": "positive_bit"}
    got = ops.max_unpool(signal.to(device), switches, **way, backend="native")
    assert got.count_nonzero() > 0
    assert_near(got, ops.max_unpool(signal.double(), wanted_switches, **way, backend="torch"), UNIT[torch.float32])


def max_unpool(data: st.DataObject, device: str) -> None:
    n, k, channels = data.draw(COUNTS)
    window = data.draw(st.integers(1, 2).flatmap(poolings))
    dims = len(window.kernel)
    dtype, seed, layout = data.draw(st.tuples(ALL_DTYPES, SEEDS, LAYOUTS))
    x = torch.relu(normal(seed, n, channels, *window.map_size))
    y, switches = ops.max_pool_with_switches(x, **window.arguments, after_relu=True, backend="torch")
    region, cut, use_switches = data.draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    size = data.draw(sizes(dims, 1, 6)) if region else tuple(y.shape[2:])
    signal = in_layout(normal(seed + 1, n, k, channels, *size, dtype=dtype, density=0.7), layout, 2)
    relu = data.draw(st.sampled_from((None, "mask", "positive_bit") if use_switches else (None, "mask")))
    relu_mask, relu_backward = data.draw(st.tuples(st.booleans(), st.booleans()))
    arguments: dict[str, object] = {
        "map_size": window.map_size,
        **window.arguments,
        "use_switches": use_switches,
        "overlap": data.draw(st.sampled_from(("sum", "overwrite"))),
        "origin": random_origins(seed, n, k, dims) if region else None,
        "relu": random_mask(seed, n, window.map_size, channels) if relu == "mask" else relu,
        "relu_mask": relu_mask,
        "relu_backward": relu_backward,
    }
    if cut:
        arguments |= {"out_origin": random_origins(seed + 2, n, k, dims), "out_size": data.draw(sizes(dims, 1, 9))}
    wanted = ops.max_unpool(signal.double(), switches, **arguments, backend="torch")
    moved = signal.to(device), switches.to(device), on(device, arguments)
    got = ops.max_unpool(moved[0], moved[1], **moved[2], backend="native")
    assert_near(got, wanted, UNIT[dtype])
    assert got.movedim(2, -1).is_contiguous()
    again = ops.max_unpool(moved[0], moved[1], **moved[2], backend="native")
    assert torch.equal(got.cpu(), again.cpu()), "two runs must be bitwise equal"


def conv_transpose(data: st.DataObject, device: str) -> None:
    n, k, channels = data.draw(COUNTS)
    window = data.draw(convolutions())
    dims = len(window.kernel)
    dtype, seed, layout = data.draw(st.tuples(ALL_DTYPES, SEEDS, LAYOUTS))
    groups, inputs = data.draw(st.tuples(st.sampled_from((1, 1, 3)), st.sampled_from((2, 5, 8, 24, 40))))
    density = data.draw(st.sampled_from((0.0, 0.05, 0.7)))
    ways = ["library", "plain", "tiles", "sparse"] + (["cells"] if groups == 1 and max(window.dilation) == 1 else [])
    way, tf32 = data.draw(st.tuples(st.sampled_from(ways), st.booleans()))
    region, cut, relu = data.draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    size = data.draw(sizes(dims, 1, 6))
    signal = in_layout(normal(seed, n, k, inputs * groups, *size, dtype=dtype, density=density), layout, 2)
    weight = normal(seed + 1, inputs * groups, channels, *window.kernel, dtype=dtype)
    relu_mask, relu_backward = data.draw(st.tuples(st.booleans(), st.booleans()))
    arguments: dict[str, object] = {
        "map_size": window.map_size,
        "stride": window.stride,
        "padding": window.padding,
        "dilation": window.dilation,
        "groups": groups,
        "origin": random_origins(seed, n, k, dims) if region else None,
        "relu": random_mask(seed, n, window.map_size, channels * groups) if relu else None,
        "relu_mask": relu_mask,
        "relu_backward": relu_backward,
    }
    if cut:
        arguments |= {"out_origin": random_origins(seed + 2, n, k, dims), "out_size": data.draw(sizes(dims, 1, 9))}
    wanted = ops.conv_transpose(signal.double(), weight.double(), **arguments, backend="torch")
    before = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda_convolution, "choose_way", lambda *_: way)
        try:
            torch.backends.cudnn.conv.fp32_precision = "tf32" if tf32 else "ieee"  # type: ignore[attr-defined]
            moved = signal.to(device), weight.to(device), on(device, arguments)
            got = ops.conv_transpose(moved[0], moved[1], **moved[2], backend="native")
            again = ops.conv_transpose(moved[0], moved[1], **moved[2], backend="native")
        finally:
            torch.backends.cudnn.conv.fp32_precision = before  # type: ignore[attr-defined]
    assert_near(got, wanted, TF32_UNIT if tf32 and dtype is torch.float32 else UNIT[dtype])
    assert got.movedim(2, -1).is_contiguous()
    if way != "library":
        assert torch.equal(got.cpu(), again.cpu()), "two runs must be bitwise equal"


PROPERTIES = (
    relu_with_mask,
    inverse_relu,
    max_pool_with_switches,
    wide_switches,
    max_unpool,
    conv_transpose,
)
