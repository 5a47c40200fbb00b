"""Sweeps captured in CUDA graphs against the same sweeps launch by launch: equality first, then times and memory.

`python -m benchmarks.gpu_graphs OUTPUT.json` on a machine with a GPU. From its numbers
`desali.reversal.replay.DEFAULT` can be set: it may become "on" when every case is equal and none is slower.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

import desali
from benchmarks.gpu_kernels import milliseconds
from benchmarks.measuring import difference
from benchmarks.models import Net, build
from desali.errors import DesaliError
from desali.ops.device import resolve
from desali.output.files import write_json
from desali.reversal import reconstruction

NETWORKS = ("alexnet", "vgg16", "caffenet", "caffenet-small")
METHODS = ("desalinet", "deconvnet", "saliency")
LIMIT = 1e-5  # of the largest value; cuDNN's own kernels are not always equal bit by bit
DEVICE = "cuda"


def jobs(net: Net) -> dict[str, tuple[int, Any, list[list[desali.Seed]]]]:
    """By name: how many images, the layers, and two sets of seeds of one shape at different places."""
    top, first = net.convolutions[-1], net.convolutions[0]
    layers = list(net.convolutions)
    at = [[desali.Seed.neuron(channel, place, place) for channel in range(8)] for place in (1, 2)]
    return {
        "8 neurons of the last convolution": (1, top, at),
        "1 neuron of the last convolution": (1, top, [at[0][:1], at[1][:1]]),
        "top-9 of every convolution": (1, layers, [[desali.Seed.top(9)]] * 2),
        "top-9 of every convolution, 8 images": (8, layers, [[desali.Seed.top(9)]] * 2),
        "8 neurons of the first convolution": (1, first, at),
        "whole pool5": (4, net.pool5, [[desali.Seed.layer()]] * 2),
    }


def case(name: str, job: str, method: str) -> dict[str, Any]:
    """One job on one network: captured at the first images, checked on others at other places, timed.

    A capture that fails, or that gives other numbers, is a result too: "reason" says why.
    """
    net = build(name, device=DEVICE)
    n, layers, seeds = jobs(net)[job]
    result: dict[str, Any] = {"network": name, "job": job, "method": method}
    reconstruction.REPLAYS.clear()
    try:
        largest, exact = 0.0, True
        for turn, chosen in enumerate(seeds):
            recording = desali.record(net.module, net.images(n, seed=turn, device=DEVICE), "activations")
            wanted = recording.reconstruct(layers, chosen, method, cuda_graph=False)
            started = time.perf_counter()
            got = recording.reconstruct(layers, chosen, method, cuda_graph=True)
            result.setdefault("first call, seconds", time.perf_counter() - started)
            largest = max(largest, difference(got, wanted))
            pairs = [(got[key], wanted[key]) for key in wanted] if isinstance(wanted, dict) else [(got, wanted)]
            exact = exact and all(torch.equal(*pair) for pair in pairs)
        result |= {"difference": largest, "bit by bit": exact, "equal": largest < LIMIT}
        result |= {"graphs": len(reconstruction.REPLAYS), "graph bytes": reconstruction.REPLAYS.nbytes}
        for key, graph in (("launches", False), ("graph", True)):
            result[key] = milliseconds(
                lambda graph=graph: recording.reconstruct(layers, chosen, method, cuda_graph=graph)
            )
        result["gain"] = result["launches"]["median"] / max(result["graph"]["median"], 1e-9)
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no message"])[0]
        result["reason"] = f"{type(error).__name__}: {first[:300]}"
    return result


def measure() -> dict[str, Any]:
    """Every job on every network by every method.

    Raises:
        DesaliError: without a GPU.
    """
    resolve(DEVICE)
    settings = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    try:
        cases = [case(name, job, method) for name in NETWORKS for job in jobs(build(name)) for method in METHODS]
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = settings
    facts = {"torch": torch.__version__, "device": torch.cuda.get_device_name() if DEVICE == "cuda" else DEVICE}
    return {
        **facts,
        "cases": cases,
        "equal": sum(bool(found.get("equal")) for found in cases),
        "of": len(cases),
        "may become the default": all(found.get("equal") and found.get("gain", 0) >= 1 for found in cases),
    }


def main() -> int:
    """Write the measurements; 1 if a case failed or gave other numbers."""
    if len(sys.argv) != 2:
        print("usage: python -m benchmarks.gpu_graphs OUTPUT.json", file=sys.stderr)
        return 2
    try:
        found = measure()
    except DesaliError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    write_json(sys.argv[1], found)
    for part in found["cases"]:
        outcome = part.get("reason") or f"difference {part['difference']:.1e}, gain {part['gain']:.2f}"
        print(f"{part['network']}, {part['job']}, {part['method']}: {outcome}")
    print(f"{found['equal']} of {found['of']} cases equal; may become the default: {found['may become the default']}")
    return 0 if found["equal"] == found["of"] else 1


if __name__ == "__main__":
    sys.exit(main())
