"""The CUDA kernels on a GPU. Skipped, with the reason, where there is none: then nothing here has been checked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from desali import ops
from desali.errors import DesaliError
from desali.ops.device import gpu_visible
from tests.gpu.properties import PROPERTIES, assert_same, conv_transpose
from tests.ops.cases import SETTINGS, normal


def reason_against_a_gpu() -> str | None:
    if not gpu_visible():
        return "no CUDA device is visible to torch"
    return ops.can_run("conv_transpose", "cuda")


REASON = reason_against_a_gpu()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(REASON is not None, reason=f"NOT RUN ON A GPU: {REASON}. These tests have checked NOTHING."),
]


@pytest.mark.parametrize("check", PROPERTIES, ids=lambda check: check.__name__)
@settings(SETTINGS, max_examples=150)
@given(st.data())
def test_property(check: Callable[[st.DataObject, str], None], data: st.DataObject) -> None:
    check(data, "cuda")


@settings(SETTINGS, max_examples=400)
@given(st.data())
def test_more_convolutions(data: st.DataObject) -> None:
    conv_transpose(data, "cuda")


@pytest.mark.parametrize(
    ("o", "i", "size", "kernel", "stride", "padding"),
    [
        (64, 3, 55, 11, 4, 2),
        (96, 3, 55, 11, 4, 0),
        (192, 64, 27, 5, 1, 2),
        (256, 384, 13, 3, 1, 1),
        (64, 3, 224, 3, 1, 1),
    ],
    ids=["alexnet conv1", "caffenet conv1", "alexnet conv2", "alexnet conv4", "vgg conv1"],
)
@pytest.mark.parametrize("region", [False, True])
def test_layers_of_known_networks(
    o: int, i: int, size: int, kernel: int, stride: int, padding: int, region: bool
) -> None:
    map_size = (size - 1) * stride + kernel - 2 * padding
    signal = normal(0, 1, 2, o, size, size, density=0.3).cuda()
    weight = normal(1, o, i, kernel, kernel).cuda()
    way = {"map_size": map_size, "stride": stride, "padding": padding}
    origin = torch.zeros(1, 2, 2, dtype=torch.int64, device="cuda") if region else None
    corner = torch.zeros_like(origin) if origin is not None else None
    window = {"origin": origin, "out_origin": corner, "out_size": map_size} if region else {}
    got = ops.conv_transpose(signal, weight, **way, **window, backend="native").double()
    wanted = ops.conv_transpose(signal.double(), weight.double(), **way, backend="torch")
    assert (got - wanted).abs().max() <= 3e-3 * wanted.abs().max()


def test_an_op_runs_on_the_current_stream() -> None:
    stream = torch.cuda.Stream()
    x = normal(0, 8, 64, 112, 112).cuda()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        y, mask = ops.relu_with_mask(x * 2 - x, backend="native")
        signal = ops.inverse_relu(y.unsqueeze(1), mask, map_size=(112, 112), backend="native")
    stream.synchronize()
    assert_same(signal.squeeze(1), torch.relu(x))


def test_offsets_beyond_32_bits() -> None:
    free, _ = torch.cuda.mem_get_info()
    if free < 24 << 30:
        pytest.skip(f"needs 24 GiB of free device memory, {free >> 30} GiB are free")
    x = torch.full((5, 64, 2720, 2720), -1.0, dtype=torch.float16, device="cuda")  # 2.4e9 elements
    x[4, 63, 2719, 2717] = 1
    y, mask = ops.relu_with_mask(x, backend="native")
    del x
    assert mask.count_nonzero() == 1
    assert mask[4, 2719, 2717, 7] == 1 << 7
    up = ops.inverse_relu(y.unsqueeze(1), mask, map_size=(2720, 2720), backend="native")
    assert up.shape == (5, 1, 64, 2720, 2720)
    assert up[4, 0, 63, 2719, 2717] == 1
    assert up[4].count_nonzero() == 1


def test_tensors_on_different_devices_are_refused() -> None:
    signal = normal(0, 1, 1, 4, 3, 3).cuda()
    with pytest.raises((ValueError, DesaliError), match="device"):
        ops.conv_transpose(signal, normal(1, 4, 2, 3, 3), map_size=5)
