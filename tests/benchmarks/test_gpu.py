"""The scripts for a machine with a GPU, as far as they go without one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_graphs, gpu_session
from benchmarks.cases import CASES
from benchmarks.compiled import if_installed, if_they_run
from benchmarks.measuring import Candidate
from desali.errors import DesaliError
from desali.ops import checks
from desali.ops.device import gpu_visible
from desali.reversal import reconstruction, replay, signals
from desali.reversal.replay import Replays
from tests.tape import Tape


def _once(run: Callable[[], object]) -> dict[str, float]:
    run()
    return {"median": 1.0}


def test_graphs_are_compared_with_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_graphs, "DEVICE", "cpu")
    monkeypatch.setattr(gpu_graphs, "milliseconds", _once)
    monkeypatch.setattr(replay, "on_gpu", lambda device: True)
    monkeypatch.setattr(signals, "on_host", lambda device: False)
    monkeypatch.setattr(checks, "on_host", lambda device: False)
    monkeypatch.setattr(reconstruction, "REPLAYS", Replays(Tape, 1 << 40))
    monkeypatch.setenv("DESALI_BACKEND", "torch")
    found = gpu_graphs.case("caffenet-small", "1 neuron of the last convolution", "saliency")
    assert "reason" not in found, found["reason"]
    assert found["equal"]
    assert found["graphs"] == 1
    assert found["graph bytes"] > 0
    monkeypatch.setattr(replay, "on_gpu", lambda device: False)
    assert "images on a GPU" in gpu_graphs.case("caffenet-small", "whole pool5", "desalinet")["reason"]


@pytest.mark.skipif(gpu_visible(), reason="there is a GPU")
def test_without_a_gpu_the_session_says_so(tmp_path: Path) -> None:
    command = [sys.executable, gpu_session.__file__, str(tmp_path), "--steps", "needs,tests,kernels,graphs,bench"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    steps = {step["step"]: step for step in json.loads((tmp_path / "session.json").read_text())["steps"]}
    assert set(steps) == {"needs", "tests", "kernels", "graphs", "bench"}
    assert "a GPU that torch can use" in steps["needs"]["missing"]
    for name in ("tests", "kernels", "graphs", "bench"):
        assert "not run, torch can use no GPU" in steps[name]["status"]
    with pytest.raises(DesaliError, match="no CUDA device is visible"):
        gpu_graphs.measure()


def test_the_session_knows_every_case() -> None:
    assert set(CASES) - {"workers"} == set(gpu_session.CASES)
    assert set(gpu_session.STEPS) >= set(gpu_session.ON_A_GPU)


def test_what_does_not_run_becomes_an_entry_with_a_reason() -> None:
    def fails() -> torch.Tensor:
        raise RuntimeError("stream is capturing\nand more")

    reference = Candidate("reference", lambda: torch.ones(2))
    candidates = [Candidate("same", lambda: torch.ones(2)), Candidate("other", lambda: torch.zeros(2))]
    accepted, missing = if_they_run("case", reference, [*candidates, Candidate("fails", fails)])
    assert [candidate.name for candidate in accepted] == ["same"]
    assert [entry.name for entry in missing] == ["other", "fails"]
    assert "differs from reference" in missing[0].note
    assert missing[1].note == "does not run: RuntimeError: stream is capturing"
    assert if_installed("torch", reference) == ([reference], [])
    assert if_installed("no_such_package", reference)[1][0].note == "the package no_such_package is not installed"
