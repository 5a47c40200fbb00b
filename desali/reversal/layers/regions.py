"""What the layers that read windows share: the region of the map below that a signal's window reaches, and fusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from desali.reversal.layers.base import Arrivals, Context, Node
from desali.reversal.signals import Signal, add, whole

if TYPE_CHECKING:
    from torch import Tensor


def region_below(
    signal: Signal,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    map_size: tuple[int, ...],
) -> tuple[dict[str, Any], Tensor | None]:
    """The window of the map below that a window's signal reaches; the whole map once it is no smaller.

    Returns:
        The arguments that the ops take for it, and where the window begins (None: the whole map).
    """
    import torch

    from desali.ops.checks import constant

    if signal.origin is None:
        return {}, None
    size = tuple(
        (extent - 1) * step + (width - 1) * between + 1
        for extent, step, width, between in zip(signal.size, stride, kernel, dilation, strict=True)
    )
    if all(extent >= limit for extent, limit in zip(size, map_size, strict=True)):
        origin = torch.zeros_like(signal.origin)
        return {"origin": signal.origin, "out_origin": origin, "out_size": map_size}, None
    device = signal.origin.device
    origin = signal.origin * constant(stride, device) - constant(padding, device)
    return {"origin": signal.origin, "out_origin": origin, "out_size": size}, origin


def fusion(context: Context, relu: Node | None) -> dict[str, Any]:
    """The arguments by which an op does the inverse of the ReLU below too."""
    if relu is None:
        return {}
    rule = context.rule(relu)
    return {"relu": context.kept(relu), "relu_mask": rule.relu_mask, "relu_backward": rule.relu_backward}


def arrive(context: Context, arrivals: Arrivals, index: int, part: Signal) -> None:
    """Add a signal to what arrives at a node."""
    known = arrivals.get(index)
    arrivals[index] = part if known is None else add(known, part, context.shape(index)[1:])


def unbroadcast(signal: Signal, shape: tuple[int, ...], target: tuple[int, ...]) -> Signal:
    """Sum over what was broadcast from `target` to `shape`."""
    if shape == target:
        return signal
    tensor: Tensor = signal.tensor if shape[1:] == target[1:] else whole(signal, shape[1:]).tensor
    dims = [2 + dim for dim, size in enumerate(target) if size != shape[dim]]
    tensor = tensor.sum(dim=dims, keepdim=True)
    return Signal(tensor, signal.origin if shape[1:] == target[1:] else None)
