"""What `desali.lineage` costs: time beside a plain forward pass, and memory against the number of images.

    python -m benchmarks.lineage squeezenet      # two networks at 64 px, 512 images
    python -m benchmarks.lineage resnet50        # two networks at 224 px, a share of 256 images; --images 256 for all
    python -m benchmarks.lineage memory          # peak resident memory with 1,000 and with 10,000 images

Times are of the process (both cores together) and of the clock. A pass is one forward pass of one network over the set.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import desali
from benchmarks.networks import resnet
from desali.comparison import following
from desali.models import architecture

CLASSES, PATIENTS = 7, 20
BATCH = 32


def trained(model: nn.Module, amount: float = 0.1) -> nn.Module:
    """A copy whose weights have moved."""
    found = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in found.parameters():
            if weight.numel() > 1:
                weight += amount * weight.std() * torch.randn(weight.shape, generator=generator)
    return found


def seconds(job: Callable[[], Any]) -> tuple[float, float]:
    """Of the process and of the clock."""
    start = time.process_time(), time.perf_counter()
    job()
    return time.process_time() - start[0], time.perf_counter() - start[1]


def measure(model: nn.Module, images: torch.Tensor, random_networks: int) -> dict[str, float]:
    """Times of one lineage with all numbers, after one that is thrown away."""
    model.eval()
    after = trained(model)
    n = len(images)
    patients, labels = [k % PATIENTS for k in range(n)], [k % CLASSES for k in range(n)]
    desali.lineage(model, after, images[:16], patients[:16], labels[:16], random_networks=1)
    with torch.inference_mode():
        model(images[:BATCH])
        plain = seconds(lambda: [model(part) for part in images.split(BATCH)])
    whole = seconds(lambda: desali.lineage(model, after, images, patients, labels, random_networks=random_networks))
    bare = seconds(lambda: desali.lineage(model, after, images, patients, (), random_networks=random_networks))
    return {
        "images": n,
        "random networks": random_networks,
        "pass, process s": plain[0],
        "lineage, process s": whole[0],
        "lineage without classes, process s": bare[0],
        "lineage, clock s": whole[1],
        "passes": whole[0] / plain[0],
    }


def squeezenet(images: int) -> list[dict[str, float]]:
    """Two networks at 64 pixels."""
    model = architecture("squeezenet1_0").build(1000, 3)
    return [measure(model, torch.randn(images, 3, 64, 64), random) for random in (0, 5)]


def resnet50(images: int) -> list[dict[str, float]]:
    """Two networks at 224 pixels; of fewer than 256 images half are the random networks' sample, as of 256."""
    following.LEAST_SAMPLE = min(following.LEAST_SAMPLE, images // 2)
    model = resnet((3, 4, 6, 3), 4)
    return [measure(model, torch.randn(images, 3, 224, 224), random) for random in (0, 5)]


def peak(images: int) -> float:
    """Peak resident mebibytes of this process with a lineage, the images themselves left out (Linux)."""
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 6 * 6, 10),
    ).eval()  # fmt: skip
    after, pixels = trained(model), torch.randn(images, 1, 16, 16)
    patients, labels = [k % PATIENTS for k in range(images)], [k % CLASSES for k in range(images)]
    desali.lineage(model, after, pixels, patients, labels)
    status = Path("/proc/self/status").read_text(encoding="utf-8")  # ru_maxrss would begin with the parent's
    kibibytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return kibibytes / 1024 - pixels.nbytes / 2**20


def memory() -> dict[str, float]:
    """Peaks of two processes."""
    code = "import sys; from benchmarks.lineage import peak; print(peak(int(sys.argv[1])))"
    found = [
        float(subprocess.run([sys.executable, "-c", code, str(n)], check=True, capture_output=True, text=True).stdout)
        for n in (1000, 10_000)
    ]
    return {"1,000 images, MiB": found[0], "10,000 images, MiB": found[1], "ratio": found[1] / found[0]}


def main() -> None:
    """Measure one job and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=("squeezenet", "resnet50", "memory"))
    parser.add_argument("--images", type=int)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    jobs: dict[str, Callable[[], Any]] = {
        "squeezenet": lambda: squeezenet(options.images or 512),
        "resnet50": lambda: resnet50(options.images or 24),
        "memory": memory,
    }
    print(json.dumps(jobs[options.job](), indent=2))


if __name__ == "__main__":
    main()
