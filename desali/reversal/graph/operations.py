"""The primitive layers that a captured network is made of, each with what its reversal must know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Operation:
    """Base of the primitive layers."""


@dataclass(frozen=True)
class Image(Operation):
    """The network's input."""


@dataclass(frozen=True)
class Decision(Operation):
    """A tensor of truth values or indices; no signal passes it."""


@dataclass(frozen=True)
class Convolution(Operation):
    """Cross-correlation with `weight` [O, I / groups, *kernel]; reversed by transposed convolution without bias."""

    weight: str
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


@dataclass(frozen=True)
class Linear(Operation):
    """x W^T + b over the last dimension; reversed by p W."""

    weight: str


@dataclass(frozen=True)
class ReLU(Operation):
    """max(x, 0), or min(max(x, 0), upper).

    Attributes:
        written_out: the module computes it by other calls (a comparison and a choice), which give its value.
    """

    upper: float | None = None
    written_out: bool = False


@dataclass(frozen=True)
class MaxPool(Operation):
    """Max pooling over windows."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool


@dataclass(frozen=True)
class LocalResponseNorm(Operation):
    """x / (k + alpha / size * sum of squares over `size` neighbouring channels)^beta."""

    size: int
    alpha: float
    beta: float
    k: float


@dataclass(frozen=True)
class AveragePool(Operation):
    """Mean over windows, every sum divided by the same number."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    divisor: int


@dataclass(frozen=True)
class GlobalAverage(Operation):
    """Mean over all spatial positions, to [C] or [C, 1, ...]."""


@dataclass(frozen=True)
class BatchNorm(Operation):
    """Batch normalisation at inference: (x - mean) / sqrt(variance + eps) * weight + bias for each channel."""

    weight: str | None
    variance: str
    eps: float


@dataclass(frozen=True)
class Sum(Operation):
    """Sum of inputs times factors, and of constants; smaller inputs are broadcast.

    Attributes:
        terms: (index of the node, factor).
    """

    terms: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Product(Operation):
    """Product of two inputs, both reversed (gates); the smaller is broadcast."""

    first: int
    second: int


@dataclass(frozen=True)
class Concatenation(Operation):
    """Channels of several inputs, in this order."""

    parts: tuple[int, ...]


@dataclass(frozen=True)
class Slice(Operation):
    """Every `step`-th element from `start` along one dimension; dimension 0 is the channel."""

    dim: int
    start: int
    step: int = 1


@dataclass(frozen=True)
class Permutation(Operation):
    """Another order of the dimensions; dimension 0 is the channel, the batch dimension stays."""

    order: tuple[int, ...]


@dataclass(frozen=True)
class ChannelShuffle(Operation):
    """Channels dealt out to groups: channel i C/g + j goes to j g + i."""

    groups: int


@dataclass(frozen=True)
class Identity(Operation):
    """Passes its input unchanged (dropout at inference, clone, contiguous)."""


@dataclass(frozen=True)
class Reshape(Operation):
    """Same numbers in the same order under another shape; the batch dimension stays."""


@dataclass(frozen=True)
class Other(Operation):
    """Reversed by its vector-Jacobian product.

    Attributes:
        kind: plain name of the call.
        linear: the product does not depend on the values of the inputs, only on their shapes.
        batchwise: dimension 0 is the batch in every input and in the output, and images do not mix.
        smooth: an activation, attention or normalisation that has no rule in this framework; needs an opt-in.
        pooling: a maximum that is not over equal windows; it has the adjoint, but no other rule.
        pointwise: spatial positions do not mix (for the receptive field).
        window: (kernel, stride, padding) of a pooling (for the receptive field), else None.
    """

    kind: str
    linear: bool
    batchwise: bool
    smooth: bool = False
    pooling: bool = False
    pointwise: bool = False
    window: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None = None
