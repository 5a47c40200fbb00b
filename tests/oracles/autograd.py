"""Guided backpropagation, DeconvNet's ReLU and the gradient, by autograd with a ReLU of our own making."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class _Rectifier(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: bool, backward: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bits = mask, backward
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        mask, backward = ctx.bits
        if backward:
            grad = torch.where(grad > 0, grad, torch.zeros_like(grad))
        if mask:
            grad = torch.where(x > 0, grad, torch.zeros_like(grad))
        return grad, None, None


class _ReLU(nn.Module):
    def __init__(self, mask: bool, backward: bool) -> None:
        super().__init__()
        self.bits = mask, backward

    def forward(self, x: Tensor) -> Tensor:
        return _Rectifier.apply(x, *self.bits)


def with_rule(model: nn.Module, mask: bool, backward: bool) -> nn.Module:
    """A copy of the model whose nn.ReLU modules backpropagate by the two bits."""
    twin = copy.deepcopy(model)
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, _ReLU(mask, backward))
    return twin


def project(
    model: nn.Module, images: Tensor, layer: str, seed: Callable[[Tensor], Tensor], *, mask: bool, backward: bool
) -> Tensor:
    """Backpropagate seed(activation) from a layer of the model to the images -> [N, C, *spatial]."""
    twin = with_rule(model, mask, backward)
    seen: list[Tensor] = []
    twin.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    leaf = images.detach().clone().requires_grad_()
    twin(leaf)
    (grad,) = torch.autograd.grad(seen[0], leaf, seed(seen[0].detach()))
    return grad
