"""The figure job: several models x five layers x the nine strongest neurons x a folder of regions of interest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

import desali
from benchmarks.baselines import Autograd, Captum, strongest
from benchmarks.compiled import if_installed
from benchmarks.context import Context, Result
from benchmarks.jobs import CAPTUM, FUNCTION, OURS, OURS_GRAPH, PLAIN, REFERENCE, graphs
from benchmarks.measuring import Candidate, compare
from benchmarks.models import Net, build
from benchmarks.plain import Plain

Maps = list[dict[str, torch.Tensor]]


def _cut(models: int, rois: int) -> Callable[[Maps], Maps]:
    """The maps of the first models and images."""
    return lambda maps: [{name: part[:rois] for name, part in found.items()} for found in maps[:models]]


def _one(context: Context, name: str, models: int, rois: int, k: int, share: tuple[int, int]) -> Result:
    """The job on one architecture; `share`: models and ROIs of the baselines that go map by map."""
    nets = [build(name, seed=seed, device=context.device) for seed in range(models)]
    layers = list(nets[0].convolutions)
    images = nets[0].images(rois, device=context.device)
    autograd = [Autograd(net, "function") for net in nets]
    plain = [Plain(net) for net in nets]
    few = images[: share[1]]
    captum = [Captum(net) for net in nets[: share[0]]]
    picks = [
        {layer: strongest(output, k) for layer, output in backend.forward(few, layers)[1].items()}
        for backend in autograd[: share[0]]
    ]

    def ours(net: Net, backend: str, graph: bool = False) -> dict[str, torch.Tensor]:
        recording = desali.record(net.module, images, "activations", backend=backend)
        return recording.reconstruct(layers, desali.Seed.top(k), backend=backend, cuda_graph=graph)

    def one_by_one(backend: Autograd) -> dict[str, torch.Tensor]:
        rows = [backend.top(image.unsqueeze(0), layers, k) for image in few]
        return {layer: torch.cat([row[layer] for row in rows]) for layer in layers}

    each = len(layers) * k
    total, part = models * rois * each, share[0] * share[1] * each
    smaller: dict[str, Any] = {"part": _cut(*share), "units": part}
    if part < total:
        smaller["note"] = f"on {share[0]} model(s) and {share[1]} ROIs, {part} maps: compare the times per map"
    reference = Candidate(
        f"{FUNCTION}, ROIs batched", lambda: [b.top(images, layers, k) for b in autograd], units=total
    )
    whole = Candidate(PLAIN, lambda: [b.top(images, layers, k) for b in plain], units=total, note="whole maps")
    own = Candidate(OURS_GRAPH, lambda: [ours(net, "auto", True) for net in nets], units=total)
    graphed, missing = graphs(context, f"figure, {name}", reference, [whole], own)
    loop, absent = if_installed(
        "captum",
        Candidate(CAPTUM, lambda: [b.top(few, layers, p) for b, p in zip(captum, picks, strict=True)], **smaller),
    )
    entries = compare(
        f"figure, {name}",
        [
            reference,
            Candidate(OURS, lambda: [ours(net, "auto") for net in nets], units=total),
            Candidate(REFERENCE, lambda: [ours(net, "torch") for net in nets], units=total),
            whole,
            *graphed,
            Candidate(f"{FUNCTION}, map by map", lambda: [one_by_one(b) for b in autograd[: share[0]]], **smaller),
            *loop,
        ],
        context.effort("figure"),
    )
    entries += missing + absent
    job = f"figure: {models} model(s) x {len(layers)} layers x top-{k} x {rois} ROIs, {total} maps, forward included"
    facts = {"network": name, "image": nets[0].size, "models": models, "rois": rois, "maps": total}
    return Result("figure", "time", f"{job} ({name}, {nets[0].size} px)", (OURS,), entries, facts=facts)


def figure(context: Context) -> list[Result]:
    """The whole job on CaffeNet's small sibling, a shorter one on AlexNet."""
    models, rois, k = context.pick((4, 32, 9), (1, 4, 9), (2, 2, 2))
    results = [_one(context, "caffenet-small", models, rois, k, context.pick((1, 8), (1, 2), (1, 1)))]
    if context.scale != "quick":
        models, rois, k = context.pick((1, 4, 9), None, (1, 2, 2))
        results.append(_one(context, context.alexnet, models, rois, k, context.pick((1, 2), None, (1, 1))))
    return results
