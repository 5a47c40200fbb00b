"""Time and memory against the number of seeds, of images, the size of the image and the depth of the layer."""

from __future__ import annotations

from typing import Any

import torch

import desali
from benchmarks.baselines import Autograd
from benchmarks.context import Context, Result
from benchmarks.jobs import FUNCTION, OURS, PLAIN
from benchmarks.measuring import Candidate, Entry, compare, peak_bytes
from benchmarks.models import Net, build
from benchmarks.plain import Plain


def _point(
    context: Context, net: Net, axis: str, x: int, k: int, n: int, size: int, loops: bool, depth: int = -1
) -> list[Entry]:
    """K central neurons of a convolution, N images: every candidate timed, and its memory measured once."""
    context.say(f"{axis} = {x}")
    images = net.images(n, size=size, device=context.device)
    layer = net.convolutions[depth]
    shape = desali.record(net.module, images).shape(layer)
    chosen = [(channel % shape[0], shape[1] // 2, shape[2] // 2) for channel in range(k)]
    seeds = [desali.Seed.neuron(*neuron) for neuron in chosen]
    autograd, plain = Autograd(net, "function"), Plain(net)
    candidates = [
        Candidate(PLAIN, lambda: plain.neurons(images, layer, chosen), units=n * k),
        Candidate(OURS, lambda: desali.record(net.module, images).reconstruct(layer, seeds), units=n * k),
    ]
    if loops:
        candidates.append(Candidate(FUNCTION, lambda: autograd.neurons(images, layer, chosen), units=n * k))
    entries = compare(f"scaling, {axis} = {x}", candidates, context.effort("curve"))
    for entry, candidate in zip(entries, candidates, strict=True):
        entry.facts = {"x": x, "peak_bytes": peak_bytes(candidate.run, context.device)}
    return entries


def scaling(context: Context) -> list[Result]:
    """Four curves on AlexNet; the autograd loop is left out where it would take long."""
    net = build(context.alexnet, device=context.device)
    base = net.size
    curves: dict[str, tuple[tuple[int, ...], Any]] = {
        "K": (context.pick((1, 4, 16, 64, 256), (1, 16), (1, 3)), lambda x: (x, 1, base, x <= 64)),
        "N": (context.pick((1, 2, 4, 8, 16, 32), (1, 4), (1, 2)), lambda x: (8, x, base, x <= 8)),
        "image size": (
            context.pick((96, 160, 224, 320, 448), (96, 224), (base, 111)),
            lambda x: (16, 1, x, x <= 320),
        ),
        "depth": (context.pick((1, 2, 3, 4, 5), (1, 5), (2,)), lambda x: (16, 1, base, True, x - 1)),
    }
    said = {
        "K": "number of seeds K, one image",
        "N": "number of images N, 8 seeds each",
        "depth": "number of the convolution that is projected, 16 seeds, one image",
        "image size": "height and width of the image in pixels, 16 seeds, one image",
    }
    results = []
    for axis, (values, settings) in curves.items():
        entries: list[Entry] = []
        for x in values:
            entries += _point(context, net, axis, x, *settings(x))
        facts = {"network": net.name, "axis": axis, "threads": torch.get_num_threads()}
        job = f"single neurons{'' if axis == 'depth' else ' of conv5'}, forward included, against the {said[axis]}"
        results.append(Result("scaling", "curve", job, (OURS,), entries, facts=facts))
    return results
