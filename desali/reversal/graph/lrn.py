"""Recognise local response normalisation in a captured graph.

`torch.nn.functional.local_response_norm` is traced as mul - view - pad - avg_pool3d - squeeze - view - mul - add -
pow - div (mul - unsqueeze - pad - avg_pool2d - squeeze - ... for three-dimensional input).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from desali.reversal.graph.operations import LocalResponseNorm

if TYPE_CHECKING:
    from torch.fx import Node as FxNode


def _name(node: Any) -> str:
    return getattr(getattr(node, "target", None), "__name__", "").split(".")[0]


def _is(node: Any, *names: str) -> bool:
    return getattr(node, "op", None) == "call_function" and _name(node) in names


def _steps_to_square(node: Any) -> tuple[list[FxNode], FxNode] | None:
    """Walk from the averaged squares up to the squaring; returns the steps and the averaging node."""
    steps: list[FxNode] = []
    average: FxNode | None = None
    while True:
        if _is(node, "mul") and len(node.args) == 2 and node.args[0] is node.args[1]:
            return (([*steps, node], average)) if average is not None else None
        if not _is(
            node, "view", "reshape", "squeeze", "unsqueeze", "pad", "constant_pad_nd", "avg_pool3d", "avg_pool2d"
        ):
            return None
        if _is(node, "avg_pool3d", "avg_pool2d"):
            average = node
        steps.append(node)
        node = node.args[0]


def match(div: FxNode) -> tuple[LocalResponseNorm, FxNode, list[FxNode]] | None:
    """Whether a division is the last step of a local response normalisation.

    Returns:
        The operation, the node of its input, and the nodes it swallows; or None.
    """
    if not _is(div, "div") or len(div.args) != 2 or div.kwargs:
        return None
    source, power = div.args
    if not _is(power, "pow") or not isinstance(power.args[1], (int, float)):  # type: ignore[union-attr]
        return None
    shifted = power.args[0]  # type: ignore[union-attr]
    if not _is(shifted, "add") or not isinstance(shifted.args[1], (int, float)):  # type: ignore[union-attr]
        return None
    scaled = shifted.args[0]  # type: ignore[union-attr]
    if not _is(scaled, "mul") or not isinstance(scaled.args[1], (int, float)):  # type: ignore[union-attr]
        return None
    found = _steps_to_square(scaled.args[0])  # type: ignore[union-attr]
    if found is None:
        return None
    steps, average = found
    square = steps[-1]
    if square.args[0] is not source:
        return None
    inner: list[Any] = [power, shifted, scaled, *steps]
    allowed = {*inner, div}
    if any(user not in allowed for node in inner for user in node.users):
        return None
    kernel: Any = average.args[1]
    if any(extent != 1 for extent in kernel[1:]):
        return None
    size = int(kernel[0])
    operation = LocalResponseNorm(
        size,
        float(scaled.args[1]),  # type: ignore[union-attr]
        float(power.args[1]),  # type: ignore[union-attr]
        float(shifted.args[1]),  # type: ignore[union-attr]
    )
    return operation, source, inner  # type: ignore[return-value]
