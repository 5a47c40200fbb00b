"""Modules that cannot be recorded because of what they are, and the way out for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError
from desali.reversal.graph.errors import CaptureError

if TYPE_CHECKING:
    from torch import Tensor, nn

_QUANTISED = ("torch.ao.nn.quantized", "torch.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.intrinsic.q")
_SHARDED = ("FullyShardedDataParallel", "FSDPModule")
_OWN = ("Parameter", "Tensor", "Buffer")


def refuse_unfit(model: nn.Module, name: str = "") -> None:
    """Refuse modules whose forward or weights are of a kind that cannot be recorded.

    Args:
        name: what to call the model in a message; its class if empty.

    Raises:
        CaptureError: it is TorchScript, exported, quantised, lazy, sparse, complex or sharded, or has no values.
    """
    name = name or type(model).__name__
    reason = _reason(model)
    if reason is not None:
        raise CaptureError(f"{name} cannot be recorded: {reason}")


@contextmanager
def explained(model: nn.Module) -> Iterator[None]:
    """Say what a module is that lacks attributes or tensors which others have."""
    try:
        yield
    except DesaliError:
        raise
    except Exception:
        refuse_unfit(model)
        raise


def _reason(model: nn.Module) -> str | None:
    import torch

    for path, module in model.named_modules():
        what = f"its module {path!r}" if path else "it"
        kind = type(module)
        if isinstance(module, torch.jit.ScriptModule):
            return f"{what} is TorchScript, whose forward is compiled; record the Python module that it was made from"
        if any(one.__module__ == "torch.export._unlift" for one in kind.__mro__):
            return f"{what} is an exported program; record the Python module that it was made from"
        if kind.__module__.startswith(_QUANTISED):
            return (
                f"{what} is quantised ({kind.__name__}); record the network in floating-point numbers, from before that"
            )
        if any(one.__name__ in _SHARDED for one in kind.__mro__):
            return (
                f"the weights of {path or kind.__name__} are sharded (FSDP); gather them into a plain module "
                "(get_model_state_dict with full_state_dict=True), and record that"
            )
        own = [*module._parameters.items(), *module._buffers.items()]
        for key, tensor in own:
            found = None if tensor is None else _of_tensor(tensor)
            if found is not None:
                return f"its {f'{path}.{key}'.lstrip('.')} {found}"
    return None


def _of_tensor(tensor: Tensor) -> str | None:
    import torch
    from torch.nn.parameter import is_lazy

    kind: Any = type(tensor)
    if is_lazy(tensor):
        return "has no shape yet (lazy); run the module once on images, model(images), before it is recorded"
    if kind.__name__ == "DTensor" or type(getattr(tensor, "data", None)).__name__ == "DTensor":
        return "is distributed over several processes (DTensor); gather it (full_tensor()) into a plain module"
    if tensor.is_quantized or tensor.dtype in (torch.quint8, torch.qint8, torch.qint32):
        return "is quantised; record the network in floating-point numbers, from before that"
    if tensor.layout is not torch.strided:
        return f"is sparse ({str(tensor.layout).removeprefix('torch.')}); make it dense first (to_dense())"
    if tensor.is_meta:
        return "is on the meta device, where nothing has a value; load the weights first"
    if tensor.is_complex():
        return f"is of complex numbers ({str(tensor.dtype).removeprefix('torch.')}); networks of real ones are recorded"
    if kind.__name__ not in _OWN and hasattr(kind, "__torch_dispatch__") and kind.__module__.partition(".")[0] in (
        "torchao", "bitsandbytes", "torch_xla",
    ):  # fmt: skip
        return f"is a {kind.__name__} ({kind.__module__.partition('.')[0]}); record the network in plain tensors"
    return None
