"""CUDA kernels one by one: bandwidth of the element-wise ones, every way through a convolution against cuDNN, and the
density from which walking the signal's non-zeros pays.

`python -m benchmarks.gpu_kernels OUTPUT.json` on a machine with a GPU. From its numbers the rule in
`desali.ops.cuda_convolution.choose_way` and `WALK_NONZEROS` can be set.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from desali import ops
from desali.errors import DesaliError
from desali.ops import cuda_convolution, native
from desali.ops.device import resolve
from desali.output.files import write_json

# name: channels above, channels below, size above, kernel, stride, padding
LAYERS = {
    "alexnet conv1": (64, 3, 55, 11, 4, 2),
    "alexnet conv2": (192, 64, 27, 5, 1, 2),
    "alexnet conv3": (384, 192, 13, 3, 1, 1),
    "alexnet conv4": (256, 384, 13, 3, 1, 1),
    "alexnet conv5": (256, 256, 13, 3, 1, 1),
    "caffenet conv1": (96, 3, 55, 11, 4, 0),
    "vgg16 conv1_1": (64, 3, 224, 3, 1, 1),
    "vgg16 conv2_2": (128, 128, 112, 3, 1, 1),
    "vgg16 conv3_2": (256, 256, 56, 3, 1, 1),
    "vgg16 conv4_2": (512, 512, 28, 3, 1, 1),
    "vgg16 conv5_1": (512, 512, 14, 3, 1, 1),
}
SEEDS = 64
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
DENSITIES = (1.0, 0.5, 0.15, 0.04, 0.01)
REGION = 7  # rows and columns of the windows that are timed, at most
DEVICE = "cuda"


def milliseconds(run: Callable[[], object], repeats: int = 20) -> dict[str, float]:
    """Median and quartiles of the device time of one run."""
    for _ in range(3):
        run()
    times = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    low, median, high = torch.tensor(times).quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return {"median": median, "low": low, "high": high}


def convolution(name: str, dtype: torch.dtype) -> dict[str, Any]:
    """Every way through one layer, checked against float64 and timed; TF32 on both sides for float32."""
    o, i, size, kernel, stride, padding = LAYERS[name]
    map_size = (size - 1) * stride + kernel - 2 * padding
    signal = native.logical(torch.randn(1, SEEDS, size, size, o, device=DEVICE, dtype=dtype))
    weight = torch.randn(o, i, kernel, kernel, device=DEVICE, dtype=dtype)
    _, mask = ops.relu_with_mask(torch.randn(1, i, map_size, map_size, device=DEVICE))
    few = signal[:, :2]
    geometry = {"map_size": map_size, "stride": stride, "padding": padding, "relu": mask}
    wanted = ops.conv_transpose(few.double(), weight.double(), **geometry, backend="torch")
    result: dict[str, Any] = {"layer": name, "dtype": str(dtype).removeprefix("torch."), "ways": {}}
    chosen = cuda_convolution.choose_way
    try:
        for way in ("library", "tiles", "cells"):
            if way == "cells" and i * stride * stride > 256:
                continue
            cuda_convolution.choose_way = lambda *_, way=way: way
            got = ops.conv_transpose(few, weight, **geometry, backend="native").double()
            error = float((got - wanted).abs().max() / wanted.abs().max())
            times = milliseconds(lambda: ops.conv_transpose(signal, weight, **geometry, backend="native"))
            result["ways"][way] = {**times, "error": error}
    finally:
        cuda_convolution.choose_way = chosen
    return result


def crossover(name: str, region: bool) -> dict[str, Any]:
    """The kernel that walks the non-zeros against the dense ways, float32 with TF32, over densities of the signal.

    Args:
        region: every seed is a window at a place of its own, as single neurons are; else whole maps.

    Returns:
        Times by way; for "sparse" one for each density, zeros at random places; and the greatest density at which it
        was faster than the best dense way, or None.
    """
    o, i, size, kernel, stride, padding = LAYERS[name]
    map_size = (size - 1) * stride + kernel - 2 * padding
    extent = min(size, REGION) if region else size
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(1, SEEDS, extent, extent, o, generator=generator)
    chance = torch.rand(dense.shape, generator=generator)
    weight = torch.randn(o, i, kernel, kernel, generator=generator).to(DEVICE)
    _, mask = ops.relu_with_mask(torch.randn(1, i, map_size, map_size, generator=generator).to(DEVICE))
    geometry: dict[str, Any] = {"map_size": map_size, "stride": stride, "padding": padding, "relu": mask}
    if region:
        geometry["origin"] = torch.randint(0, size - extent + 1, (1, SEEDS, 2), generator=generator).to(DEVICE)
    few = {**geometry, "origin": geometry["origin"][:, :2]} if region else geometry
    chosen = cuda_convolution.choose_way
    times: dict[str, Any] = {}
    sparse = []
    try:
        for way in ("library", "tiles", "cells", "sparse"):
            if way == "cells" and i * stride * stride > 256:
                continue
            cuda_convolution.choose_way = lambda *_, way=way: way
            for density in DENSITIES if way == "sparse" else DENSITIES[:1]:
                signal = native.logical((dense * (chance < density)).to(DEVICE))
                wanted = ops.conv_transpose(signal[:, :2].double(), weight.double(), **few, backend="torch")
                got = ops.conv_transpose(signal[:, :2], weight, **few, backend="native").double()
                error = float((got - wanted).abs().max() / wanted.abs().max())
                found = milliseconds(lambda x=signal: ops.conv_transpose(x, weight, **geometry, backend="native"))
                if way == "sparse":
                    sparse.append({"density": density, **found, "error": error})
                else:
                    times[way] = {**found, "error": error}
    finally:
        cuda_convolution.choose_way = chosen
    best = min(times, key=lambda way: float(times[way]["median"]))
    faster = [part["density"] for part in sparse if part["median"] < times[best]["median"]]
    facts = {"layer": name, "region": extent if region else None, "ways": times, "sparse": sparse}
    return {**facts, "best dense way": best, "crossover": max(faster, default=None)}


def bandwidths() -> list[dict[str, Any]]:
    """Gigabytes that each element-wise kernel reads and writes in a second, next to a copy's."""
    n, c, h = 16, 256, 54
    x = torch.randn(n, c, h, h, device=DEVICE)
    last = x.to(memory_format=torch.channels_last)
    y, mask = ops.relu_with_mask(last)
    pooled, switches = ops.max_pool_with_switches(y, 3, 2, after_relu=True)
    signal = native.logical(torch.randn(n, 4, h, h, c, device=DEVICE))
    above = native.logical(torch.randn(n, 4, *pooled.shape[2:], c, device=DEVICE))
    target = torch.empty_like(x)
    way = {"map_size": (h, h), "kernel": 3, "stride": 2, "relu": "positive_bit"}

    def size(*tensors: Tensor) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    jobs: list[tuple[str, int, Callable[[], object]]] = [
        ("copy", 2 * size(x), lambda: target.copy_(x)),
        ("relu_with_mask, NCHW", size(x, x, mask), lambda: ops.relu_with_mask(x, backend="native")),
        ("relu_with_mask, channels-last", size(x, x, mask), lambda: ops.relu_with_mask(last, backend="native")),
        ("max_pool_with_switches, NCHW", size(x, pooled, switches), lambda: _pool(x)),
        ("max_pool_with_switches, channels-last", size(x, pooled, switches), lambda: _pool(last)),
        (
            "inverse_relu",
            size(signal, signal, mask),
            lambda: ops.inverse_relu(signal, mask, map_size=(h, h), backend="native"),
        ),
        (
            "max_unpool with inverse ReLU",
            size(above, switches, signal),
            lambda: ops.max_unpool(above, switches, **way, backend="native"),
        ),
    ]
    results = []
    for name, count, run in jobs:
        times = milliseconds(run)
        results.append({"kernel": name, "bytes": count, **times, "GB/s": count / times["median"] / 1e6})
    for result in results:
        result["share of copy"] = result["GB/s"] / results[0]["GB/s"]
    return results


def _pool(x: Tensor) -> object:
    return ops.max_pool_with_switches(x, 3, 2, after_relu=True, backend="native")


def measure() -> dict[str, Any]:
    """All measurements of this module.

    Raises:
        DesaliError: without a GPU or without the core's CUDA kernels.
    """
    resolve("cuda")
    reason = ops.can_run("conv_transpose", "cuda")
    if reason is not None:
        raise DesaliError(f"the compute core: {reason}; build it with nvcc (DESALI_CUDA=on)")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.conv.fp32_precision = "tf32"  # type: ignore[attr-defined]
    with torch.inference_mode():
        return {
            "device": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "seeds": SEEDS,
            "bandwidths": bandwidths(),
            "sparse": [crossover(name, region) for region in (False, True) for name in LAYERS],
            "convolutions": [convolution(name, dtype) for dtype in DTYPES for name in LAYERS],
        }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.gpu_kernels OUTPUT.json")
    try:
        write_json(sys.argv[1], measure())
    except DesaliError as error:
        sys.exit(f"error: {error}")
