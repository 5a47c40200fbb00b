"""The adjoint of any layer at its recorded point: its vector-Jacobian product, by autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desali.errors import UnsupportedLayerError
from desali.reversal.layers.base import Arrivals, Context, Layer, Node
from desali.reversal.signals import Signal, whole

if TYPE_CHECKING:
    from torch import Tensor


def vector_jacobian(
    context: Context,
    node: Node,
    signal: Tensor,  # [N, K, *shape]
    batchwise: bool,
) -> dict[int, Tensor]:
    """Vector-Jacobian product of a layer at its recorded inputs (zeros serve if it is linear).

    Args:
        batchwise: dimension 0 is the batch in every input and in the value, and images do not mix.

    Returns:
        A signal [N, K, ...] for every input that a signal can pass to.

    Raises:
        UnsupportedLayerError: PyTorch knows no derivative of it.
    """
    import torch

    n, k = signal.shape[:2]
    targets = list(context.sources(node))
    inputs = context.inputs(node)

    def pull(value: Tensor, leaves: dict[int, Tensor], cotangent: Tensor, again: bool) -> dict[int, Tensor]:
        if not value.requires_grad:
            return {index: torch.zeros_like(leaves[index]) for index in targets}
        wanted = [leaves[index] for index in targets]
        cotangent = cotangent if value.dim() else cotangent.reshape(())  # a single number, of the one image
        try:
            grads = torch.autograd.grad(value, wanted, cotangent, retain_graph=again, allow_unused=True)
        except (RuntimeError, NotImplementedError) as error:
            if "autograd formula" in str(error) or "not implemented" in str(error):
                raise _no_derivative(node) from error
            raise
        return {
            index: torch.zeros_like(leaf) if grad is None else grad
            for index, leaf, grad in zip(targets, wanted, grads, strict=True)
        }

    with torch.enable_grad():
        if batchwise:
            leaves = {index: _leaf(_repeat(tensor, k)) for index, tensor in inputs.items()}
            grads = pull(context.compute(node, leaves), leaves, signal.flatten(0, 1), False)
            return {index: grad.reshape(n, k, *grad.shape[1:]) for index, grad in grads.items()}
        leaves = {index: _leaf(tensor) for index, tensor in inputs.items()}
        value = context.compute(node, leaves)
        rows = [pull(value, leaves, signal[:, seed], True) for seed in range(k)]
    return {
        index: torch.stack([row[index] if row[index].dim() else row[index].reshape(1) for row in rows], 1)
        for index in targets
    }


def _no_derivative(node: Node) -> UnsupportedLayerError:
    label = "" if node.operation is None else node.operation.label
    return UnsupportedLayerError(
        f"layer {node.name!r}: PyTorch knows no derivative of {label}; give the operator one "
        "(torch.library.register_autograd), or register a kind of layer with a rule of its own (desali.register_layer)"
    )


def _leaf(tensor: Tensor) -> Tensor:
    copy = tensor.detach().clone()
    return copy.requires_grad_() if copy.is_floating_point() else copy


def _repeat(tensor: Tensor, k: int) -> Tensor:
    """[N, ...] -> [N * K, ...], each image K times."""
    return tensor.detach().unsqueeze(1).expand(-1, k, *tensor.shape[1:]).flatten(0, 1)


class Adjoint(Layer):
    """A kind that is reversed by its adjoint at the recorded point, under every method: its vector-Jacobian product."""

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        parts = vector_jacobian(context, node, whole(signal, node.shape[1:]).tensor, self.batchwise)
        return {index: Signal(part) for index, part in parts.items()}

    def reason_against_capture(self) -> str:
        return "is reversed by autograd, whose decisions a graph would freeze"
