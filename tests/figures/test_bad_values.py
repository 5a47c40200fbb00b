"""What is no path, title, name or image is said in one line of desali's, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import desali
from desali.errors import DataError, DesaliError, OutputError
from desali.figures.figure import Figure
from tests.figures.networks import picture, residual

IMAGE = picture(size=(64, 64))
MODELS = {"a": residual(), "b": residual(seed=7)}


@pytest.fixture(scope="module")
def figure() -> Figure:
    return desali.show(desali.record(MODELS["a"], IMAGE[None]), control=False)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (5, "saved to a path, such as 'figure.png', got 5"),
        (None, "got None"),
        (b"figure.png", "got b'figure.png'"),
        ("half\ud800.png", "holds characters that no file name can have"),
        ("nul\0.png", "holds a character that no file name can have"),
    ],
)
def test_a_path_that_is_none(
    figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError) as error:
        figure.save(path)
    assert words in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: desali.compare(MODELS, IMAGE, title=5), DataError, "title must be text, got 5"),  # type: ignore[arg-type]
        (lambda: desali.compare(MODELS, IMAGE, title="\ud800"), OutputError, r"'\ud800' holds half a character"),
        (
            lambda: desali.compare({"a\ud800": MODELS["a"], "b": MODELS["b"]}, IMAGE),
            OutputError,
            "holds half a character",
        ),
        (lambda: desali.compare(MODELS, IMAGE[None][:0]), DesaliError, "got a batch of none, [0, 3, 64, 64]"),
        (lambda: desali.record(MODELS["a"], IMAGE[None][:0]), DesaliError, "must hold at least one image"),
    ],
)
def test_a_title_name_or_batch_that_is_none(make: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as error:
        make()
    assert words in str(error.value)
    assert "\n" not in str(error.value)
