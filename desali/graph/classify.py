"""Tell which primitive layer an ATen call is."""

from __future__ import annotations

from typing import Any

from desali.graph.network import Parameter, Ref
from desali.graph.operations import Convolution, Identity, Linear, MaxPool, Operation, Other, ReLU, Reshape

_IDENTITY = {"dropout", "feature_dropout", "alpha_dropout", "clone", "contiguous", "alias", "detach", "lift_fresh_copy"}
_RESHAPE = {"view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "_unsafe_view"}
_POINTWISE = {
    "add", "sub", "mul", "div", "neg", "abs", "exp", "log", "sqrt", "rsqrt", "pow", "square", "sigmoid", "tanh", "hardsigmoid",
    "cat", "chunk", "split", "split_with_sizes", "batch_norm", "leaky_relu", "prelu", "clamp", "maximum", "minimum", "gelu",
    "silu", "hardswish", "elu", "selu", "celu", "mish", "softplus", "log_sigmoid", "hardtanh", "softsign", "channel_shuffle",
}  # fmt: skip
_LINEAR = {
    "add", "sub", "neg", "cat", "stack", "chunk", "split", "split_with_sizes", "batch_norm", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "mean", "sum", "pad", "constant_pad_nd", "permute", "transpose",
    "t", "flip", "roll", "slice", "select", "narrow", "expand", "repeat", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "upsample_nearest2d", "upsample_bilinear2d", "conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "linear", "instance_norm_inference",
}  # fmt: skip
_BATCHWISE = {
    "add", "sub", "neg", "mul", "div", "sigmoid", "hardsigmoid", "tanh", "batch_norm", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear",
    "upsample_nearest2d", "upsample_bilinear2d", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "leaky_relu", "silu", "gelu",
    "hardswish", "elu", "mish",
}  # fmt: skip
_SMOOTH = {
    "gelu", "silu", "hardswish", "elu", "selu", "celu", "mish", "softplus", "softmax", "_softmax", "log_softmax", "_log_softmax",
    "scaled_dot_product_attention", "_native_multi_head_attention", "layer_norm", "native_layer_norm",
}  # fmt: skip


def kind(call: Any) -> str:
    """An ATen overload's plain name, in-place marker removed: "relu" for aten.relu_.default."""
    name: str = getattr(call, "__name__", str(call)).split(".")[0]
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def _pair(value: Any, dims: int, default: int) -> tuple[int, ...]:
    if value is None or (isinstance(value, (list, tuple)) and not value):
        return (default,) * dims
    items = [int(value)] if isinstance(value, int) else [int(item) for item in value]
    return tuple(items * dims) if len(items) == 1 else tuple(items)


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str, default: Any) -> Any:
    return args[position] if len(args) > position else kwargs.get(name, default)


def _relu(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ReLU | None:
    if name == "relu":
        return ReLU()
    if name == "relu6":
        return ReLU(6.0)
    if name in ("clamp", "clamp_min", "hardtanh"):
        low = _argument(
            args, kwargs, 1, "min_val" if name == "hardtanh" else "min", -1.0 if name == "hardtanh" else None
        )
        high = None
        if name != "clamp_min":
            high = _argument(
                args, kwargs, 2, "max_val" if name == "hardtanh" else "max", 1.0 if name == "hardtanh" else None
            )
        if (
            isinstance(low, (int, float))
            and low == 0
            and (high is None or (isinstance(high, (int, float)) and high > 0))
        ):
            return ReLU(None if high is None else float(high))
    if name == "threshold" and tuple(args[1:3]) == (0, 0):
        return ReLU()
    return None


def _convolution(args: tuple[Any, ...], kwargs: dict[str, Any], kernel: tuple[int, ...]) -> Convolution | None:
    dims = len(kernel)
    weight = args[1]
    padding = _argument(args, kwargs, 4, "padding", 0)
    dilation = _pair(_argument(args, kwargs, 5, "dilation", 1), dims, 1)
    stride = _pair(_argument(args, kwargs, 3, "stride", 1), dims, 1)
    if isinstance(padding, str):
        total = [0 if padding == "valid" else d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if any(amount % 2 for amount in total):
            return None
        around = tuple(amount // 2 for amount in total)
    else:
        around = _pair(padding, dims, 0)
    if not isinstance(weight, Parameter):
        return None
    return Convolution(weight.name, kernel, stride, around, dilation, int(_argument(args, kwargs, 6, "groups", 1)))


def _max_pool(args: tuple[Any, ...], kwargs: dict[str, Any], dims: int) -> MaxPool:
    kernel = _pair(args[1], dims, 1)
    stride = _argument(args, kwargs, 2, "stride", None)
    return MaxPool(
        kernel,
        kernel if not stride else _pair(stride, dims, 1),
        _pair(_argument(args, kwargs, 3, "padding", 0), dims, 0),
        _pair(_argument(args, kwargs, 4, "dilation", 1), dims, 1),
        bool(_argument(args, kwargs, 5, "ceil_mode", False)),
    )


def _other(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: int, all_batched: bool) -> Other:
    scalar = inputs == 1 and len(args) > 1 and isinstance(args[1], (int, float, Parameter))
    linear = name in _LINEAR or (name in ("mul", "div") and scalar and isinstance(args[0], Ref))
    if name in ("add", "sub") and not all_batched:
        linear = True
    window = None
    if name in ("avg_pool1d", "avg_pool2d", "avg_pool3d"):
        dims = int(name[-2])
        size = _pair(args[1], dims, 1)
        stride = _argument(args, kwargs, 2, "stride", None)
        window = (
            size,
            size if not stride else _pair(stride, dims, 1),
            _pair(_argument(args, kwargs, 3, "padding", 0), dims, 0),
        )
    return Other(
        linear=linear,
        batchwise=name in _BATCHWISE and all_batched,
        smooth=name in _SMOOTH,
        pointwise=name in _POINTWISE,
        window=window,
    )


def classify(
    call: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    shapes: list[tuple[int, ...]],
    shape: tuple[int, ...],
    weight_shape: tuple[int, ...] | None,
    batched: bool,
) -> Operation:
    """The primitive layer of one call.

    Args:
        shapes: shapes of its tensor inputs without the batch dimension.
        shape: shape of its value without the batch dimension.
        weight_shape: shape of its second argument, if that is a parameter.
        batched: dimension 0 of every input and of the value is the batch.
    """
    name = kind(call)
    relu = _relu(name, args, kwargs)
    if relu is not None:
        return relu
    if name in _IDENTITY and shapes and shapes[0] == shape:
        return Identity()
    if name in _RESHAPE and len(shapes) == 1 and batched and _size(shapes[0]) == _size(shape):
        return Reshape()
    if name in ("conv1d", "conv2d", "conv3d") and weight_shape is not None and len(shapes) == 1 and batched:
        convolution = _convolution(args, kwargs, weight_shape[2:])
        if convolution is not None and len(shapes[0]) == len(weight_shape) - 1:
            return convolution
    if name == "linear" and isinstance(args[1], Parameter) and len(shapes) == 1 and batched:
        return Linear(args[1].name)
    if name in ("max_pool1d", "max_pool2d", "max_pool3d") and batched and len(shapes[0]) == int(name[-2]) + 1:
        return _max_pool(args, kwargs, int(name[-2]))
    return _other(name, args, kwargs, len(shapes), batched)


def _size(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
