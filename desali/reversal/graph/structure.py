"""What a capture depends on besides the input: the modules, their settings, hooks, and how parameters are shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from desali.reversal.graph.marks import PLAIN, is_users, mark, same, settings

if TYPE_CHECKING:
    from torch import Tensor, nn

GROUPS = ("_parameters", "_buffers")
APART = frozenset({
    "training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_backward_pre_hooks",
    "_backward_hooks", "_is_full_backward_hook", "_forward_hooks", "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
    "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks", "call_super_init",
    "dump_patches", "_is_torch_compile", "_compiled_call_impl", "_compile_kwargs",
})  # fmt: skip


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

    It holds every module's type and what stands in its class, its mode, attributes (`marks`) and hooks, and every
    parameter's shape, type, device and identity among the parameters; not the parameters' values, which a capture reads
    anew each time.
    """
    from torch.nn.modules import module as globals_of_torch

    parts: list[Any] = [
        same(globals_of_torch._global_forward_hooks.values()),
        same(globals_of_torch._global_forward_pre_hooks.values()),
    ]
    first_use: dict[int, int] = {}
    visited: dict[int, int] = {}
    kinds: set[type] = set()

    def visit(module: nn.Module) -> None:
        place = visited.get(id(module))
        if place is not None:
            parts.append(place)
            return
        visited[id(module)] = len(visited)
        state = module.__dict__
        kind = type(module)
        parts.append((kind, module.training))
        if kind not in kinds and is_users(kind):
            kinds.add(kind)
            parts.append(settings(kind))
        for key, value in state.items():
            if key in APART:
                continue
            parts.append((key, value if isinstance(value, PLAIN) else mark(value)))
        for hooks in (state["_forward_hooks"], state["_forward_pre_hooks"]):
            if hooks:
                parts.append(same(hooks.values()))
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
