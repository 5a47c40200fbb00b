"""`desali grid --workers`: the whole job with one process and with one for each core."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks import on_disk
from benchmarks.context import Context, Result, Target
from benchmarks.measuring import Candidate, compare
from desali.errors import DesaliError

NETWORK = "caffenet-small"
SHARE = 0.9
"""How much of one more core's work is wanted of it."""


def workers(context: Context) -> list[Result]:
    """Four models side by side, five layers and the controls, every image one figure, by the command itself."""
    models, rois = context.pick((4, 128), (2, 8), (1, 2))
    count = min(4, os.cpu_count() or 1)
    names = {number: f"`desali grid --workers {number}`" for number in (1, max(2, count))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        line = [sys.executable, "-m", "desali.cli.main", "grid"]
        for path in on_disk.networks(NETWORK, folder, models):
            line += ["--models", str(path)]
        on_disk.images(NETWORK, folder / "rois", rois)
        line += ["--rois", str(folder / "rois"), "--output", str(folder / "out")]

        seen: set[int] = set()

        def made(number: int) -> Tensor:
            shutil.rmtree(folder / "out", ignore_errors=True)
            done = subprocess.run([*line, "--workers", str(number)], capture_output=True, text=True)
            if done.returncode:
                raise DesaliError(f"`desali grid` failed: {done.stderr.strip()[-500:]}")
            if number in seen:  # compared once, and not on the clock
                return torch.empty(0)
            seen.add(number)
            drawn = sorted((folder / "out").glob("roi*.png"))
            return torch.stack([torch.from_numpy(np.array(Image.open(one).convert("L"))) for one in drawn])

        candidates = [Candidate(said, lambda n=number: made(n), units=rois) for number, said in names.items()]  # type: ignore[misc]
        entries = compare("workers", candidates, context.effort("figure"))
    one, several = names.values()
    wanted = [Target((one,), SHARE * max(names), max(names))] if count > 1 else []
    job = f"figures by the command: {models} model(s), 5 layers, controls, {rois} images"
    facts = {"network": NETWORK, "models": models, "rois": rois, "workers": max(names)}
    return [Result("workers", "time", job, (several,), entries, wanted, facts)]
