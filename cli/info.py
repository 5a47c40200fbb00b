"""`desali info`: versions, what was built, what is used, and why not, if not."""

from __future__ import annotations

import json
from typing import Any

import click

from desali.cli.parameters import json_option

PACKAGES = ("torch", "numpy", "scipy", "matplotlib", "pydicom", "tifffile", "safetensors", "lightning", "scikit-learn")


def collect() -> dict[str, Any]:
    """Facts about this installation."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import torch

    from desali import __version__
    from desali.ops import describe
    from desali.ops.device import gpu_names

    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "desali": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "torch_threads": torch.get_num_threads(),
        "cuda_devices_seen_by_torch": gpu_names(),
        "core": describe(),
    }


def _lines(facts: dict[str, Any], indent: int = 0) -> list[str]:
    lines = []
    for key, value in facts.items():
        if key == "cuda_reason":  # stands in "cuda" too
            continue
        label = " " * indent + key.replace("_", " ").replace("cuda", "CUDA")
        if isinstance(value, dict):
            lines += [f"{label}:", *_lines(value, indent + 2)]
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            lines.append(f"{label}: {'none' if shown in ('', None) else shown}")
    return lines


@click.command()
@json_option
def info_command(as_json: bool) -> None:
    """Print versions, what was built, what is used, and why not, if not."""
    facts = collect()
    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(_lines(facts)))
