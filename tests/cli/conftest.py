"""Four small untrained models on disk, and the command line run in process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

RECIPES = ("scratch", "texture", "natural", "two_stage")


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with four models of different random weights; nothing in these tests depends on training."""
    import torch

    from desali.models import checkpoint
    from desali.models.registry import ARCHITECTURES

    folder = tmp_path_factory.mktemp("runs")
    entry = ARCHITECTURES["caffenet-small"]
    for number, recipe in enumerate(RECIPES):
        torch.manual_seed(100 + number)
        card = {
            "architecture": entry.name,
            "classes": ["CON", "GGO", "RET", "HCM", "EMP", "NOD", "NOR"],
            "preprocessing": entry.preprocessing,
            "recipe": recipe,
            "origin": "synthetic",
        }
        checkpoint.save(entry.build(7, 3), folder / recipe / checkpoint.WEIGHTS_NAME, card)
    return folder


@pytest.fixture
def desali(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run `desali ARGS...` and return its exit code and output."""
    from desali.cli.main import main

    def run(*args: object) -> Result:
        with pytest.raises(SystemExit) as stop:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Result(int(stop.value.code or 0), captured.out, captured.err)

    return run
