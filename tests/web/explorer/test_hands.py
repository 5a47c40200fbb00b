"""Threads that answer a click together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from desali.web.explorer.answer import Refused
from desali.web.explorer.hands import Hands


@contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("threads", "models", "hands", "beneath"), [(1, 4, 1, 1), (2, 4, 2, 1), (8, 2, 2, 4), (6, 4, 4, 1)]
)
def test_together_they_use_what_torch_may(threads: int, models: int, hands: int, beneath: int) -> None:
    with threads_of_torch(threads):
        made = Hands(models)
        assert made.count == hands
        assert set(made.each(lambda _: torch.get_num_threads(), range(8))) == {beneath}
        assert torch.get_num_threads() == threads
        later: list[int] = []
        other = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        other.start()
        other.join()
        assert later == [threads], "a thread that comes later has torch's usual number"
        made.close()


def test_they_work_side_by_side_and_answer_in_order() -> None:
    with threads_of_torch(2):
        made = Hands(2)
        both = threading.Barrier(2, timeout=30)

        def work(number: int) -> int:
            both.wait()
            return 10 * number

        assert made.each(work, [3, 1]) == [30, 10]
        made.close()


def test_an_error_comes_when_all_have_ended() -> None:
    ended = []

    def work(number: int) -> None:
        if number == 0:
            raise ValueError("the first")
        ended.append(number)

    made = Hands(3)
    with pytest.raises(ValueError, match="the first"):
        made.each(work, range(3))
    assert sorted(ended) == [1, 2]
    made.close()


def test_a_thread_that_cannot_begin_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Hands) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(Hands, "begin", never)
    ends: list[BaseException] = []

    def start() -> None:
        try:
            Hands(2)
        except BaseException as error:
            ends.append(error)

    starting = threading.Thread(target=start, daemon=True)
    starting.start()
    starting.join(30)
    assert not starting.is_alive(), "waits for threads that never begin"
    assert [str(one) for one in ends] == ["a thread of the explorer cannot begin (MemoryError: no room)"]


def test_closing_ends_a_click_that_waits() -> None:
    with threads_of_torch(1):
        made = Hands(4)
    begun, go_on = threading.Event(), threading.Event()

    def work(number: int) -> None:
        begun.set()
        assert go_on.wait(30)

    ends: list[BaseException] = []

    def click() -> None:
        try:
            made.each(work, range(4))
        except BaseException as error:
            ends.append(error)

    clicking = threading.Thread(target=click, daemon=True)
    clicking.start()
    assert begun.wait(30)
    made.close()
    go_on.set()
    clicking.join(30)
    assert not clicking.is_alive(), "waits for work that was cancelled"
    assert [type(one) for one in ends] == [Refused]
    with pytest.raises(Refused, match="closed"):
        made.each(work, range(2))
