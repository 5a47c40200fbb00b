"""Facts about the machine and the software of a run."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from desali import __version__
from desali.ops import describe
from desali.ops.device import processor

ROOT = Path(__file__).resolve().parent.parent


def _commit() -> str:
    """The checkout's commit, marked where files of the package differ from it."""
    try:
        git = ["git", "-C", str(ROOT)]
        commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        paths = ["desali", "csrc", "benchmarks/*.py", "CMakeLists.txt"]
        changed = subprocess.run([*git, "status", "--porcelain", *paths], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


def facts(device: str) -> dict[str, Any]:
    """Device, processor, threads, vector instructions, versions, commit and date."""
    packages = {}
    for name in ("torch", "captum", "numpy"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    core = describe()
    found: dict[str, Any] = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "desali": __version__,
        "device": device,
        "cpu": processor() or "unknown",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "core": "native" if core["native"] else f"PyTorch only: {core['reason']}",
        "backend": core["backend"],
        "simd": core.get("simd"),
        "simd_best": core.get("simd_best"),
        "onednn": os.environ.get("ONEDNN_MAX_CPU_ISA", "its own choice"),
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": packages,
    }
    if device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
        found["allow_tf32"] = torch.backends.cudnn.allow_tf32
    return found
