"""Networks with random weights, and images of noise, as the files that a command is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CLASSES = 7


def networks(name: str, folder: Path, count: int) -> list[Path]:
    """Weights of `count` networks of one architecture: `folder`/m0, m1, ..."""
    import torch

    from desali.models import checkpoint
    from desali.models.registry import architecture

    entry = architecture(name)
    files = []
    for number in range(count):
        torch.manual_seed(number)
        files.append(folder / f"m{number}" / checkpoint.WEIGHTS_NAME)
        card = {"architecture": name, "classes": [str(k) for k in range(CLASSES)], "recipe": f"m{number}",
                "preprocessing": entry.preprocessing, "origin": "noise"}  # fmt: skip
        checkpoint.save(entry.build(CLASSES, entry.in_channels), files[-1], card)
    return files


def images(name: str, folder: Path, count: int) -> list[Path]:
    """`count` PNG of noise as large as the architecture takes: `folder`/roi000.png, ..."""
    from PIL import Image

    from desali.models.registry import architecture

    size = architecture(name).input_size
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(count):
        files.append(folder / f"roi{number:03}.png")
        Image.fromarray((rng.random((size, size)) * 255).astype(np.uint8)).save(files[-1])
    return files
