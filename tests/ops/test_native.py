"""The compute core against the reference, on every instruction set that runs here."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desali import ops
from desali.ops import convolution, core
from tests.ops.cases import (
    CHANNELS,
    DTYPES,
    LAYOUTS,
    SEEDS,
    SETTINGS,
    Window,
    assert_near,
    assert_same,
    awkward,
    convolutions,
    in_layout,
    normal,
    poolings,
    random_mask,
    random_origins,
    sizes,
)

EACH_LEVEL = settings(SETTINGS, suppress_health_check=[HealthCheck.function_scoped_fixture])
COUNTS = st.tuples(st.integers(1, 2), st.integers(1, 3), st.sampled_from(CHANNELS))
BITS = st.tuples(st.booleans(), st.booleans())


@EACH_LEVEL
@given(st.integers(0, 3), COUNTS, DTYPES, SEEDS, LAYOUTS, st.sampled_from((None, 0.7)))
def test_relu_with_mask(
    level: str, dims: int, counts: tuple[int, int, int], dtype: torch.dtype, seed: int, layout: str, upper: float | None
) -> None:
    x = in_layout(awkward(seed, counts[0], counts[2], *(11, 5, 3)[:dims], dtype=dtype), layout, 1)
    before = x.clone()
    got = ops.relu_with_mask(x, upper=upper, backend="native")
    wanted = ops.relu_with_mask(x, upper=upper, backend="torch")
    assert_same(got[0], wanted[0])
    assert torch.equal(got[1], wanted[1])
    assert_same(x, before)
    if layout != "sliced":
        assert got[0].stride() == x.stride() or 1 in x.shape


@EACH_LEVEL
@given(st.integers(0, 3), COUNTS, DTYPES, SEEDS, LAYOUTS, BITS, st.booleans(), st.data())
def test_inverse_relu(
    level: str,
    dims: int,
    counts: tuple[int, int, int],
    dtype: torch.dtype,
    seed: int,
    layout: str,
    bits: tuple[bool, bool],
    region: bool,
    data: st.DataObject,
) -> None:
    n, k, channels = counts
    region = region and 1 <= dims <= 2
    map_size = data.draw(sizes(dims, 1, 9))
    size = data.draw(sizes(dims, 1, 9)) if region else map_size
    signal = in_layout(awkward(seed, n, k, channels, *size, 1, dtype=dtype)[..., 0], layout, 2)
    mask = random_mask(seed, n, map_size, channels)
    arguments = {
        "map_size": map_size,
        "relu_mask": bits[0],
        "relu_backward": bits[1],
        "origin": random_origins(seed, n, k, dims) if region else None,
    }
    wanted = ops.inverse_relu(signal, mask, **arguments, backend="torch")
    got = ops.inverse_relu(signal, mask, **arguments, backend="native")
    assert_same(got, wanted)
    assert got.movedim(2, -1).is_contiguous()
    assert got.data_ptr() != signal.data_ptr()
    assert_same(ops.inverse_relu(signal, mask, **arguments, out=torch.empty_like(signal), backend="native"), wanted)
    written = ops.inverse_relu(signal, mask, **arguments, out=signal, backend="native")
    assert written is signal
    assert_same(signal, wanted)


@EACH_LEVEL
@given(st.integers(1, 2).flatmap(poolings), COUNTS, DTYPES, SEEDS, LAYOUTS, st.booleans(), st.booleans())
def test_max_pool_with_switches(
    level: str,
    window: Window,
    counts: tuple[int, int, int],
    dtype: torch.dtype,
    seed: int,
    layout: str,
    ceil_mode: bool,
    after_relu: bool,
) -> None:
    x = in_layout(awkward(seed, counts[0], counts[2], *window.map_size, dtype=dtype), layout, 1)
    arguments = {**window.arguments, "ceil_mode": ceil_mode, "after_relu": after_relu}
    got = ops.max_pool_with_switches(x, **arguments, backend="native")
    wanted = ops.max_pool_with_switches(x, **arguments, backend="torch")
    assert_same(got[0], wanted[0])
    assert got[1].dtype is wanted[1].dtype
    assert torch.equal(got[1], wanted[1])


@pytest.mark.parametrize("kernel", [(12, 11), (190, 180)])
def test_wide_switches(level: str, kernel: tuple[int, int]) -> None:
    x = torch.relu(normal(0, 1, 3, kernel[0] + 3, kernel[1] + 5))
    arguments = {"kernel": kernel, "stride": (2, 3)}
    y, switches = ops.max_pool_with_switches(x, **arguments, after_relu=True, backend="native")
    wanted = ops.max_pool_with_switches(x, **arguments, after_relu=True, backend="torch")
    assert_same(y, wanted[0])
    assert torch.equal(switches, wanted[1])
    signal = normal(1, 1, 2, *y.shape[1:])
    way = {"map_size": tuple(x.shape[2:]), **arguments, "relu": "positive_bit"}
    got = ops.max_unpool(signal, switches, **way, backend="native")
    assert_near(got, ops.max_unpool(signal, switches, **way, backend="torch"))
    assert got.count_nonzero() > 0


@EACH_LEVEL
@given(
    st.integers(1, 2).flatmap(poolings), COUNTS, DTYPES, SEEDS, LAYOUTS, BITS,
    st.sampled_from(("sum", "overwrite")), st.booleans(), st.sampled_from((None, "mask", "positive_bit")),
    st.booleans(), st.booleans(), st.data(),
)  # fmt: skip
def test_max_unpool(
    level: str,
    window: Window,
    counts: tuple[int, int, int],
    dtype: torch.dtype,
    seed: int,
    layout: str,
    bits: tuple[bool, bool],
    overlap: str,
    use_switches: bool,
    relu: str | None,
    region: bool,
    cut: bool,
    data: st.DataObject,
) -> None:
    n, k, channels = counts
    dims = len(window.kernel)
    x = torch.relu(normal(seed, n, channels, *window.map_size, dtype=dtype))
    y, switches = ops.max_pool_with_switches(x, **window.arguments, after_relu=True, backend="torch")
    size = data.draw(sizes(dims, 1, 6)) if region else tuple(y.shape[2:])
    signal = in_layout(normal(seed + 1, n, k, channels, *size, dtype=dtype, density=0.7), layout, 2)
    if relu == "positive_bit" and not use_switches:
        relu = "mask"
    arguments = {
        "map_size": window.map_size,
        **window.arguments,
        "use_switches": use_switches,
        "overlap": overlap,
        "origin": random_origins(seed, n, k, dims) if region else None,
        "relu": random_mask(seed, n, window.map_size, channels) if relu == "mask" else relu,
        "relu_mask": bits[0],
        "relu_backward": bits[1],
    }
    if cut:
        arguments |= {"out_origin": random_origins(seed + 2, n, k, dims), "out_size": data.draw(sizes(dims, 1, 9))}
    got = ops.max_unpool(signal, switches, **arguments, backend="native")
    assert_near(got, ops.max_unpool(signal, switches, **arguments, backend="torch"))
    assert got.movedim(2, -1).is_contiguous()


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("channels", [64, 130, 192])
@pytest.mark.parametrize("relu", [None, "mask", "positive_bit"])
def test_max_unpool_of_many_seeds_and_channels(level: str, kernel: int, channels: int, relu: str | None) -> None:
    """AlexNet's and VGG's windows; seeds that share a place, then two of them elsewhere; with and without streaming."""
    module, _ = core()
    assert module is not None
    cache = module.describe()["last_cache_bytes"]
    map_size = (13, 11)
    x = torch.relu(normal(0, 2, channels, *map_size))
    pooling = {"kernel": (kernel, kernel), "stride": (2, 2), "padding": (0, 0)}
    y, switches = ops.max_pool_with_switches(x, **pooling, ceil_mode=True, after_relu=True, backend="torch")
    mask = random_mask(1, 2, map_size, channels) if relu == "mask" else relu
    signal = in_layout(normal(2, 2, 5, *y.shape[1:]), "channels_last", 2)
    region = torch.zeros(2, 5, 2, dtype=torch.int64)
    region[1, 3:] = torch.tensor([2, -1])
    for where in (None, region):
        arguments = {"map_size": map_size, **pooling, "relu": mask, "origin": where}
        wanted = ops.max_unpool(signal, switches, **arguments, backend="torch")
        for bytes_of_cache in (0, 1 << 40):
            module.set_last_cache_bytes(bytes_of_cache)
            try:
                got = ops.max_unpool(signal, switches, **arguments, backend="native")
            finally:
                module.set_last_cache_bytes(cache)
            assert_near(got, wanted)
            assert torch.equal(got == 0, wanted == 0)


@pytest.mark.parametrize("kernel", ["sparse", "dense", "torch"])
@EACH_LEVEL
@given(
    convolutions(), COUNTS, DTYPES, SEEDS, LAYOUTS, BITS, st.sampled_from((1, 1, 3)), st.sampled_from((2, 5, 24)),
    st.sampled_from((0.0, 0.1, 1.0)), st.booleans(), st.booleans(), st.booleans(), st.data(),
)  # fmt: skip
def test_conv_transpose(
    level: str,
    kernel: str,
    window: Window,
    counts: tuple[int, int, int],
    dtype: torch.dtype,
    seed: int,
    layout: str,
    bits: tuple[bool, bool],
    groups: int,
    inputs: int,
    density: float,
    relu: bool,
    region: bool,
    cut: bool,
    data: st.DataObject,
) -> None:
    n, k, channels = counts
    dims = len(window.kernel)
    if kernel == "dense" and (groups > 1 or max(window.dilation) > 1):
        groups, window = 1, Window(window.map_size, window.kernel, window.stride, window.padding, (1,) * dims)
    size = data.draw(sizes(dims, 1, 6))
    signal = in_layout(normal(seed, n, k, inputs * groups, *size, dtype=dtype, density=density), layout, 2)
    weight = normal(seed + 1, inputs * groups, channels, *window.kernel, dtype=dtype)
    arguments = {
        "map_size": window.map_size,
        "stride": window.stride,
        "padding": window.padding,
        "dilation": window.dilation,
        "groups": groups,
        "origin": random_origins(seed, n, k, dims) if region else None,
        "relu": random_mask(seed, n, window.map_size, channels * groups) if relu else None,
        "relu_mask": bits[0],
        "relu_backward": bits[1],
    }
    if cut:
        arguments |= {"out_origin": random_origins(seed + 2, n, k, dims), "out_size": data.draw(sizes(dims, 1, 9))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "choose_kernel", lambda *_: kernel)
        got = ops.conv_transpose(signal, weight, **arguments, backend="native")
    assert_near(got, ops.conv_transpose(signal, weight, **arguments, backend="torch"))
    assert got.movedim(2, -1).is_contiguous()


@pytest.mark.parametrize("upper", [None, 0.5])
@pytest.mark.parametrize("shape", [(2, 70, 3, 5), (1, 9, 2, 2), (2, 64, 17, 19), (3, 5, 1, 1), (1, 72, 300), (2, 33)])
def test_rectifying_in_place(shape: tuple[int, ...], upper: float | None) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    x.view(-1)[3] = float("nan")
    forms = [x, x.double(), *([x.contiguous(memory_format=torch.channels_last)] if x.dim() == 4 else [])]
    for source in forms:
        expected, mask = ops.relu_with_mask(source, upper=upper, backend="torch")
        own = source.clone()
        y, bits = ops.relu_with_mask(own, upper=upper, out=own, backend="auto")
        assert y is own
        torch.testing.assert_close(own, expected, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(bits, mask)
    with pytest.raises(ValueError, match="out must be x itself"):
        ops.relu_with_mask(x, out=x.clone())


@pytest.mark.parametrize("way", ["sparse", "dense"])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(11, 4, 2), (7, 4, 0), (3, 4, 1), (7, 2, 3), (3, 1, 1)])
def test_the_step_to_an_image(
    level: str, way: str, kernel: int, stride: int, padding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First layers of AlexNet, ResNet and VGG, whole maps and cut ones; what no signal reaches is exactly zero."""
    monkeypatch.setattr(convolution, "choose_kernel", lambda *_: way)
    for dtype in (torch.float32, torch.float64):
        signal = in_layout(normal(0, 1, 2, 20, 13, 17, dtype=dtype), "channels_last", 2)
        signal[0, 1, :, :, 9:] = 0
        weight = normal(1, 20, 3, kernel, kernel, dtype=dtype)
        map_size = tuple((extent - 1) * stride + kernel - 2 * padding + 2 for extent in signal.shape[3:])
        for cut in ({}, {"out_origin": torch.tensor([[[-3, 5], [7, 2]]]), "out_size": (31, 47)}):
            arguments = {"map_size": map_size, "stride": stride, "padding": padding, **cut}
            got = ops.conv_transpose(signal, weight, **arguments, backend="native")
            wanted = ops.conv_transpose(signal, weight, **arguments, backend="torch")
            assert_near(got, wanted)
            assert (got[wanted == 0] == 0).all()
