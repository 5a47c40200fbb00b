"""Everything that no kind claims: reversed by its vector-Jacobian product at the recorded point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from desali.errors import UnsupportedLayerError
from desali.reversal.layers.adjoint import Adjoint
from desali.reversal.layers.base import Arrivals, Context, Node
from desali.reversal.layers.call import Call, Ref, name_of
from desali.reversal.layers.ends import compares
from desali.reversal.layers.pooling import Window, window_of
from desali.reversal.layers.reach import Cells, Shaped, adaptive_cells, every, pointwise, window_reach
from desali.reversal.methods import Method
from desali.reversal.signals import Signal

_POINTWISE = frozenset({
    "add", "sub", "rsub", "mul", "div", "neg", "abs", "exp", "log", "sqrt", "rsqrt", "pow", "square", "sigmoid",
    "tanh", "hardsigmoid", "cat", "chunk", "split", "split_with_sizes", "leaky_relu", "prelu",
    "clamp", "clip", "maximum", "minimum", "max", "min", "where", "masked_fill", "type_as", "erf", "sign",
    "gelu", "silu", "hardswish", "elu", "selu", "celu",
    "mish", "softplus", "log_sigmoid", "hardtanh", "softsign", "rrelu", "channel_shuffle", "to", "_to_copy",
    "detach",
})  # fmt: skip
_LINEAR = frozenset({
    "cat", "stack", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "mean", "sum", "pad", "constant_pad_nd", "permute", "transpose", "t", "flip", "roll",
    "slice", "select", "narrow", "expand", "repeat", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "linear", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d",
    "upsample_bicubic2d", "upsample_linear1d", "upsample_trilinear3d",
})  # fmt: skip
_BATCHWISE = frozenset({
    "mul", "div", "sigmoid", "hardsigmoid", "tanh", "exp", "abs", "sqrt", "pow", "group_norm", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "conv1d",
    "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d", "upsample_bicubic2d",
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "leaky_relu", "prelu", "silu", "gelu", "hardswish",
    "elu", "mish", "layer_norm", "scaled_dot_product_attention",
})  # fmt: skip
_SMOOTH = frozenset({
    "gelu", "silu", "hardswish", "elu", "selu", "celu", "mish", "softplus", "softmax", "_softmax",
    "_safe_softmax", "log_softmax", "_log_softmax", "scaled_dot_product_attention",
    "_native_multi_head_attention", "_transformer_encoder_layer_fwd", "layer_norm", "native_layer_norm",
    "rms_norm", "log_sigmoid",
})  # fmt: skip
_MAXIMA = frozenset({
    "amax", "max", "aminmax", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "fractional_max_pool2d", "fractional_max_pool3d", "max_pool2d_with_indices", "max_pool1d", "max_pool2d",
    "max_pool3d",
})  # fmt: skip
_KINKED = frozenset({
    "leaky_relu", "prelu", "rrelu", "rrelu_with_noise", "threshold", "hardtanh", "clamp", "clamp_min", "clamp_max",
    "clip", "maximum", "minimum", "fmax", "fmin", "max", "min", "where", "masked_fill", "index_put", "abs",
    "hardshrink", "softshrink", "sign", "heaviside",
})  # fmt: skip


@dataclass(frozen=True)
class Other(Adjoint):
    """Reversed by its vector-Jacobian product.

    Attributes:
        kind: plain name of the call.
        linear: the product does not depend on the values of the inputs, only on their shapes.
        batchwise: dimension 0 is the batch in every input and in the output, and images do not mix.
        smooth: an activation, attention or normalisation that has no rule in this framework; needs an opt-in.
        pooling: a maximum that is not over equal windows; it has the adjoint, but no other rule.
        pointwise: spatial positions do not mix.
        window: (kernel, stride, padding) of a pooling, else None. Where neither is known, it reaches everything.
    """

    kind: str
    linear: bool
    batchwise: bool
    smooth: bool = False
    pooling: bool = False
    pointwise: bool = False
    window: Window | None = None

    @classmethod
    def recognise(cls, call: Call) -> Other:
        name = call.name
        one = len(call.shapes) == 1
        linear = name in _LINEAR and one
        if name in ("add", "sub", "rsub", "neg", "cat", "stack"):
            linear = True
        if name == "mul" or (name == "div" and call.image_input(0) is not None):
            linear = one
        return cls(
            kind=name,
            linear=linear,
            batchwise=call.batched and name in _BATCHWISE,
            smooth=name in _SMOOTH,
            pooling=name in _MAXIMA and one and not (name == "max" and isinstance(call.get(1, "other"), Ref)),
            pointwise=name in _POINTWISE or (name == "batch_norm" and not call.get(5, "training", True)),
            window=window_of(call, int(name[-2])) if name in ("avg_pool1d", "avg_pool2d", "avg_pool3d") else None,
        )

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        rule = context.rule(node)
        if self.pooling and (not rule.switches or rule.overlap != "sum"):
            raise UnsupportedLayerError(
                f"layer {node.name!r}: {self.kind} takes maxima over unequal windows, for which only switches=True "
                "and overlap='sum' are defined; use a method with both (saliency, desalinet) or leave the layer out "
                "with Method(..., only=[...])"
            )
        return super().reverse(context, node, signal)

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        same_rank = len(source.shape) == len(node.shape)
        if self.window is not None and same_rank:
            return window_reach(source, cells, *self.window, (1,) * len(self.window[0]))
        if self.pointwise and source.shape[1:] == node.shape[1:]:
            return pointwise(self, node, source, cells)
        if self.kind.startswith("adaptive_") and same_rank:
            return (range(source.shape[0]), *adaptive_cells(cells[1:], source.shape[1:], node.shape[1:]))
        return every(source)

    def needs_inputs(self, rule: Method) -> bool:
        return not (self.linear and self.batchwise)

    def bends(self, nodes: Sequence[Node], node: Node) -> bool:
        if not self.smooth and not self.pooling:
            if self.kind in ("where", "masked_fill", "index_put"):
                return any(compares(nodes, index) for index in node.inputs)
            if self.kind in _KINKED:
                return True
        return name_of(node.call) == "mul" and any(compares(nodes, index) for index in node.inputs)

    @property
    def label(self) -> str:
        return self.kind
