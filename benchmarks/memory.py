"""What a Recording holds against what autograd keeps for the same forward pass."""

from __future__ import annotations

import torch
from torch import Tensor

import desali
from benchmarks.context import Context, Result, Target
from benchmarks.jobs import OURS
from benchmarks.measuring import Entry, difference, held
from benchmarks.models import Net, build

DEFAULT = "autograd, parameters trainable"
FROZEN = "autograd, parameters frozen"


def kept_by_autograd(net: Net, images: Tensor, frozen: bool) -> tuple[int, Tensor]:
    """Bytes of the storages that autograd saves, without parameters, buffers and the image; and the output."""
    leaf = images.detach().clone().requires_grad_()
    known = [leaf, *net.module.parameters(), *net.module.buffers()]
    outside = {tensor.untyped_storage().data_ptr() for tensor in known}
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in outside:
            saved.append(tensor.detach())
        return tensor

    net.module.requires_grad_(not frozen)
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = net.module(leaf)
    finally:
        net.module.requires_grad_(False)
    return held(saved), output.detach()


def memory(context: Context) -> list[Result]:
    """`Recording.nbytes` of AlexNet, VGG-16 and CaffeNet, one image."""
    names = context.pick(
        ("alexnet", "vgg16", "caffenet"), ("alexnet", "caffenet"), ("alexnet-tiny", "vgg16-tiny", "caffenet-small")
    )
    results = []
    for name in names:
        net = build(name, device=context.device)
        images = net.images(1, device=context.device)
        trainable, output = kept_by_autograd(net, images, frozen=False)
        frozen, _ = kept_by_autograd(net, images, frozen=True)
        entries = [Entry(DEFAULT, facts={"bytes": trainable}), Entry(FROZEN, facts={"bytes": frozen})]
        for keep, label in (("reversal", OURS), ("activations", f"{OURS}, keep='activations'")):
            recording = desali.record(net.module, images, keep)  # type: ignore[arg-type]
            found = difference(recording.output, output)
            entries.append(Entry(label, difference=found, facts={"bytes": recording.nbytes}))
        job = f"bytes held after one forward pass of {name}, one image of {net.size} px"
        targets = [Target((DEFAULT,), 16, 24)]
        results.append(Result("memory", "memory", job, (OURS,), entries, targets, {"network": name, "image": net.size}))
    return results
