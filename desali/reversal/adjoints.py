"""Adjoints of layers that have no kernel of their own: local response normalisation and vector-Jacobian products."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from desali.reversal.graph.network import Network, Node, parameter
from desali.reversal.graph.operations import LocalResponseNorm, Other
from desali.reversal.graph.run import arguments
from desali.reversal.signals import Signal, spread

if TYPE_CHECKING:
    from torch import Tensor, nn


def local_response_norm(
    signal: Tensor,  # [N, K, C, *s]
    x: Tensor,  # [N, C, *S]
    operation: LocalResponseNorm,
    origin: Tensor | None = None,  # [N, K, D]
) -> Tensor:
    """True adjoint of local response normalisation at the recorded input x.

    With d = k + alpha / size * W(x^2), W summing over the window of channels, y = x d^-beta and

        p -> p d^-beta - 2 alpha beta / size * x * W'(p x d^(-beta - 1)), W' being W with its window turned round.

    Args:
        origin: where each window begins; None: the signal covers the whole map.

    Returns:
        [N, K, C, *s].
    """
    size = operation.size
    before, after = size // 2, (size - 1) // 2
    d = operation.k + operation.alpha / size * _channel_sum(x.square(), 1, before, after)
    direct = d.pow(-operation.beta)
    inner = x * d.pow(-operation.beta - 1)
    x, direct, inner = (spread(tensor, Signal(signal, origin)) for tensor in (x, direct, inner))
    mixed = _channel_sum(signal * inner, 2, after, before)
    return signal * direct - (2 * operation.alpha * operation.beta / size) * x * mixed


def _channel_sum(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Sum over the channels from c - before to c + after; channels that do not exist are zero."""

    total = x.clone()
    channels = x.shape[dim]
    for step in range(1, max(before, after) + 1):
        if step >= channels:
            break
        upper, lower = x.narrow(dim, step, channels - step), x.narrow(dim, 0, channels - step)
        if step <= before:
            total.narrow(dim, step, channels - step).add_(lower)
        if step <= after:
            total.narrow(dim, 0, channels - step).add_(upper)
    return total


def vector_jacobian(
    network: Network,
    model: nn.Module,
    node: Node,
    operation: Other,
    signal: Tensor,  # [N, K, *shape]
    inputs: dict[int, Tensor],
    fixed: list[Any],
) -> dict[int, Tensor]:
    """Vector-Jacobian product of any operation at its recorded inputs, by autograd.

    Args:
        inputs: the recorded inputs [N, ...] by node index; zeros of the right shape serve if the operation is linear.
        fixed: values of the nodes that do not depend on the image's values.

    Returns:
        A signal [N, K, ...] for every input that a signal can pass to.
    """
    import torch

    n, k = signal.shape[:2]
    targets = list(network.sources[node.index])

    def apply(tensors: dict[int, Tensor]) -> Tensor:
        values: list[Any] = list(fixed)
        for index, tensor in tensors.items():
            values[index] = tensor
        args, kwargs = arguments(network, partial(parameter, model), node, values)
        value: Tensor = node.call(*args, **kwargs)
        return value

    def pull(value: Tensor, leaves: dict[int, Tensor], cotangent: Tensor, again: bool) -> dict[int, Tensor]:
        if not value.requires_grad:
            return {index: torch.zeros_like(leaves[index]) for index in targets}
        wanted = [leaves[index] for index in targets]
        grads = torch.autograd.grad(value, wanted, cotangent, retain_graph=again, allow_unused=True)
        return {
            index: torch.zeros_like(leaf) if grad is None else grad
            for index, leaf, grad in zip(targets, wanted, grads, strict=True)
        }

    with torch.enable_grad():
        if operation.batchwise:
            leaves = {index: _leaf(_repeat(tensor, k)) for index, tensor in inputs.items()}
            grads = pull(apply(leaves), leaves, signal.flatten(0, 1), False)
            return {index: grad.reshape(n, k, *grad.shape[1:]) for index, grad in grads.items()}
        leaves = {index: _leaf(tensor) for index, tensor in inputs.items()}
        value = apply(leaves)
        rows = [pull(value, leaves, signal[:, seed], True) for seed in range(k)]
    return {index: torch.stack([row[index] for row in rows], 1) for index in targets}


def _leaf(tensor: Tensor) -> Tensor:
    copy = tensor.detach().clone()
    return copy.requires_grad_() if copy.is_floating_point() else copy


def _repeat(tensor: Tensor, k: int) -> Tensor:
    """[N, ...] -> [N * K, ...], each image K times."""
    return tensor.detach().unsqueeze(1).expand(-1, k, *tensor.shape[1:]).flatten(0, 1)
