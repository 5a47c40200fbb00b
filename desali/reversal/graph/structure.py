"""What a capture depends on besides the input: the modules, their settings, hooks, and how parameters are shared."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

from desali.ops import contents

if TYPE_CHECKING:
    from torch import Tensor, nn

PLAIN = (int, float, str, type(None))
GROUPS = ("_parameters", "_buffers")
DEPTH = 4  # containers inside containers that are looked into
APART = frozenset({
    "training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_backward_pre_hooks",
    "_backward_hooks", "_is_full_backward_hook", "_forward_hooks", "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
    "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks", "call_super_init",
    "dump_patches",
})  # fmt: skip


class Same:
    """An object by its identity. It is not held, and once it is gone nothing equals it: its id may be given away."""

    __slots__ = ("_id", "_reference")

    def __init__(self, value: Any) -> None:
        self._id = id(value)
        self._reference = reference(value)

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Same) or self._id != other._id:
            return False
        alive = all(item is None or item() is not None for item in (self._reference, other._reference))
        return self is other or alive


def reference(value: Any) -> weakref.ref[Any] | None:
    """A weak reference to a value; None if there are none to its kind."""
    try:
        return weakref.ref(value)
    except TypeError:
        return None


def _same(values: Iterable[Any]) -> tuple[Same, ...]:
    return tuple(map(Same, values))


def may_change(value: Any) -> bool:
    """Whether a value can become another one without being replaced, in a way that `mark` sees."""
    import torch

    return isinstance(value, (list, dict, set, torch.Tensor)) or (
        isinstance(value, tuple) and any(map(may_change, value))
    )


def mark(value: Any, depth: int = 0) -> Hashable:
    """Something equal as long as an attribute says the same: contents of containers and tensors, else the identity."""
    import torch

    if isinstance(value, PLAIN):
        return type(value), value
    if isinstance(value, torch.Tensor):
        return Same(value), contents.facts(value), contents.fingerprint(value)
    if depth < DEPTH and isinstance(value, (list, tuple, set, dict)):
        items = value.items() if isinstance(value, dict) else value
        marks = [mark(item, depth + 1) for item in items]
        return type(value), frozenset(marks) if isinstance(value, set) else tuple(marks)
    return Same(value)


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer under each of its qualified names, in the order of `freshness.State`."""
    found: dict[str, Tensor] = {}
    modules = [("", model)]
    for prefix, module in modules:  # which grows
        state = module.__dict__
        modules += [(f"{prefix}{key}.", child) for key, child in state["_modules"].items() if child is not None]
        for group in GROUPS:
            found.update((prefix + key, tensor) for key, tensor in state[group].items() if tensor is not None)
    return found


def structure(model: nn.Module) -> tuple[Any, ...]:
    """A key that changes whenever a capture of the model may no longer hold.

    It holds every module's type, mode, plain attributes and hooks, and every parameter's shape, type, device and
    identity among the parameters; not the parameters' values, which a capture reads anew each time.
    """
    from torch.nn.modules import module as globals_of_torch

    parts: list[Any] = [
        _same(globals_of_torch._global_forward_hooks.values()),
        _same(globals_of_torch._global_forward_pre_hooks.values()),
    ]
    first_use: dict[int, int] = {}
    visited: dict[int, int] = {}

    def visit(module: nn.Module) -> None:
        place = visited.get(id(module))
        if place is not None:
            parts.append(place)
            return
        visited[id(module)] = len(visited)
        state = module.__dict__
        parts.append((type(module), module.training))
        for key, value in state.items():
            if key in APART:
                continue
            parts.append((key, value if isinstance(value, PLAIN) else mark(value)))
        for hooks in (state["_forward_hooks"], state["_forward_pre_hooks"]):
            if hooks:
                parts.append(_same(hooks.values()))
        for tensors in (state["_parameters"], state["_buffers"]):
            for key, tensor in tensors.items():
                if tensor is None:
                    parts.append((key, None))
                else:
                    use = first_use.setdefault(id(tensor), len(first_use))
                    parts.append((key, use, tensor.shape, tensor.dtype, tensor.device))
        for key, child in state["_modules"].items():
            parts.append(key)
            if child is not None:
                visit(child)

    visit(model)
    return tuple(parts)
