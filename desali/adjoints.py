"""Adjoints of layers that have no kernel of their own: local response normalisation and vector-Jacobian products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from desali.graph.network import Network, Node
from desali.graph.operations import LocalResponseNorm, Other
from desali.graph.run import arguments

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
    x, direct, inner = (_spread(tensor, signal, origin) for tensor in (x, direct, inner))
    mixed = _channel_sum(signal * inner, 2, after, before)
    return signal * direct - (2 * operation.alpha * operation.beta / size) * x * mixed


def _spread(tensor: Tensor, signal: Tensor, origin: Tensor | None) -> Tensor:
    """[N, C, *S] -> [N, 1, C, *S], or the windows of it [N, K, C, *s]."""
    from desali.ops.reference import crop

    tensor = tensor.unsqueeze(1)
    if origin is None:
        return tensor
    return crop(tensor.expand(-1, signal.shape[1], *tensor.shape[2:]), origin, tuple(signal.shape[3:]))


def _channel_sum(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Sum over the channels from c - before to c + after; channels that do not exist are zero."""
    import torch

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
    sizes: list[Any],
) -> dict[int, Tensor]:
    """Vector-Jacobian product of any operation at its recorded inputs, by autograd.

    Args:
        inputs: the recorded inputs [N, ...] by node index; zeros of the right shape serve if the operation is linear.
        sizes: values of the nodes that are not tensors.

    Returns:
        A signal [N, K, ...] for every input.
    """
    import torch

    n, k = signal.shape[:2]
    indices = list(node.inputs)

    def apply(tensors: list[Tensor]) -> Tensor:
        values: list[Any] = list(sizes)
        for index, tensor in zip(indices, tensors, strict=True):
            values[index] = tensor
        args, kwargs = arguments(network, model, node, values)
        value: Tensor = node.call(*args, **kwargs)
        return value

    with torch.enable_grad():
        if operation.batchwise:
            leaves = [_repeat(inputs[index], k).requires_grad_() for index in indices]
            grads = torch.autograd.grad(apply(leaves), leaves, signal.flatten(0, 1), allow_unused=True)
            return {
                index: _or_zeros(grad, leaf).unflatten(0, (n, k))
                for index, leaf, grad in zip(indices, leaves, grads, strict=True)
            }
        leaves = [inputs[index].detach().clone().requires_grad_() for index in indices]
        value = apply(leaves)
        rows = [
            torch.autograd.grad(value, leaves, signal[:, seed], retain_graph=True, allow_unused=True)
            for seed in range(k)
        ]
    return {
        index: torch.stack([_or_zeros(row[which], leaves[which]) for row in rows], 1)
        for which, index in enumerate(indices)
    }


def _repeat(tensor: Tensor, k: int) -> Tensor:
    """[N, ...] -> [N * K, ...], each image K times."""
    return tensor.detach().unsqueeze(1).expand(-1, k, *tensor.shape[1:]).flatten(0, 1).clone()


def _or_zeros(grad: Tensor | None, leaf: Tensor) -> Tensor:
    import torch

    return torch.zeros_like(leaf) if grad is None else grad
