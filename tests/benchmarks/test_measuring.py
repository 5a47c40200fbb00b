"""What must agree is checked before anything is timed."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from benchmarks.compiled import compile_within
from benchmarks.measuring import Candidate, Effort, EqualityError, clock, compare, difference, held, peak_bytes

EFFORT = Effort(0.001, 2)


def test_difference_is_relative_to_the_reference() -> None:
    expected = torch.tensor([4.0, -8.0])
    assert difference(torch.tensor([4.0, -6.0]), expected) == 0.25
    assert difference({"a": expected, "b": expected + 1}, {"a": expected, "b": expected}) == 0.125
    assert difference([expected, expected], (expected, expected)) == 0


@pytest.mark.parametrize(
    ("got", "expected", "message"),
    [
        (torch.ones(2), torch.ones(3), r"shape \[2\], expected \[3\]"),
        (torch.zeros(2), torch.zeros(2), "zero everywhere"),
        (torch.tensor([1.0, float("nan")]), torch.ones(2), "not finite"),
        ({"a": torch.ones(1)}, {"b": torch.ones(1)}, r"results for \['a'\]"),
        ([torch.ones(1)], (torch.ones(1), torch.ones(1)), "1 results, expected 2"),
    ],
)
def test_difference_refuses_what_cannot_be_compared(got: Any, expected: Any, message: str) -> None:
    with pytest.raises(EqualityError, match=message):
        difference(got, expected)


def test_a_wrong_candidate_fails_the_case_before_anything_is_timed() -> None:
    calls = {"right": 0, "wrong": 0}

    def right() -> torch.Tensor:
        calls["right"] += 1
        return torch.ones(5)

    def wrong() -> torch.Tensor:
        calls["wrong"] += 1
        return torch.ones(5) + 2e-5

    with pytest.raises(EqualityError, match=r"toy: wrong differs from right by 2\.0e-05"):
        compare("toy", [Candidate("right", right), Candidate("wrong", wrong)], EFFORT)
    assert calls == {"right": 1, "wrong": 1}


def test_a_part_of_the_job_is_compared_with_that_part() -> None:
    whole = torch.arange(1.0, 7.0)
    entries = compare(
        "toy",
        [
            Candidate("whole", lambda: whole.clone(), units=6),
            Candidate("part", lambda: whole[:2].clone(), part=lambda maps: maps[:2], units=2, note="smaller"),
        ],
        EFFORT,
    )
    assert [entry.units for entry in entries] == [6, 2]
    assert entries[0].difference is None
    assert entries[1].difference == 0
    assert entries[1].note == "smaller"


def test_quartiles_enclose_the_median() -> None:
    (entry,) = clock([Candidate("sum", lambda: torch.ones(100).sum())], EFFORT)
    quartiles = [value for value in (entry.q1, entry.median, entry.q3) if value is not None]
    assert len(quartiles) == 3
    assert quartiles == sorted(quartiles)
    assert quartiles[0] > 0
    assert entry.runs >= EFFORT.turns


def test_storages_are_counted_once() -> None:
    base = torch.zeros(100)
    assert held([base, base[10:], base.view(10, 10), torch.zeros(3)]) == 412


def test_peak_memory_sees_a_large_temporary() -> None:
    found = peak_bytes(lambda: torch.ones(8 << 20).max(), "cpu")
    if found is None:
        pytest.skip("this system does not tell a process's peak memory")
    assert 30 << 20 < found < 60 << 20


def test_what_does_not_compile_in_time_says_so() -> None:
    def slow(run: Any) -> Any:
        time.sleep(5)
        return run

    started = time.perf_counter()
    found, note = compile_within(lambda: 1, 0.05, slow)
    assert found is None
    assert note == "did not compile within 0 s"
    assert time.perf_counter() - started < 4


def test_a_compiler_that_fails_says_why() -> None:
    def broken(_run: Any) -> Any:
        raise RuntimeError("no such thing\nsecond line")

    assert compile_within(lambda: 1, 5, broken) == (None, "does not compile: RuntimeError: no such thing")


def test_what_compiles_is_returned() -> None:
    found, note = compile_within(lambda: 41, 5, lambda run: lambda: run() + 1)
    assert found is not None
    assert found() == 42
    assert note.startswith("compiled in")
