"""Progress without a terminal: whole lines, few of them; a bar in front of a person."""

from __future__ import annotations

import sys

import pytest

from desali.output import progress
from desali.output.progress import bar, counted, duration


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_half_minute(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for item in counted(range(10), "figures", "image"):
        seen.append(item)
        clock[0] += 12
    assert seen == list(range(10))
    err = capsys.readouterr().err
    assert "\r" not in err
    assert err.splitlines() == [
        "figures: 3 of 10 images, about 1:24 left",
        "figures: 6 of 10 images, about 0:48 left",
        "figures: 9 of 10 images, about 0:12 left",
    ]


def test_quick_work_and_hidden_bars_write_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with bar(3, "images", "image", leave=False) as quick:
        quick.update(3)
    hidden = bar(300, "images", "image", shown=False)
    clock[0] += 1000
    hidden.update(200)
    hidden.close()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(counted([1, 2], "figures", "image")) == [1, 2]
    with bar(2, "images", "image") as shown:
        shown.update(2)
    err = capsys.readouterr().err
    assert "\r" in err
    assert "figures" in err


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7325, "2:02:05")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
