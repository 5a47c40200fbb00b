"""What a second `record` of the same shapes costs beside the module's own forward pass."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import desali
from benchmarks.context import Context, Result, Target
from benchmarks.jobs import FORWARD, OURS
from benchmarks.measuring import Candidate, EqualityError, compare
from benchmarks.models import alexnet, vgg16
from benchmarks.networks import densenet121, mobilenet_v2, resnet

ALLOWED = 1.15
"""Largest time of a second `record`, as a multiple of the module's own forward pass."""


def _squeezenet() -> nn.Module:
    from desali.models import SqueezeNet

    return SqueezeNet(1000)


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "AlexNet": alexnet,
    "VGG-16": vgg16,
    "ResNet-18": lambda: resnet((2, 2, 2, 2), 1),
    "ResNet-50": lambda: resnet((3, 4, 6, 3), 4),
    "DenseNet-121": densenet121,
    "SqueezeNet": _squeezenet,
    "MobileNet v2": mobilenet_v2,
    "AlexNet, an eighth of its width": lambda: alexnet(8),
}


def prepare(name: str, device: str) -> nn.Module:
    """One of `BUILDERS` with the weights of a fixed seed, in evaluation mode."""
    state = torch.random.get_rng_state()
    try:
        torch.manual_seed(0)
        model = BUILDERS[name]()
    finally:
        torch.random.set_rng_state(state)
    return model.eval().to(device)


def record(context: Context) -> list[Result]:
    """A second `record` against the forward pass: small and usual images, one and eight of them."""
    names = context.pick(
        ("AlexNet", "VGG-16", "ResNet-18", "ResNet-50", "DenseNet-121", "SqueezeNet", "MobileNet v2"),
        ("AlexNet", "ResNet-18", "DenseNet-121"),
        ("AlexNet, an eighth of its width",),
    )
    results = []
    for name in names:
        model = prepare(name, context.device)
        for size, n in context.pick(((64, 1), (64, 8), (224, 1), (224, 8)), ((64, 1), (224, 1)), ((95, 2),)):
            context.say(f"{name}, {size} px, batch {n}")
            images = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1)).to(context.device)
            results.append(_one(context, name, model, images))
    return results


def _one(context: Context, name: str, model: nn.Module, images: Tensor) -> Result:
    def forward() -> Tensor:
        with torch.inference_mode():
            output: Tensor = model(images)
        return output

    start = time.perf_counter()
    first = desali.record(model, images)
    seconds = time.perf_counter() - start
    if not torch.equal(first.output, forward()):
        raise EqualityError(f"record: {name}: the recorded output is not the module's own, bit by bit")
    candidates = [Candidate(FORWARD, forward), Candidate(OURS, lambda: desali.record(model, images).output)]
    entries = compare(f"record {name}", candidates, context.effort("op"))
    n, _, size, _ = images.shape
    facts = {"network": name, "image": size, "batch": n, "first_record_seconds": seconds}
    job = f"second record of {name}, {size} px, batch {n}"
    return Result("record", "time", job, (OURS,), entries, [Target((FORWARD,), round(1 / ALLOWED, 2), 1)], facts)
