"""Fingerprints of tensors: the core against words in plain Python and in PyTorch, and what changes them."""

from __future__ import annotations

import itertools
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from desali.ops import contents
from tests.ops.cases import SEEDS, SETTINGS

EACH_LEVEL = settings(SETTINGS, suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = st.sampled_from(
    (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.cfloat)
)
BITS = 2**64 - 1


def plainly(data: bytes) -> int:
    """Word by word, as the formula in csrc/fingerprint.hpp reads."""
    total = len(data) * 0x9E3779B97F4A7C15
    for at in range(0, len(data), 8):
        (word,) = struct.unpack("<Q", data[at : at + 8].ljust(8, b"\0"))
        x = word ^ (at // 8 + 1) * 0x9E3779B97F4A7C15 & BITS
        x = (x ^ x >> 32) * 0x9E3779B1 & BITS
        x = (x ^ x >> 29) * 0x85EBCA77 & BITS
        total += x ^ x >> 32
    return total & BITS


def drawn(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) * 100).to(dtype)


@EACH_LEVEL
@given(st.lists(st.integers(0, 9), max_size=4), KINDS, SEEDS, st.integers(0, 3), st.integers(1, 3))
def test_the_core_the_reference_and_plain_python_agree(
    level: str, shape: list[int], dtype: torch.dtype, seed: int, skipped: int, step: int
) -> None:
    tensor = drawn((*shape, 40), dtype, seed)[..., skipped::step]
    size = contents.span(tensor)
    flat = tensor.as_strided((size // tensor.element_size(),), (1,)).contiguous()
    expected = plainly(bytes(flat.view(torch.uint8).tolist())) if size else 0
    assert contents.fingerprint(tensor) == contents._by_torch(tensor, size, contents.EVERYTHING) == expected


@EACH_LEVEL
@given(st.integers(8000, 70000), KINDS, SEEDS)
def test_the_core_and_the_reference_read_the_same_lines(level: str, count: int, dtype: torch.dtype, seed: int) -> None:
    tensor = drawn((count,), dtype, seed)
    size = contents.span(tensor)
    for whole in (0, contents.WHOLE, contents.EVERYTHING):
        assert contents.fingerprint(tensor, whole) == contents._by_torch(tensor, size, whole)


@given(SEEDS, st.integers(2, 40), st.sampled_from(([0.0, 1.0, -1.0], [1.0, -1.0], [0.0, 0.0, 0.0, 0.5, -0.5])))
def test_permutations_differ(seed: int, count: int, values: list[float]) -> None:
    generator = torch.Generator().manual_seed(seed)
    base = torch.tensor(values)[torch.randint(len(values), (count,), generator=generator)]
    found: dict[int, list[float]] = {}
    for _ in range(50):
        other = base[torch.randperm(count, generator=generator)]
        assert found.setdefault(contents.fingerprint(other), other.tolist()) == other.tolist()


def test_every_single_bit_counts() -> None:
    tensor = torch.zeros(67, dtype=torch.uint8)
    found = {contents.fingerprint(tensor)}
    for at, bit in itertools.product(range(67), range(8)):
        tensor[at] = 1 << bit
        found.add(contents.fingerprint(tensor))
        tensor[at] = 0
    assert len(found) == 1 + 67 * 8
    assert contents.fingerprint(torch.zeros(66, dtype=torch.uint8)) not in found


@pytest.mark.parametrize("kind", ["scaled", "mirrored", "rolled", "other"])
def test_what_changes_everywhere_shows_in_a_part(kind: str) -> None:
    tensor = drawn((512, 256, 3, 3), torch.float32, 0)
    changed = {
        "scaled": tensor * 1.001,
        "mirrored": tensor.flip(1),
        "rolled": tensor.roll(1, 0),
        "other": drawn((512, 256, 3, 3), torch.float32, 1),
    }[kind].contiguous()
    assert contents.fingerprint(tensor, contents.WHOLE) != contents.fingerprint(changed, contents.WHOLE)


def test_of_large_tensors_a_part_is_read() -> None:
    tensor = torch.zeros(1 << 20)
    before = contents.fingerprint(tensor, contents.WHOLE), contents.fingerprint(tensor)
    seen = 0
    for at in range(0, 1 << 20, 1 << 12):
        tensor[at] = 1
        seen += contents.fingerprint(tensor, contents.WHOLE) != before[0]
        assert contents.fingerprint(tensor) != before[1]
        tensor[at] = 0
    assert seen < 5  # 16 of 65536 lines


def test_what_cannot_be_read_from_here_has_no_span() -> None:
    assert contents.span(torch.zeros(3, device="meta")) == 0
    assert contents.span(torch.eye(3).to_sparse()) == 0
    assert contents.span(torch.zeros(0, 5)) == 0
    assert contents.span(torch.zeros(2, 3).expand(7, 2, 3)) == 24
    assert contents.span(torch.zeros(5, 6)[:, ::2]) == (4 * 6 + 2 * 2 + 1) * 4


def test_without_the_core_the_numbers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [drawn((count,), torch.float32, count) for count in (0, 1, 7, 20000, 40000)]
    expected = list(map(contents.fingerprint, tensors))
    monkeypatch.setattr(contents, "core", lambda: (None, "not built"))
    assert list(map(contents.fingerprint, tensors)) == expected
