"""Bad input: the right exception, with a message of one line, before any kernel starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from desali import ops
from desali.errors import UnknownNameError
from desali.ops.backend import BackendError

X = torch.zeros(1, 8, 6, 6)
SIGNAL = torch.zeros(1, 2, 8, 6, 6)
MASK = torch.zeros(1, 6, 6, 1, dtype=torch.uint8)
SWITCHES = torch.zeros(1, 6, 6, 8, dtype=torch.uint8)
ORIGIN = torch.zeros(1, 2, 2, dtype=torch.int64)


def unpool(**changes: object) -> torch.Tensor:
    return ops.max_unpool(**{"signal": SIGNAL, "switches": SWITCHES, "map_size": 12, "kernel": 2, **changes})


def convolve(**changes: object) -> torch.Tensor:
    return ops.conv_transpose(**{"signal": SIGNAL, "weight": torch.zeros(8, 4, 3, 3), "map_size": 8, **changes})


CASES: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: ops.relu_with_mask(X.int()), TypeError, "x must have dtype float16, bfloat16, float32 or float64, got"),
    (lambda: ops.relu_with_mask(None), TypeError, "x must be a torch.Tensor, got NoneType"),
    (lambda: ops.relu_with_mask(X[0, 0, 0]), ValueError, "x must have shape [N, C, *S], got [6]"),
    (lambda: ops.relu_with_mask(X.clone().requires_grad_()), ValueError, "x must not require grad"),
    (lambda: ops.inverse_relu(SIGNAL, None, map_size=(6, 6)), TypeError, "mask must be a torch.Tensor, got NoneType"),
    (lambda: ops.inverse_relu(SIGNAL, MASK[:, 1:], map_size=(6, 6)), ValueError,
     "mask must have shape [1, 6, 6, 1], got [1, 5, 6, 1]"),
    (lambda: ops.inverse_relu(SIGNAL, MASK.int(), map_size=(6, 6)), TypeError, "mask must have dtype torch.uint8"),
    (lambda: ops.inverse_relu(SIGNAL, MASK, map_size=(6,)), ValueError, "map_size must have 2 element(s)"),
    (lambda: ops.inverse_relu(SIGNAL[..., 1:], MASK, map_size=(6, 6)), ValueError,
     "signal must have shape [1, 2, 8, 6, 6], got [1, 2, 8, 6, 5]"),
    (lambda: ops.inverse_relu(SIGNAL, MASK, map_size=(6, 6), origin=ORIGIN[:, :1]), ValueError,
     "origin must have shape [1, 2, 2], got [1, 1, 2]"),
    (lambda: ops.inverse_relu(SIGNAL, MASK, map_size=(6, 6), origin=ORIGIN.float()), TypeError,
     "origin must have dtype torch.int64"),
    (lambda: ops.inverse_relu(SIGNAL, MASK, map_size=(6, 6), out=SIGNAL.double()), TypeError, "out must have dtype"),
    (lambda: ops.max_pool_with_switches(X, 3, 2, 2), ValueError, "padding must be at most half of the kernel"),
    (lambda: ops.max_pool_with_switches(X, 0), ValueError, "kernel must hold integers from 1"),
    (lambda: ops.max_pool_with_switches(X, 7), ValueError, "x must have a spatial size that holds a window of [7, 7]"),
    (lambda: ops.max_pool_with_switches(X[..., :1], (2, 2), 1, 1, 2), ValueError, "every window holds an element"),
    (lambda: ops.max_pool_with_switches(X, 2.0), TypeError, "kernel must"),
    (lambda: unpool(stride=True), TypeError, "stride must hold integers, got [True, True]"),
    (lambda: unpool(switches=SWITCHES.short()), TypeError, "switches must have dtype torch.uint8 for kernel [2, 2]"),
    (lambda: unpool(switches=SWITCHES[..., :7]), ValueError, "switches must have shape [1, *P, 8], got [1, 6, 6, 7]"),
    (lambda: unpool(signal=SIGNAL[..., :5]), ValueError, "signal must have shape [1, 2, 8, 6, 6], got"),
    (lambda: unpool(overlap="mean"), ValueError, "overlap must be 'sum' or 'overwrite', got 'mean'"),
    (lambda: unpool(relu="bit"), ValueError, "relu must be a mask, 'positive_bit' or None, got 'bit'"),
    (lambda: unpool(relu="positive_bit", use_switches=False), ValueError, "relu must be a mask when use_switches is"),
    (lambda: unpool(relu=MASK), ValueError, "relu must have shape [1, 12, 12, 1], got [1, 6, 6, 1]"),
    (lambda: ops.max_pool_with_switches(X, 2, stride=2**31), ValueError, "stride must hold integers from 1 to 2^31"),
    (lambda: ops.max_pool_with_switches(X[..., :0], 2, 1, 1), ValueError, "x must have a spatial size that holds"),
    (lambda: unpool(dilation=2**62), ValueError, "dilation must hold integers from 1 to 2^31 - 1, got"),
    (lambda: convolve(stride=2**30, origin=ORIGIN, out_origin=ORIGIN, out_size=2), ValueError,
     "a row of 4 channels has fewer than 2^31 elements"),
    (lambda: convolve(stride=2**62), ValueError, "stride must hold integers from 1 to 2^31 - 1, got"),
    (lambda: convolve(stride=2**4000), ValueError, "got [an integer of more than 128 bits, an integer of more than"),
    (lambda: convolve(map_size=2**62), ValueError, "map_size must hold integers from 0 to 2^62 - 1"),
    (lambda: convolve(origin=ORIGIN + 2**31), ValueError, "origin must lie between -2^31 and 2^31, got values from"),
    (lambda: convolve(origin=ORIGIN, out_origin=ORIGIN - 2**63, out_size=2), ValueError,
     "out_origin must lie between -2^61 and 2^61"),
    (lambda: convolve(origin=ORIGIN, out_origin=ORIGIN + 2**62, out_size=2, backend="torch"), ValueError,
     "out_origin must lie between -2^61 and 2^61"),
    (lambda: unpool(origin=ORIGIN - 2**63, out_origin=ORIGIN, out_size=2), ValueError,
     "origin must lie between -2^31 and 2^31"),
    (lambda: ops.inverse_relu(SIGNAL, MASK, map_size=(6, 6), origin=ORIGIN - 2**63), ValueError,
     "origin must lie between -2^61 and 2^61"),
    (lambda: convolve(stride=2**20, backend="torch"), ValueError, "the whole map must have fewer than 2^40 elements"),
    (lambda: unpool(out_origin=ORIGIN), ValueError, "out_size must be given together with out_origin"),
    (lambda: unpool(map_size=2**40), ValueError, "the result must have fewer than 2^63 bytes"),
    (lambda: convolve(weight=torch.zeros(7, 4, 3, 3)), ValueError, "weight must have shape [8, I / groups, *kernel]"),
    (lambda: convolve(weight=torch.zeros(8, 4, 3, 3).double()), TypeError, "weight must have dtype torch.float32"),
    (lambda: convolve(groups=3), ValueError, "groups must divide the 8 channels of signal, got 3"),
    (lambda: convolve(stride=0), ValueError, "stride must hold integers from 1"),
    (lambda: convolve(padding=-1), ValueError, "padding must hold integers from 0"),
    (lambda: convolve(map_size=2**40), ValueError, "the result must have fewer than 2^63 bytes"),
    (lambda: convolve(signal=SIGNAL[0]), ValueError, "weight must have shape"),
    (lambda: convolve(backend="cuda"), UnknownNameError, "unknown backend 'cuda'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), CASES, ids=[case[2][:40] for case in CASES])
@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_messages(
    call: Callable[[], object], kind: type[Exception], message: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESALI_BACKEND", backend)
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_auto_falls_back_only_through_the_predicate(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(1, 2, 4, 4, 4)
    assert ops.can_run("max_pool_with_switches", dims=3) is not None
    y, _ = ops.max_pool_with_switches(x, 2)
    assert y.shape == (1, 2, 2, 2, 2)
    with pytest.raises(BackendError, match=r"backend 'native' cannot run max_pool_with_switches: .*; use backend="):
        ops.max_pool_with_switches(x, 2, backend="native")
    monkeypatch.setenv("DESALI_BACKEND", "native")
    with pytest.raises(BackendError):
        ops.max_pool_with_switches(x, 2)
    y, _ = ops.max_pool_with_switches(x, 2, backend="torch")
    assert y.shape == (1, 2, 2, 2, 2)


@pytest.mark.skipif(ops.core()[0] is None, reason=str(ops.core()[1]))
def test_the_core_runs_what_it_says() -> None:
    for op in ("relu_with_mask", "inverse_relu", "max_pool_with_switches", "max_unpool", "conv_transpose"):
        assert ops.can_run(op) is None
        assert ops.can_run(op, dtype="float64") is None
        assert "bfloat16" in str(ops.can_run(op, dtype="bfloat16"))
    facts = ops.describe()
    assert facts["native"]
    assert facts["simd"] in ("portable", "avx2", "avx512")


def test_without_the_core_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.ops import backend

    monkeypatch.setattr(backend, "core", lambda: (None, "the compute core was not built"))
    backend._can_run.cache_clear()
    try:
        assert ops.can_run("conv_transpose") == "the compute core was not built"
        with pytest.raises(BackendError, match="the compute core was not built"):
            ops.relu_with_mask(X, backend="native")
        assert ops.relu_with_mask(X)[0].shape == X.shape
    finally:
        backend._can_run.cache_clear()


def test_a_missing_core_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.ops import backend

    monkeypatch.setitem(sys.modules, "desali._core", None)
    module, reason = backend.core.__wrapped__()
    assert module is None
    assert "was not built" in str(reason)


@pytest.mark.skipif(ops.core()[0] is None, reason=str(ops.core()[1]))
def test_an_instruction_set_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from desali.ops import backend

    for asked in ("sse9", "AVX2", "avx10"):
        monkeypatch.setenv("DESALI_SIMD", asked)
        with pytest.raises(UnknownNameError, match=rf"instruction set of this processor \(DESALI_SIMD\) '{asked}'"):
            backend.core.__wrapped__()
    for asked in ("", "portable"):
        monkeypatch.setenv("DESALI_SIMD", asked)
        assert backend.core.__wrapped__()[1] is None


def test_the_package_imports_without_torch() -> None:
    code = "import sys, desali.ops; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_stride_far_larger_than_the_window_costs_no_time() -> None:
    """2^31 rows between two elements of the signal: the window is cut, not walked to."""
    signal, weight = torch.ones(1, 1, 1, 3, 2), torch.ones(1, 1, 1, 1)
    origin = torch.zeros(1, 1, 2, dtype=torch.int64)
    window = torch.tensor([[[2**31 - 2, 0]]])
    found = ops.conv_transpose(
        signal, weight, map_size=(2**33, 2), stride=(2**31 - 1, 1), origin=origin, out_origin=window, out_size=(3, 2)
    )
    assert found[0, 0, 0].tolist() == [[0, 0], [1, 1], [0, 0]]
