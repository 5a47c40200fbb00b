"""Modules that only pass a call on to the one inside: what `torch.compile` and parallel training put around a network.

The network is the module inside, under its plain names.
"""

from __future__ import annotations

import copy
import weakref
from typing import TYPE_CHECKING

from desali.reversal.graph.errors import CaptureError
from desali.reversal.graph.structure import structure, tensors

if TYPE_CHECKING:
    from torch import nn

_INSIDE = {
    ("torch._dynamo.eval_frame", "OptimizedModule"): "_orig_mod",
    ("torch.nn.parallel.data_parallel", "DataParallel"): "module",
    ("torch.nn.parallel.distributed", "DistributedDataParallel"): "module",
    ("torch.optim.swa_utils", "AveragedModel"): "module",
}
"""By name, since importing some of these takes seconds."""


_KNOWN: dict[type, str | None] = {}


def inside_of(kind: type) -> str | None:
    """Under which name a wrapper of this class holds the network; None of any other class."""
    if kind not in _KNOWN:
        names = [_INSIDE.get((one.__module__, one.__name__)) for one in kind.__mro__]
        _KNOWN[kind] = next((name for name in names if name is not None), None)
    return _KNOWN[kind]


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside of all wrappers around the whole of it; the module itself where there are none.

    Raises:
        CaptureError: a wrapper has hooks of its own, which would be left out.
    """
    while (name := inside_of(type(model))) is not None:
        if model._forward_hooks or model._forward_pre_hooks:
            raise CaptureError(
                f"the {type(model).__name__} around the model has hooks of its own: register them on the module inside "
                f"(.{name})"
            )
        model = model.__dict__["_modules"][name]
    return model


def is_wrapped(model: nn.Module) -> bool:
    """Whether a wrapper stands around the module or around any inside of it."""
    modules = [model]
    for module in modules:  # which grows
        modules += [child for child in module.__dict__["_modules"].values() if child is not None]
    return any(inside_of(kind) is not None for kind in set(map(type, modules)))


def without_wrappers(model: nn.Module) -> nn.Module:
    """The same network without wrappers; itself where there are none.

    Where wrappers stand inside, it is a copy that shares every parameter and buffer; the same one as before, as long as
    the model is what it was.

    Raises:
        CaptureError: it cannot be copied, or a wrapper has hooks of its own.
    """
    model = unwrapped(model)
    if not is_wrapped(model):
        return model
    plain = copied(model, sharing(model, buffers=True))
    known = _PLAIN.get(model)
    if known is not None and structure(known) == structure(plain) and _tensors(known) == _tensors(plain):
        return known
    _PLAIN[model] = plain
    return plain


_PLAIN: weakref.WeakKeyDictionary[nn.Module, nn.Module] = weakref.WeakKeyDictionary()


def _tensors(model: nn.Module) -> list[tuple[str, int]]:
    return [(name, id(tensor)) for name, tensor in tensors(model).items()]


def sharing(model: nn.Module, buffers: bool = False) -> dict[int, object]:
    """What a copy shares with the model, by id: parameters, tensors that cannot be copied and, if asked, buffers."""
    shared: dict[int, object] = {id(parameter): parameter for parameter in model.parameters()}
    shared |= {id(buffer): buffer for buffer in model.buffers()} if buffers else {}
    for module in model.modules():
        for value in vars(module).values():
            if getattr(value, "grad_fn", None) is not None:
                shared[id(value)] = value
    return shared


def copied(model: nn.Module, shared: dict[int, object]) -> nn.Module:
    """The same modules again, without wrappers.

    Args:
        shared: what is not copied, by its id.

    Raises:
        CaptureError: an attribute cannot be copied; the message names the module and the attribute.
    """
    for module in reversed(list(model.modules())):  # the innermost first
        if inside_of(type(module)) is not None:
            shared[id(module)] = copied(unwrapped(module), shared)
    try:
        return copy.deepcopy(model, dict(shared))
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CaptureError(
            f"{type(model).__name__} cannot be captured: {_culprit(model, shared)} cannot be copied ({reason}); take "
            "it off the module, or give its class a __deepcopy__ or __getstate__ that leaves it out"
        ) from error


def _culprit(model: nn.Module, shared: dict[int, object]) -> str:
    """Which attribute of which module cannot be copied."""
    for name, module in model.named_modules():
        for key, value in module.__dict__.items():
            if key == "_modules":
                continue
            try:
                copy.deepcopy(value, dict(shared))
            except Exception:
                return f"attribute {key!r} of {f'module {name!r}' if name else 'the module'}"
    return "the module"
