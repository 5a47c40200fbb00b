"""Work in several processes: results in order, errors as they are, and nothing that waits for ever."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from desali.errors import DataError, DesaliError, ImageError, UnknownNameError
from desali.figures.workers import each


@dataclass(frozen=True)
class Square:
    """Squares a number, with a fault at one of them."""

    bad: int = -1
    fault: str = "image"

    def __call__(self, number: int) -> tuple[int, int]:
        if number == self.bad:
            if self.fault == "killed":
                os._exit(9)
            if self.fault == "name":
                raise UnknownNameError("layer", "relu9", ["relu1"])
            raise ImageError(f"image {number} cannot be read")
        return number * number, os.getpid()


def test_results_come_in_order_from_other_processes() -> None:
    found = list(each(Square(), range(12), 2))
    assert [value for value, _ in found] == [number * number for number in range(12)]
    assert found[0][1] == os.getpid()
    assert os.getpid() not in {process for _, process in found[1:]}


def test_one_worker_is_this_process() -> None:
    assert {process for _, process in each(Square(), range(4))} == {os.getpid()}


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [("image", ImageError, "image 5 cannot be read"), ("name", UnknownNameError, "unknown layer 'relu9'"),
     ("killed", DesaliError, "a worker process was killed")],
)  # fmt: skip
def test_errors_arrive(fault: str, kind: type[DesaliError], words: str) -> None:
    with pytest.raises(kind, match=words):
        list(each(Square(5, fault), range(8), 2))


def test_what_cannot_be_sent_is_said() -> None:
    with pytest.raises(DesaliError, match="cannot be sent to other processes"):
        list(each(lambda number: number, range(4), 2))


@pytest.mark.parametrize("workers", [0, -1, True, 1.5])
def test_a_wrong_number_is_refused(workers: object) -> None:
    with pytest.raises(DataError, match="workers must be a whole number"):
        list(each(Square(), range(4), workers))  # type: ignore[arg-type]
