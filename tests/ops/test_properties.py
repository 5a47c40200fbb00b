"""What holds whatever the backend: adjoints, determinism, empty tensors, the weight cache."""

from __future__ import annotations

import gc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from desali import ops
from desali.ops import WeightCache, contents, convolution
from tests.ops.cases import SEEDS, SETTINGS, Window, assert_near, assert_same, convolutions, normal, poolings

BACKENDS = ["torch", pytest.param("native", marks=pytest.mark.skipif(ops.core()[0] is None, reason=str(ops.core()[1])))]


@pytest.mark.parametrize("backend", BACKENDS)
@SETTINGS
@given(st.integers(1, 2).flatmap(poolings), SEEDS)
def test_unpooling_is_the_adjoint_of_gathering_at_the_switches(backend: str, window: Window, seed: int) -> None:
    x = normal(seed, 1, 4, *window.map_size, dtype=torch.float64)
    y, switches = ops.max_pool_with_switches(x, **window.arguments, backend=backend)
    signal = normal(seed + 1, 1, 1, *y.shape[1:], dtype=torch.float64)
    back = ops.max_unpool(signal, switches, map_size=window.map_size, **window.arguments, backend=backend)
    assert_near((back[:, 0] * x).sum(), (signal[:, 0] * y).sum())


@pytest.mark.parametrize("backend", BACKENDS)
@SETTINGS
@given(convolutions(2), SEEDS)
def test_transposed_convolution_is_the_adjoint(backend: str, window: Window, seed: int) -> None:
    pairs = zip(window.kernel, window.dilation, window.padding, window.map_size, strict=True)
    map_size = tuple(max(m, (k - 1) * d + 1 - 2 * p) for k, d, p, m in pairs)
    x = normal(seed, 1, 5, *map_size, dtype=torch.float64)
    weight = normal(seed + 1, 6, 5, *window.kernel, dtype=torch.float64)
    y = torch.nn.functional.conv2d(x, weight, None, window.stride, window.padding, window.dilation)
    signal = normal(seed + 2, 1, 1, *y.shape[1:], dtype=torch.float64)
    geometry = {"stride": window.stride, "padding": window.padding, "dilation": window.dilation}
    back = ops.conv_transpose(signal, weight, map_size=map_size, **geometry, backend=backend)
    assert_near((back[:, 0] * x).sum(), (signal[:, 0] * y).sum())


@pytest.mark.parametrize("kernel", ["sparse", "dense"])
@pytest.mark.parametrize("seeds", [1, 7])
def test_two_runs_are_bitwise_equal_whatever_the_threads(
    level: str, kernel: str, seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "choose_kernel", lambda *_: kernel)
    signal = normal(0, 1, seeds, 48, 15, 15, density=0.3)
    weight = normal(1, 48, 32, 5, 5)
    pooled, switches = ops.max_pool_with_switches(normal(2, 1, 32, 40, 40), 3, 2, backend="native")
    results = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            unpooled = ops.max_unpool(
                normal(3, 1, seeds, *pooled.shape[1:]),
                switches,
                map_size=(40, 40),
                kernel=3,
                stride=2,
                backend="native",
            )
            below = ops.conv_transpose(signal, weight, map_size=(15, 15), padding=2, backend="native")
            results.append((unpooled, below))
    finally:
        torch.set_num_threads(threads)
    for unpooled, below in results[1:]:
        assert torch.equal(unpooled, results[0][0])
        assert torch.equal(below, results[0][1])


@pytest.mark.parametrize("shared", [True, False], ids=["alike", "different"])
@pytest.mark.parametrize(("inputs", "channels", "kernel", "stride"), [(48, 64, 5, 1), (30, 3, 11, 4), (40, 100, 3, 2)])
def test_a_seed_is_the_same_alone_and_among_others(
    level: str, shared: bool, inputs: int, channels: int, kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk takes seeds in groups, those that are non-zero at the same channels in larger ones."""
    monkeypatch.setattr(convolution, "choose_kernel", lambda *_: "sparse")
    for dtype in (torch.float32, torch.float64):
        signal = normal(0, 2, 11, inputs, 7, 9, dtype=dtype, density=0.8 if shared else 0.1)
        if shared:
            signal *= normal(3, 1, 1, inputs, 7, 9, dtype=dtype, density=0.2)
        weight = normal(1, inputs, channels, kernel, kernel, dtype=dtype)
        origin = torch.randint(-2, 9, (2, 11, 2), generator=torch.Generator().manual_seed(4))
        arguments = {"map_size": (31, 33), "stride": stride, "padding": 2}
        cut = {"out_origin": torch.arange(44).view(2, 11, 2) % 7 - 3, "out_size": (24, 29)}
        for more in ({}, cut):
            together = ops.conv_transpose(signal, weight, **arguments, origin=origin, **more, backend="native")
            for n in range(2):
                for k in range(11):
                    own = {name: v[n : n + 1, k : k + 1] if torch.is_tensor(v) else v for name, v in more.items()}
                    place = origin[n : n + 1, k : k + 1]
                    alone = ops.conv_transpose(
                        signal[n : n + 1, k : k + 1], weight, **arguments, origin=place, **own, backend="native"
                    )
                    assert torch.equal(together[n, k], alone[0, 0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n", "k", "channels"), [(0, 2, 3), (2, 0, 3), (1, 1, 0)])
def test_empty_tensors(backend: str, n: int, k: int, channels: int) -> None:
    x = torch.zeros(n, channels, 8, 8)
    y, mask = ops.relu_with_mask(x, backend=backend)
    assert y.shape == x.shape
    assert mask.shape == (n, 8, 8, (channels + 7) // 8)
    pooled, switches = ops.max_pool_with_switches(y, 3, 2, backend=backend)
    assert pooled.shape == (n, channels, 3, 3)
    assert switches.shape == (n, 3, 3, channels)
    up = ops.max_unpool(
        torch.zeros(n, k, channels, 3, 3), switches, map_size=8, kernel=3, stride=2, relu=mask, backend=backend
    )
    assert up.shape == (n, k, channels, 8, 8)
    assert ops.inverse_relu(up, mask, map_size=(8, 8), backend=backend).shape == up.shape
    below = ops.conv_transpose(up, torch.zeros(channels, 2, 3, 3), map_size=10, backend=backend)
    assert below.shape == (n, k, 2, 10, 10)
    assert not below.any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_seeds_share_one_mask_and_differ_by_origin(backend: str) -> None:
    x = normal(0, 1, 3, 9, 9)
    _, mask = ops.relu_with_mask(x, backend=backend)
    signal = normal(1, 1, 2, 3, 4, 4)
    origin = torch.tensor([[[0, 0], [7, -2]]])
    got = ops.inverse_relu(signal, mask, map_size=(9, 9), relu_backward=False, origin=origin, backend=backend)
    assert_same(got[0, 0], torch.where(x[0, :, :4, :4] > 0, signal[0, 0], 0))
    inside = torch.where(x[0, :, 7:9, 0:2] > 0, signal[0, 1, :, :2, 2:], 0)
    assert_same(got[0, 1, :, :2, 2:], inside)
    assert got[0, 1].count_nonzero() == inside.count_nonzero(), "what sticks out of the map is zero"


def test_weight_cache_follows_the_weight() -> None:
    cache = WeightCache()
    packings = []

    def get(weight: torch.Tensor, key: str) -> torch.Tensor:
        return cache.get(weight, key, lambda: packings.append(key) or weight.clone())

    weight = torch.ones(2, 2)
    assert get(weight, "a") is get(weight, "a")
    assert packings == ["a"]
    get(weight, "b")
    assert packings == ["a", "b"]
    weight.mul_(2)
    assert get(weight, "a")[0, 0] == 2
    weight.data = torch.full((2, 2), 7.0)
    assert get(weight, "a")[0, 0] == 7
    weight.data[0, 1] = 5.0  # a write that is not counted
    cache.keep(weight, contents.fingerprint(weight))
    assert get(weight, "a")[0, 1] == 5
    packed = len(packings)
    cache.keep(weight, contents.fingerprint(weight))
    assert get(weight, "a") is get(weight, "a")
    assert len(packings) == packed, "nothing changed"
    del weight
    gc.collect()
    assert not cache._entries
