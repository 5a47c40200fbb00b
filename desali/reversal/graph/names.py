"""Give every operation the name that a user knows: the path of its module, or the module and the kind of operation."""

from __future__ import annotations

import operator
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from torch.fx import Node as FxNode


def module_of(node: FxNode) -> tuple[str, int]:
    """Qualified name of the innermost module that called the node, and which call of that module it was (from 0)."""
    return (stack_of(node) or [("", 0)])[-1]


def stack_of(node: FxNode) -> list[tuple[str, int]]:
    """`module_of` for every module whose forward the call stands in, the outermost first."""
    stack = node.meta.get("nn_module_stack") or {}
    return [_entry(key, path) for key, (path, _) in stack.items()]


def _entry(key: str, path: str) -> tuple[str, int]:
    call = key.rpartition("@")[2] if "@" in key else "0"
    return path.split("@")[0], int(call) if call.isdigit() else 0


def kind_of(node: FxNode) -> str:
    """The operation's plain name: "relu" for aten.relu_.default, "chunk" for one of its parts."""
    if node.target is operator.getitem:
        return kind_of(node.args[0])  # type: ignore[arg-type]
    name = getattr(node.target, "__name__", str(node.target)).split(".")[0]
    return name.strip("_") or name


def assign(model: nn.Module, nodes: list[FxNode], kinds: dict[FxNode, str]) -> dict[FxNode, str]:
    """Names for nodes in forward order; `kinds` names the operations that were recognised in several calls.

    A module without children gives its path to its last operation (`features.11`); its second use is `name:1`. Every
    other operation is called after its module and kind (`layer1.0.relu_fn`), again with `:1` for the second.
    """
    calls: dict[tuple[str, int], list[FxNode]] = defaultdict(list)
    for node in nodes:
        calls[module_of(node)].append(node)
    used: dict[str, int] = defaultdict(int)
    names: dict[FxNode, str] = {}
    for node in nodes:
        path, call = module_of(node)
        leaf = bool(path) and not any(True for _ in model.get_submodule(path).children())
        if leaf and calls[path, call][-1] is node:
            base = path
        else:
            base = f"{path}.{kinds.get(node) or kind_of(node)}_fn".lstrip(".")
        names[node] = base if not used[base] else f"{base}:{used[base]}"
        used[base] += 1
    return names
