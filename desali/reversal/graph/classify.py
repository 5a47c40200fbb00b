"""Tell which primitive layer an ATen call is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from desali.reversal.graph import pooling
from desali.reversal.graph.arguments import argument, tuple_of
from desali.reversal.graph.network import Parameter, Ref
from desali.reversal.graph.operations import (
    BatchNorm,
    ChannelShuffle,
    Concatenation,
    Convolution,
    GlobalAverage,
    Identity,
    Linear,
    Operation,
    Other,
    Permutation,
    Product,
    ReLU,
    Reshape,
    Slice,
    Sum,
)

_IDENTITY = {
    "dropout", "feature_dropout", "alpha_dropout", "clone", "contiguous", "alias", "lift_fresh_copy",
    "native_dropout",
}  # fmt: skip
_RESHAPE = {
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "_unsafe_view",
}  # fmt: skip
_POINTWISE = {
    "add", "sub", "rsub", "mul", "div", "neg", "abs", "exp", "log", "sqrt", "rsqrt", "pow", "square", "sigmoid",
    "tanh", "hardsigmoid", "cat", "chunk", "split", "split_with_sizes", "batch_norm", "leaky_relu", "prelu",
    "clamp", "clip", "maximum", "minimum", "max", "min", "where", "masked_fill", "type_as", "erf", "sign",
    "gelu", "silu", "hardswish", "elu", "selu", "celu",
    "mish", "softplus", "log_sigmoid", "hardtanh", "softsign", "rrelu", "channel_shuffle", "to", "_to_copy",
    "detach",
}  # fmt: skip
_LINEAR = {
    "cat", "stack", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "mean", "sum", "pad", "constant_pad_nd", "permute", "transpose", "t", "flip", "roll",
    "slice", "select", "narrow", "expand", "repeat", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "linear", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d",
    "upsample_bicubic2d", "upsample_linear1d", "upsample_trilinear3d",
}  # fmt: skip
_BATCHWISE = {
    "mul", "div", "sigmoid", "hardsigmoid", "tanh", "exp", "abs", "sqrt", "pow", "group_norm", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "conv1d",
    "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d", "upsample_bicubic2d",
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "leaky_relu", "prelu", "silu", "gelu", "hardswish",
    "elu", "mish", "layer_norm", "scaled_dot_product_attention",
}  # fmt: skip
_SMOOTH = {
    "gelu", "silu", "hardswish", "elu", "selu", "celu", "mish", "softplus", "softmax", "_softmax",
    "_safe_softmax", "log_softmax", "_log_softmax", "scaled_dot_product_attention",
    "_native_multi_head_attention", "_transformer_encoder_layer_fwd", "layer_norm", "native_layer_norm",
    "rms_norm", "log_sigmoid",
}  # fmt: skip
_MAXIMA = {
    "amax", "max", "aminmax", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "fractional_max_pool2d", "fractional_max_pool3d", "max_pool2d_with_indices", "max_pool1d", "max_pool2d",
    "max_pool3d",
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """An ATen call as the converter found it.

    Attributes:
        name: plain name of the call.
        shapes: shape without the batch dimension of every tensor that it reads and that depends on the image, by
            node index.
        shape: shape of its value without the batch dimension.
        weight_shape: shape of its second argument, if that is a parameter.
        batched: dimension 0 of every such input and of the value is the batch.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shapes: dict[int, tuple[int, ...]]
    shape: tuple[int, ...]
    weight_shape: tuple[int, ...] | None
    batched: bool

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """The argument at a position or of a name."""
        return argument(self.args, self.kwargs, position, name, default)

    def image_input(self, position: int) -> int | None:
        """Index of the image-dependent tensor at a position."""
        item = self.args[position] if len(self.args) > position else None
        return item.index if isinstance(item, Ref) and item.index in self.shapes else None


def kind(call: Any) -> str:
    """An ATen overload's plain name, in-place marker removed: "relu" for aten.relu_.default."""
    name: str = getattr(call, "__name__", str(call)).split(".")[0]
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def classify(call: Call) -> Operation:
    """The primitive layer of one call."""
    relu = _relu(call)
    if relu is not None:
        return relu
    if call.batched:
        for rule in (_one_input, _pooling, _several_inputs):
            operation = rule(call)
            if operation is not None:
                return operation
    return _other(call)


def _relu(call: Call) -> ReLU | None:
    if call.name == "relu":
        return ReLU()
    if call.name == "relu6":
        return ReLU(6.0)
    if call.name == "threshold" and tuple(call.args[1:3]) == (0, 0):
        return ReLU()
    if call.name not in ("clamp", "clip", "clamp_min", "hardtanh"):
        return None
    hardtanh = call.name == "hardtanh"
    low = call.get(1, "min_val" if hardtanh else "min", -1.0 if hardtanh else None)
    high = None
    if call.name != "clamp_min":
        high = call.get(2, "max_val" if hardtanh else "max", 1.0 if hardtanh else None)
    if not isinstance(low, (int, float)) or low != 0:
        return None
    if high is None:
        return ReLU()
    return ReLU(float(high)) if isinstance(high, (int, float)) and high > 0 else None


def _one_input(call: Call) -> Operation | None:
    """Layers that read one image-dependent tensor, their first argument."""
    source = call.image_input(0)
    if len(call.shapes) != 1 or source is None:
        return None
    before, name = call.shapes[source], call.name
    if name in _IDENTITY and before == call.shape:
        return Identity()
    if name in _RESHAPE and math.prod(before) == math.prod(call.shape):
        return Reshape()
    if name in ("conv1d", "conv2d", "conv3d") and call.weight_shape is not None:
        return _convolution(call, before)
    if name == "linear" and isinstance(call.args[1], Parameter):
        return Linear(call.args[1].name)
    if name == "batch_norm":
        return _batch_norm(call)
    if name == "channel_shuffle":
        return ChannelShuffle(int(call.args[1]))
    if name == "slice":
        return _slice(call, before)
    return _permutation(call, before)


def _convolution(call: Call, before: tuple[int, ...]) -> Convolution | None:
    assert call.weight_shape is not None
    kernel = call.weight_shape[2:]
    dims = len(kernel)
    if len(before) != dims + 1:
        return None
    dilation = tuple_of(call.get(5, "dilation", 1), dims, 1)
    stride = tuple_of(call.get(3, "stride", 1), dims, 1)
    padding = call.get(4, "padding", 0)
    if isinstance(padding, str):
        total = [0 if padding == "valid" else d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if any(amount % 2 for amount in total):
            return None
        around = tuple(amount // 2 for amount in total)
    else:
        around = tuple_of(padding, dims, 0)
    return Convolution(call.args[1].name, kernel, stride, around, dilation, int(call.get(6, "groups", 1)))


def _batch_norm(call: Call) -> BatchNorm | None:
    weight, variance, training, eps = (call.args[position] for position in (1, 4, 5, 7))
    if training or not isinstance(variance, Parameter) or not (weight is None or isinstance(weight, Parameter)):
        return None
    return BatchNorm(None if weight is None else weight.name, variance.name, float(eps))


def _slice(call: Call, before: tuple[int, ...]) -> Operation | None:
    dim, start, step = call.get(1, "dim", 0), call.get(2, "start", None), call.get(4, "step", 1)
    if before == call.shape:
        return Identity()
    if not isinstance(dim, int) or not isinstance(start, (int, type(None))) or not isinstance(step, int):
        return None
    dim %= len(before) + 1
    first = start or 0
    if dim == 0:
        return None
    return Slice(dim - 1, first + before[dim - 1] if first < 0 else first, step)


def _permutation(call: Call, before: tuple[int, ...]) -> Permutation | None:
    rank = len(before) + 1
    if call.name == "permute":
        order = [int(dim) % rank for dim in call.args[1]]
    elif call.name == "transpose":
        order = list(range(rank))
        first, second = call.args[1] % rank, call.args[2] % rank
        order[first], order[second] = second, first
    else:
        return None
    return Permutation(tuple(dim - 1 for dim in order[1:])) if order[0] == 0 else None


def _pooling(call: Call) -> Operation | None:
    source = call.image_input(0)
    if len(call.shapes) != 1 or source is None:
        return None
    before = call.shapes[source]
    if call.name == "mean":
        dims = call.get(1, "dim", None)
        spatial = set(range(2, len(before) + 1))
        found = {int(dim) % (len(before) + 1) for dim in dims} if isinstance(dims, (list, tuple)) else set()
        return GlobalAverage() if spatial and found == spatial and len(before) > 1 else None
    return pooling.classify(call.name, call.args, call.kwargs, before, call.shape)


def _several_inputs(call: Call) -> Operation | None:
    if any(len(shape) != len(call.shape) for shape in call.shapes.values()):
        return None  # broadcasting would not align the batch
    if call.name in ("add", "sub", "rsub", "neg"):
        return _sum(call)
    if call.name == "cat":
        parts = call.args[0]
        dim = call.get(1, "dim", 0) % (len(call.shape) + 1)
        if dim == 1 and all(isinstance(part, Ref) and part.index in call.shapes for part in parts):
            return Concatenation(tuple(part.index for part in parts))
        return None
    if call.name in ("mul", "div") and len(call.args) == 2 and not call.kwargs:
        return _product(call)
    return None


def _sum(call: Call) -> Sum | None:
    signs = {"add": (1.0, 1.0), "sub": (1.0, -1.0), "rsub": (-1.0, 1.0), "neg": (-1.0, 0.0)}[call.name]
    alpha = argument(call.args, call.kwargs, 2, "alpha", 1)
    if not isinstance(alpha, (int, float)):
        return None
    factors = (signs[0] * (alpha if call.name == "rsub" else 1), signs[1] * (1 if call.name == "rsub" else alpha))
    terms = []
    for position, factor in enumerate(factors):
        index = call.image_input(position)
        if index is not None and factor:
            terms.append((index, float(factor)))
    return Sum(tuple(terms)) if terms else None


def _product(call: Call) -> Operation | None:
    first, second = call.image_input(0), call.image_input(1)
    if first is not None and second is not None:
        return Product(first, second) if call.name == "mul" else None
    number = call.args[1] if first is not None else call.args[0]
    index = first if first is not None else second
    if index is None or isinstance(number, bool) or not isinstance(number, (int, float)):
        return None
    if call.name == "mul":
        return Sum(((index, float(number)),))
    return Sum(((index, 1 / number),)) if first is not None and number else None


def _other(call: Call) -> Other:
    name = call.name
    one = len(call.shapes) == 1
    linear = name in _LINEAR and one
    if name in ("add", "sub", "rsub", "neg", "cat", "stack"):
        linear = True
    if name == "mul" or (name == "div" and call.image_input(0) is not None):
        linear = one
    return Other(
        kind=name,
        linear=linear,
        batchwise=call.batched and name in _BATCHWISE,
        smooth=name in _SMOOTH,
        pooling=name in _MAXIMA and one and not (name == "max" and isinstance(call.get(1, "other"), Ref)),
        pointwise=name in _POINTWISE,
        window=pooling.window(name, call.args, call.kwargs),
    )
