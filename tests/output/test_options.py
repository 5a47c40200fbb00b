"""Options as data: what a field accepts, from a file, from text and from Python, and the words for what it does not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desali.errors import DesaliError, UnknownNameError
from desali.output.options import BELOW_1, FROM_1, SHARE, Range, check_fields, checked_table, option, options_of


@dataclass(frozen=True)
class Sample:
    count: int = option(1, "A count.", range=FROM_1)
    share: float = option(0.5, "A share.", range=SHARE)
    free: float | None = option(None, "Any number.")
    word: Literal["red", "green"] = option("red", "A colour.")
    text: str = option("t", "Text.")
    yes: bool = option(True, "Yes or no.", off="--never")
    pair: tuple[float, float] | None = option(None, "Two numbers.")
    many: tuple[int, ...] = option((1, 2), "Numbers.", range=FROM_1)
    plain: int = 3

    def __post_init__(self) -> None:
        check_fields(self)


OPTIONS = options_of(Sample)


def test_the_type_of_a_field_says_what_it_accepts() -> None:
    assert list(OPTIONS) == ["count", "share", "free", "word", "text", "yes", "pair", "many"]
    assert [one.kind for one in OPTIONS.values()] == [int, float, float, str, str, bool, float, int]
    assert [one.optional for one in OPTIONS.values()] == [False, False, True, False, False, False, True, False]
    assert [one.length for one in OPTIONS.values()] == [None] * 6 + [2, 0]
    assert OPTIONS["word"].choices == ("red", "green")
    assert (*OPTIONS["yes"].flags, OPTIONS["yes"].off) == ("--yes", "--never")
    assert [one.default_text for one in OPTIONS.values()] == ["1", "0.5", "", "red", "t", "yes", "", "1,2"]


@pytest.mark.parametrize(
    ("name", "text", "value", "kept"),
    [
        ("count", "7", 7, 7),
        ("share", "1", 1, 1.0),
        ("free", "-2.5", -2.5, -2.5),
        ("word", "green", "green", "green"),
        ("text", " x ", " x ", " x "),
        ("pair", "-600, 1500", [-600, 1500], (-600.0, 1500.0)),
        ("many", "8,16", [8, 16], (8, 16)),
    ],
)
def test_file_command_line_and_python_give_the_same_value(name: str, text: str, value: Any, kept: Any) -> None:
    found = [OPTIONS[name].parsed(text), checked_table(Sample, {name: value}, "key")[name]]
    found.append(getattr(Sample(**{name: value}), name))
    for one in found:
        assert (one, type(one)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("name", "text", "value", "words"),
    [
        ("count", "0", 0, "count must be at least 1, got 0"),
        ("count", "1.5", 1.5, "count must be a whole number, got "),
        ("share", "0", 0, "share must lie in (0, 1], got 0.0"),
        ("share", "nan", float("nan"), "share must lie in (0, 1], got nan"),
        ("share", "x", "x", "share must be a number, got 'x'"),
        ("free", "inf", float("inf"), "free must be a finite number, got inf"),
        ("word", "gren", "gren", "unknown word 'gren': did you mean 'green'? choose from red, green"),
        ("pair", "1", [1], "pair must be two numbers, got "),
        ("many", "1,x", [1, "x"], "many must be a list of whole numbers, got "),
        ("many", "3,0", [3, 0], "many must be at least 1, got 0"),
    ],
)
def test_file_command_line_and_python_refuse_with_the_same_words(name: str, text: str, value: Any, words: str) -> None:
    for refused in (
        lambda: OPTIONS[name].parsed(text),
        lambda: checked_table(Sample, {name: value}, "key"),
        lambda: Sample(**{name: value}),
    ):
        with pytest.raises(DesaliError) as error:
            refused()
        assert str(error.value).startswith(words)
    with pytest.raises(DesaliError, match=r"table\."):
        checked_table(Sample, {name: value}, "key", "table.")


def test_a_bool_is_no_number_and_a_number_no_bool() -> None:
    for name in ("count", "share"):
        with pytest.raises(DesaliError, match="number, got True"):
            Sample(**{name: True})
    with pytest.raises(DesaliError, match="yes must be true or false, got 1"):
        Sample(yes=1)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown key 'plain'"):
        checked_table(Sample, {"plain": 3}, "key")


@given(st.floats(-3, 3), st.booleans(), st.booleans(), st.floats(-3, 3), st.floats(-3, 3))
def test_a_range_holds_what_it_says(value: float, below: bool, above: bool, low: float, high: float) -> None:
    ends = Range(low, high, below, above)
    assert (value in ends) == ((value > low if below else value >= low) and (value < high if above else value <= high))
    assert str(ends)[3:4] == ("(" if below else "[")
    assert str(ends)[-1] == (")" if above else "]")


def test_ranges_in_words() -> None:
    assert [str(one) for one in (FROM_1, Range(0, open_low=True), BELOW_1)] == ["at least 1", "above 0", "in [0, 1)"]


def test_the_dataclasses_import_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, desali.training.config, desali.experiments.options\n"
        "print([name for name in ('torch', 'numpy', 'lightning', 'click') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
