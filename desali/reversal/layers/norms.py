"""Local response normalisation, and batch normalisation at inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali.reversal.layers.base import Arrivals, Context, Layer, Node, TorchCall, ValueFree
from desali.reversal.layers.call import Call, Parameter
from desali.reversal.layers.reach import Cells, Shaped, pointwise
from desali.reversal.methods import Method
from desali.reversal.signals import Signal, spread

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """x / (k + alpha / size * sum of squares over `size` neighbouring channels)^beta."""

    size: int
    alpha: float
    beta: float
    k: float

    names = ("local_response_norm",)
    batchwise = True
    plain_module = "LocalResponseNorm"

    @classmethod
    def recognise(cls, call: Call) -> LocalResponseNorm:
        return cls(**call.kwargs)

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall:
        return cls(module.size, module.alpha, module.beta, module.k).as_call(x)

    def as_call(self, x: Any) -> TorchCall:
        """PyTorch's own function of it."""
        from torch.nn.functional import local_response_norm

        return local_response_norm, (x,), {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        source = node.inputs[0]
        if context.rule(node).lrn == "identity":
            return {source: signal}
        x = context.inputs(node)[source]
        return {source: Signal(self.adjoint(signal.tensor, x, signal.origin), signal.origin)}

    def adjoint(
        self,
        signal: Tensor,  # [N, K, C, *s]
        x: Tensor,  # [N, C, *S]
        origin: Tensor | None = None,  # [N, K, D]
    ) -> Tensor:
        """True adjoint at the recorded input x.

        With d = k + alpha / size * W(x^2), W summing over the window of channels, y = x d^-beta and

            p -> p d^-beta - 2 alpha beta / size * x * W'(p x d^(-beta - 1)), W' being W with its window turned round.

        Args:
            origin: where each window begins; None: the signal covers the whole map.

        Returns:
            [N, K, C, *s].
        """
        before, after = self.size // 2, (self.size - 1) // 2
        d = self.k + self.alpha / self.size * _channel_sum(x.square(), 1, before, after)
        direct = d.pow(-self.beta)
        inner = x * d.pow(-self.beta - 1)
        x, direct, inner = (spread(tensor, Signal(signal, origin)) for tensor in (x, direct, inner))
        mixed = _channel_sum(signal * inner, 2, after, before)
        return signal * direct - (2 * self.alpha * self.beta / self.size) * x * mixed

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return pointwise(self, node, source, cells)

    def needs_inputs(self, rule: Method) -> bool:
        return rule.lrn != "identity"

    def reason_against_capture(self) -> None:
        return None


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


@dataclass(frozen=True)
class BatchNorm(ValueFree):
    """Batch normalisation at inference: (x - mean) / sqrt(variance + eps) * weight + bias for each channel."""

    weight: str | None
    variance: str
    eps: float

    names = ("batch_norm",)
    fresh = True
    folding = "norm"
    plain_module = "BatchNorm2d"

    @classmethod
    def recognise(cls, call: Call) -> BatchNorm | None:
        if call.before is None:
            return None
        weight, variance, training, eps = (call.args[position] for position in (1, 4, 5, 7))
        if training or not isinstance(variance, Parameter) or not (weight is None or isinstance(weight, Parameter)):
            return None
        return cls(None if weight is None else weight.name, variance.name, float(eps))

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall | None:
        import torch

        if module.training or module.running_mean is None or module.running_var is None:
            return None
        tensors = (own(name) for name in ("weight", "bias", "running_mean", "running_var"))
        settings = (False, module.momentum or 0.0, module.eps, torch.backends.cudnn.enabled)
        return torch.ops.aten.batch_norm.default, (x, *tensors, *settings), {}

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        """A factor for each channel."""
        factor = (context.parameter(self.variance) + self.eps).rsqrt()
        if self.weight is not None:
            factor = factor * context.parameter(self.weight)
        factor = factor.to(signal.tensor.dtype).view(-1, *(1,) * len(signal.size))
        return {node.inputs[0]: Signal(signal.tensor * factor, signal.origin)}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return cells
