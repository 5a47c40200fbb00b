"""Guided backpropagation and the gradient by TorchLens, which logs every operation of an eager forward pass.

Nothing of desali is used. TorchLens finds ReLUs by operation, so functional, in-place and reused ones are caught. It
wraps torch's functions for the rest of the process, so it runs in an interpreter of its own: `python -m` this module.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

Job = tuple[nn.Module, Tensor, str, bool]
Result = tuple[Tensor, Tensor]


def run(jobs: list[Job], folder: Path) -> list[Result]:
    """`project` for each job, elsewhere; the test is skipped, and says so, where TorchLens is absent."""
    if importlib.util.find_spec("torchlens") is None:
        pytest.skip("TORCHLENS ABSENT: pip install torchlens. This test has checked NOTHING.")
    given, found = folder / "jobs.pickle", folder / "results.pickle"
    given.write_bytes(pickle.dumps(jobs))
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-m", __name__, str(given), str(found)], check=True, timeout=120, cwd=root)
    results: list[Result] = pickle.loads(found.read_bytes())
    return results


def project(model: nn.Module, images: Tensor, operation: str, guided: bool) -> Result:
    """The layer's activations, sent back from the operation that TorchLens calls `operation`.

    Args:
        guided: clamp the gradient behind every ReLU at 0 (guided backpropagation), else leave it.

    Returns:
        activations of the operation; and their projection, of the shape of `images`.
    """
    lens = importlib.import_module("torchlens")
    x = images.detach().clone().requires_grad_(True)
    rule = lens.when(lens.func("relu"), lens.grad_clamp(min=0.0)) if guided else None
    output = lens.trace(model, x, intervene=rule)[operation].out
    (projected,) = torch.autograd.grad(output, x, output.detach())
    return output.detach(), projected


if __name__ == "__main__":
    _jobs: list[Job] = pickle.loads(Path(sys.argv[1]).read_bytes())
    _results = [project(*job) for job in _jobs]
    Path(sys.argv[2]).write_bytes(pickle.dumps(_results))
