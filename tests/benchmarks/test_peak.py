from __future__ import annotations

import shutil

import pytest

from benchmarks import peak
from desali import ops
from desali.errors import DesaliError


def test_an_instruction_set_without_a_loop_is_named() -> None:
    with pytest.raises(DesaliError, match="the core chose 'portable'"):
        peak.multiply_rates("portable", 1)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak.shutil, "which", lambda _: None)
    with pytest.raises(DesaliError, match="no C\\+\\+ compiler"):
        peak.multiply_rates("avx2", 1)


def test_the_loop_runs() -> None:
    simd = ops.describe().get("simd")
    if simd not in peak._FLAGS or shutil.which("c++") is None:
        pytest.skip("needs a C++ compiler and a processor with AVX2")
    rates = peak.multiply_rates(simd, 1)
    assert len(rates) == 60
    assert min(rates) > 0
