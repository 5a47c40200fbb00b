"""Whole jobs on AlexNet, forward pass included: single neurons, the strongest of five layers, a whole layer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

import desali
from benchmarks.baselines import Autograd, Captum, strongest
from benchmarks.compiled import accept, compile_within, cuda_graph, if_installed, if_they_run
from benchmarks.context import Context, Result, Target
from benchmarks.measuring import Candidate, Entry, compare
from benchmarks.models import Net, build
from benchmarks.plain import Plain

HOOKS = "autograd, hooks"
FUNCTION = "autograd, custom Function"
CAPTUM = "Captum NeuronGuidedBackprop"
REFERENCE = "desali's PyTorch reference"
PLAIN = "plain PyTorch, batched"
PLAIN_LAST = "plain PyTorch, batched, channels-last"
FORWARD = "the module's own forward, inference mode"
OURS = "desali"
OURS_GRAPH = "desali, sweep in a CUDA graph"


def _capture_seconds(net: Net, images: torch.Tensor) -> float:
    """The first `record` of a network exports it; later ones find the exported form."""
    start = time.perf_counter()
    desali.record(net.module, images)
    return time.perf_counter() - start


def graphs(
    context: Context, case: str, reference: Candidate, batched: Sequence[Candidate], ours: Candidate
) -> tuple[list[Candidate], list[Entry]]:
    """On a GPU: the static baselines under a CUDA graph, forward pass included, and desali with its sweep in one."""
    if context.device != "cuda":
        return [], []
    return if_they_run(case, reference, [*(cuda_graph(candidate) for candidate in batched), ours])


def neurons(context: Context) -> list[Result]:
    """64 single neurons of conv5 at the centre, one image."""
    net = build(context.alexnet, device=context.device)
    images = net.images(1, device=context.device)
    layer, count = net.convolutions[-1], context.pick(64, 16, 3)
    capture = _capture_seconds(net, images)
    shape = desali.record(net.module, images).shape(layer)
    chosen = [(channel, shape[1] // 2, shape[2] // 2) for channel in range(count)]
    seeds = [desali.Seed.neuron(*neuron) for neuron in chosen]

    def ours(backend: str, graph: bool = False) -> torch.Tensor:
        recording = desali.record(net.module, images, backend=backend)
        return recording.reconstruct(layer, seeds, backend=backend, cuda_graph=graph)

    hooks, function, captum = Autograd(net, "hooks"), Autograd(net, "function"), Captum(net)
    plain, plain_last = Plain(net), Plain(net, channels_last=True)
    batched = [
        Candidate(PLAIN, lambda: plain.neurons(images, layer, chosen)),
        Candidate(PLAIN_LAST, lambda: plain_last.neurons(images, layer, chosen)),
    ]
    reference = Candidate(FUNCTION, lambda: function.neurons(images, layer, chosen))
    graphed, missing = graphs(context, "neurons", reference, batched, Candidate(OURS_GRAPH, lambda: ours("auto", True)))
    loop, absent = if_installed("captum", Candidate(CAPTUM, lambda: captum.neurons(images, layer, chosen)))
    missing += absent
    candidates = [
        reference,
        Candidate(OURS, lambda: ours("auto")),
        Candidate(REFERENCE, lambda: ours("torch")),
        Candidate(HOOKS, lambda: hooks.neurons(images, layer, chosen)),
        *loop,
        *batched,
        *graphed,
    ]
    if context.scale == "full":
        context.say("compiling the baselines")
        recorded = desali.record(net.module, images, backend="torch")
        sweep, sweep_note = compile_within(lambda: recorded.reconstruct(layer, seeds), 150)
        whole, whole_note = compile_within(lambda: plain.neurons(images, layer, chosen), 150)

        def compiled_reference() -> torch.Tensor:
            assert sweep is not None
            desali.record(net.module, images, backend="torch")
            result: torch.Tensor = sweep()
            return result

        for name, run, note in (
            ("torch.compile of the reference", sweep and compiled_reference, sweep_note),
            ("torch.compile of plain PyTorch", whole, whole_note),
        ):
            candidate, note = accept(name, run, note, candidates[0])
            if candidate is None:
                missing.append(Entry(name, note=note))
            else:
                candidates.append(candidate)
    entries = compare("neurons", candidates, context.effort("job")) + missing
    job = f"{count} single neurons of {layer} (conv5) at the centre, one image, forward included"
    targets = [Target((HOOKS, FUNCTION), 18, 28), Target((CAPTUM,), 13, 25)]
    facts = {"network": net.name, "image": net.size, "first_record_seconds": capture}

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            output: torch.Tensor = net.module(images)
        return output

    def both() -> torch.Tensor:
        recording = desali.record(net.module, images)
        recording.reconstruct(layer, seeds)
        return recording.output

    beside = compare("neurons beside", [Candidate(FORWARD, forward), Candidate(OURS, both)], context.effort("job"))
    return [
        Result("neurons", "time", job, (OURS,), entries, targets, facts),
        Result("neurons", "cost", job, (OURS,), beside, [Target((FORWARD,), 1 / 3, 1 / 2)], facts),
    ]


def top9(context: Context) -> list[Result]:
    """The nine strongest neurons of each of conv1 to conv5, at their own positions, one image."""
    net = build(context.alexnet, device=context.device)
    images = net.images(1, device=context.device)
    layers, k = list(net.convolutions), context.pick(9, 9, 2)

    def ours(backend: str, keep: Any, graph: bool = False) -> dict[str, torch.Tensor]:
        recording = desali.record(net.module, images, keep, backend=backend)
        return recording.reconstruct(layers, desali.Seed.top(k), backend=backend, cuda_graph=graph)

    hooks, function, captum = Autograd(net, "hooks"), Autograd(net, "function"), Captum(net)
    plain, plain_last = Plain(net), Plain(net, channels_last=True)
    picks = {name: strongest(output, k) for name, output in function.forward(images, layers)[1].items()}
    again = f"{OURS}, keep='reversal'"
    reference = Candidate(FUNCTION, lambda: function.top(images, layers, k))
    batched = [
        Candidate(PLAIN, lambda: plain.top(images, layers, k), note="whole maps, layers joined"),
        Candidate(PLAIN_LAST, lambda: plain_last.top(images, layers, k), note="whole maps, layers joined"),
    ]
    own = Candidate(OURS_GRAPH, lambda: ours("auto", "activations", True), note="keep='activations'")
    graphed, missing = graphs(context, "top9", reference, batched, own)
    known = Candidate(CAPTUM, lambda: captum.top(images, layers, picks), note="neurons known beforehand")
    loop, absent = if_installed("captum", known)
    entries = compare(
        "top9",
        [
            reference,
            Candidate(OURS, lambda: ours("auto", "activations"), note="keep='activations'"),
            Candidate(again, lambda: ours("auto", "reversal"), note="the activations that choose are computed again"),
            Candidate(REFERENCE, lambda: ours("torch", "activations"), note="keep='activations'"),
            Candidate(HOOKS, lambda: hooks.top(images, layers, k)),
            *loop,
            *batched,
            *graphed,
        ],
        context.effort("job"),
    )
    entries += missing + absent
    job = f"top-{k} neurons of each of conv1 to conv5 at their own positions, one image, forward included"
    facts = {"network": net.name, "image": net.size, "layers": layers}
    return [Result("top9", "time", job, (OURS, again), entries, [Target((HOOKS, FUNCTION), 10, 15)], facts)]


def layer(context: Context) -> list[Result]:
    """Whole layer pool5 with its activations, batch 16."""
    net = build(context.alexnet, device=context.device)
    batch = context.pick(16, 16, 2)
    images = net.images(batch, device=context.device)

    def ours(backend: str, keep: Any, graph: bool = False) -> torch.Tensor:
        recording = desali.record(net.module, images, keep, backend=backend)
        return recording.reconstruct(net.pool5, desali.Seed.layer(), backend=backend, cuda_graph=graph)

    function = Autograd(net, "function")
    plain, plain_last = Plain(net), Plain(net, channels_last=True)
    again, reference_again = f"{OURS}, keep='reversal'", f"{REFERENCE}, keep='reversal'"
    batched = [
        Candidate(PLAIN, lambda: plain.layer(images, net.pool5)),
        Candidate(PLAIN_LAST, lambda: plain_last.layer(images, net.pool5)),
    ]
    reference = Candidate(FUNCTION, lambda: function.layer(images, net.pool5))
    own = Candidate(OURS_GRAPH, lambda: ours("auto", "activations", True), note="keep='activations'")
    graphed, missing = graphs(context, "layer", reference, batched, own)
    entries = compare(
        "layer",
        [
            reference,
            Candidate(OURS, lambda: ours("auto", "activations"), note="keep='activations'"),
            Candidate(again, lambda: ours("auto", "reversal"), note="pool5 is among the last outputs, which are kept"),
            Candidate(REFERENCE, lambda: ours("torch", "activations"), note="keep='activations'"),
            Candidate(reference_again, lambda: ours("torch", "reversal")),
            *batched,
            *graphed,
        ],
        context.effort("job"),
    )
    entries += missing
    job = f"whole layer {net.pool5} (pool5) with its activations, batch {batch}, forward included"
    facts = {"network": net.name, "image": net.size, "batch": batch}
    targets = [Target((PLAIN, PLAIN_LAST), 1.8, 2.3), Target((REFERENCE,), 1.8, 2.5)]
    return [Result("layer", "time", job, (OURS, again), entries, targets, facts)]
