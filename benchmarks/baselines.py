"""Baselines through autograd: guided backpropagation one neuron at a time, by hooks, by a Function, and by Captum."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.models import Net

Neuron = tuple[int, int, int]
"""Channel, row, column."""


class _Guided(torch.autograd.Function):
    """ReLU whose backward pass also drops negative signals (Springenberg et al. 2015)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.relu(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        result: Tensor = torch.ops.aten.threshold_backward(grads[0].clamp_min(0), y, 0)
        return result


class GuidedReLU(nn.Module):
    """`_Guided` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """Rectify."""
        result: Tensor = _Guided.apply(x)  # type: ignore[no-untyped-call]
        return result


class _Straight(torch.autograd.Function):
    """Local response normalisation forwards, the identity backwards: what DeSaliNet's default does with it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        return F.local_response_norm(x, size, alpha, beta, k)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0], None, None, None, None


class StraightNorm(nn.Module):
    """`_Straight` as a module."""

    def __init__(self, norm: nn.LocalResponseNorm) -> None:
        super().__init__()
        self.settings = norm.size, norm.alpha, norm.beta, norm.k

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        result: Tensor = _Straight.apply(x, *self.settings)  # type: ignore[no-untyped-call]
        return result


def _clamp(_module: nn.Module, grads: Any, _outputs: Any) -> tuple[Tensor]:
    return (grads[0].clamp_min(0),)


def twin(module: nn.Module, guided: str) -> nn.Module:
    """A copy that shares the parameters and backpropagates as DeSaliNet does.

    Args:
        guided: "hooks" = nn.ReLU with full backward hooks, "function" = a custom autograd Function, "none" = ReLUs stay
            as they are (Captum hooks them itself).
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    double = copy.deepcopy(module, shared)
    for parent in list(double.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.LocalResponseNorm):
                setattr(parent, name, StraightNorm(child))
            elif isinstance(child, nn.ReLU) and guided == "function":
                setattr(parent, name, GuidedReLU())
            elif isinstance(child, nn.ReLU) and guided == "hooks":
                child.register_full_backward_hook(_clamp)
    return double


class Autograd:
    """One forward pass, then a backward pass for every seed.

    Args:
        guided: see `twin`.
    """

    def __init__(self, net: Net, guided: str) -> None:
        self.module = twin(net.module, guided)

    def forward(self, images: Tensor, layers: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """The image as a leaf, and the outputs of layers [N, C, h, w], on one graph."""
        tops: dict[str, Tensor] = {}

        def keeper(name: str) -> Callable[..., None]:
            def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
                tops[name] = output

            return keep

        handles = [self.module.get_submodule(name).register_forward_hook(keeper(name)) for name in layers]
        leaf = images.detach().clone().requires_grad_()
        try:
            with torch.enable_grad():
                self.module(leaf)
        finally:
            for handle in handles:
                handle.remove()
        return leaf, tops

    def neurons(self, images: Tensor, layer: str, neurons: Sequence[Neuron]) -> Tensor:
        """Maps [N, K, C, H, W] of single neurons, the same in every image."""
        leaf, tops = self.forward(images, [layer])
        indices = torch.tensor(neurons).T  # [3, K]
        return _backward(leaf, tops[layer], indices.expand(images.shape[0], *indices.shape))

    def top(self, images: Tensor, layers: Sequence[str], k: int) -> dict[str, Tensor]:
        """Maps [N, k, C, H, W] of each layer's strongest neurons, chosen per image; images share each backward pass."""
        leaf, tops = self.forward(images, layers)
        return {name: _backward(leaf, tops[name], strongest(tops[name], k)) for name in layers}

    def layer(self, images: Tensor, layer: str) -> Tensor:
        """Maps [N, 1, C, H, W] of a whole layer with its activations."""
        leaf, tops = self.forward(images, [layer])
        (grad,) = torch.autograd.grad(tops[layer], leaf, tops[layer].detach())
        return grad.unsqueeze(1)


def strongest(activation: Tensor, k: int) -> Tensor:
    """Channel, row and column [N, 3, k] of the k strongest neurons of activations [N, C, h, w]."""
    index = activation.detach().flatten(1).topk(k, dim=1).indices
    height, width = activation.shape[2:]  # not unravel_index: it copies from the host, which a CUDA graph cannot hold
    return torch.stack([index // (height * width), index // width % height, index % width], 1)


def _backward(leaf: Tensor, top: Tensor, indices: Tensor) -> Tensor:
    """One backward pass for each k of indices [N, 3, K]."""
    n, count = top.shape[0], indices.shape[2]
    maps = leaf.new_empty(n, count, *leaf.shape[1:])
    rows = torch.arange(n, device=top.device)
    seed = torch.zeros_like(top)
    indices = indices.to(top.device)
    for k in range(count):
        at = (rows, *indices[:, :, k].unbind(1))
        seed[at] = 1
        (maps[:, k],) = torch.autograd.grad(top, leaf, seed, retain_graph=True)
        seed[at] = 0
    return maps


class Captum:
    """Captum's NeuronGuidedBackprop, one call for every neuron."""

    def __init__(self, net: Net) -> None:
        self.module = twin(net.module, "none")

    def neurons(self, images: Tensor, layer: str, neurons: Sequence[Neuron]) -> Tensor:
        """Maps [N, K, C, H, W] of single neurons, the same in every image."""
        from captum.attr import NeuronGuidedBackprop

        method = NeuronGuidedBackprop(self.module, self.module.get_submodule(layer))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            maps = [method.attribute(images.detach().clone(), neuron) for neuron in neurons]
        return torch.stack(maps, 1).detach()

    def top(self, images: Tensor, layers: Sequence[str], picks: dict[str, Tensor]) -> dict[str, Tensor]:
        """Maps [N, k, C, H, W] for picks [N, 3, k] of each layer; one call for each image and neuron."""
        found = {}
        for layer in layers:
            rows = []
            for image, pick in zip(images, picks[layer], strict=True):
                neurons = [(int(c), int(y), int(x)) for c, y, x in pick.T.tolist()]
                rows.append(self.neurons(image.unsqueeze(0), layer, neurons))
            found[layer] = torch.cat(rows)
        return found
