"""The rectifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali import ops
from desali.ops.backend import use_native
from desali.reversal.layers.base import Arrivals, Context, Node, Recorder, TorchCall, ValueFree
from desali.reversal.layers.call import Call
from desali.reversal.layers.reach import Cells, Shaped
from desali.reversal.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ReLU(ValueFree):
    """max(x, 0), or min(max(x, 0), upper); its mask is kept, one bit for each element.

    Attributes:
        written_out: the module computes it by other calls (a comparison and a choice), which give its value.
    """

    upper: float | None = None
    written_out: bool = False

    names = ("relu", "relu6", "threshold", "clamp", "clip", "clamp_min", "hardtanh")
    rectifies = masked = True
    plain_module = "ReLU"

    @classmethod
    def recognise(cls, call: Call) -> ReLU | None:
        if call.name == "relu":
            return cls()
        if call.name == "relu6":
            return cls(6.0)
        if call.name == "threshold":
            return cls() if tuple(call.args[1:3]) == (0, 0) else None
        hardtanh = call.name == "hardtanh"
        low = call.get(1, "min_val" if hardtanh else "min", -1.0 if hardtanh else None)
        high = None
        if call.name != "clamp_min":
            high = call.get(2, "max_val" if hardtanh else "max", 1.0 if hardtanh else None)
        if not isinstance(low, (int, float)) or low != 0:
            return None
        if high is None:
            return cls()
        return cls(float(high)) if isinstance(high, (int, float)) and high > 0 else None

    @classmethod
    def plain_call(cls, module: Any, own: Callable[[str], Any], x: Any) -> TorchCall:
        import torch

        return torch.ops.aten.relu.default, (x,), {}

    def record(self, recorder: Recorder, node: Node, x: Tensor, writable: bool) -> tuple[Tensor | None, Tensor]:
        if self.written_out:
            return None, ops.relu_with_mask(x, backend=recorder.backend)[1]
        kind = (ReLU, x.dim(), x.dtype)  # the backend is chosen once for all ReLUs of one kind of tensor
        native = recorder.known.get(kind)
        if native is None:
            reason = ops.can_run("relu_with_mask", x.device.type, str(x.dtype).removeprefix("torch."), x.dim() - 2)
            native = recorder.known[kind] = use_native("relu_with_mask", recorder.backend, reason)
        if native:
            return ops.native_relu_with_mask(x, self.upper, writable)
        out = x if writable else None
        return ops.relu_with_mask(x, upper=self.upper, out=out, backend=recorder.backend)

    def reverse(self, context: Context, node: Node, signal: Signal) -> Arrivals:
        rule = context.rule(node)
        tensor = ops.inverse_relu(
            signal.tensor,
            context.kept(node),
            map_size=node.shape[1:],
            relu_mask=rule.relu_mask,
            relu_backward=rule.relu_backward,
            origin=signal.origin,
            backend=context.backend,
        )
        return {node.inputs[0]: Signal(tensor, signal.origin)}

    def reach(self, node: Shaped, source: Shaped, cells: tuple[Cells, ...]) -> tuple[Cells, ...]:
        return cells

    @property
    def mask_is_sign(self) -> bool:
        return self.upper is None
