"""A short cut for plain chains of torch.nn layers, which need no export (whose import alone takes a second or two).

The module's clone runs once. Every layer of a known class takes the previous layer's output; between layers nothing is
computed but `torch.flatten(x, 1)`. Whatever else the forward does, reading a size or a value included, is seen and
leaves the module to the export.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from desali.reversal.graph.network import Network
from desali.reversal.layers import registry
from desali.reversal.layers.base import Node, TorchCall
from desali.reversal.layers.call import Call, Parameter, Ref, name_of
from desali.reversal.layers.ends import Image

if TYPE_CHECKING:
    from torch import Tensor, nn


class _NotAChain(Exception):
    """The forward pass does something that is not a chain of known layers."""


def _hooked(module: nn.Module) -> bool:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, name, None) for name in hooks) or "forward" in vars(module)


def _call(module: nn.Module, name: str) -> TorchCall:
    """What a layer of a known class calls, with a reference to the previous value."""
    from torch import nn

    kind = registry.PLAIN.get(type(module).__name__)

    def own(parameter: str) -> Parameter | None:
        return None if getattr(module, parameter) is None else Parameter(f"{name}.{parameter}".lstrip("."))

    call = None
    if kind is not None and type(module) is getattr(nn, kind.plain_module):
        call = kind.plain_call(module, own, Ref(-1))
    if call is None:
        raise _NotAChain
    return call


class _Recorder:
    """Watches one forward pass of a clone and writes down its chain."""

    def __init__(self, clone: nn.Module, images: Tensor) -> None:
        self.latest: Any = images
        self.inside = False
        self.nodes = [Node(0, "", "", Image(), _first, (), {}, (), tuple(images.shape[1:]))]
        self.used: dict[str, int] = {}
        for name, module in clone.named_modules():
            if not any(True for _ in module.children()):
                module.forward = self._watch(module, name, module.forward)  # the clone's own attribute

    def _watch(self, module: nn.Module, name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            call = _call(module, name)
            if self.inside or kwargs or len(args) != 1 or args[0] is not self.latest:
                raise _NotAChain
            self.inside = True
            value = forward(args[0])
            self.add(name, name, call, value)
            self.inside = False
            return value

        return watched

    def function(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Called for every torch function outside the layers."""
        import torch

        if self.inside:
            return func(*args, **kwargs)
        start = args[1] if len(args) > 1 else kwargs.get("start_dim", 0)
        if (
            func is not torch.flatten
            or not args
            or args[0] is not self.latest
            or start != 1
            or len(args) + len(kwargs) > 2
        ):
            raise _NotAChain
        self.inside = True
        value = func(*args, **kwargs)
        self.add("flatten_fn", "", (torch.ops.aten.flatten.using_ints, (Ref(-1), 1), {}), value)
        self.inside = False
        return value

    def add(self, name: str, module: str, call: TorchCall, value: Any) -> None:
        """Append a node."""
        import torch

        if not isinstance(value, torch.Tensor) or value.dim() < 2:
            raise _NotAChain
        previous = self.nodes[-1]
        function, args, kwargs = call
        args = tuple(Ref(previous.index) if isinstance(item, Ref) else item for item in args)
        shape = tuple(value.shape[1:])
        shapes = {previous.index: previous.shape}
        operation = registry.recognise(
            Call(name_of(function), args, kwargs, shapes, shape, self._weight_shape(args), True)
        )
        number = self.used.get(name, 0)
        self.used[name] = number + 1
        label = f"{name}:{number}" if number else name
        self.nodes.append(
            Node(previous.index + 1, label, module, operation, function, args, kwargs, (previous.index,), shape)
        )
        self.latest = value

    def _weight_shape(self, args: tuple[Any, ...]) -> tuple[int, ...] | None:
        return self.shapes.get(args[1].name) if len(args) > 1 and isinstance(args[1], Parameter) else None

    shapes: dict[str, tuple[int, ...]]


def _first(*_args: Any) -> Any:
    raise AssertionError("the image is not computed")


def chain(clone: nn.Module, images: Tensor) -> Network | None:
    """The network of a plain chain, or None if the module is not one.

    Args:
        clone: a copy of the module that may be altered; it shares the original's parameters.
        images: [N, C, H, W].
    """
    import torch
    from torch.overrides import TorchFunctionMode

    modules = list(clone.modules())
    several_names = len(modules) < len(list(clone.named_modules(remove_duplicate=False)))
    claimed = any(registry.kind_of_module(type(module)) is not None for module in modules)
    if images.dim() != 4 or several_names or claimed or any(_hooked(module) for module in modules):
        return None

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return recorder.function(func, args, kwargs or {})

    leaf = images.detach().clone()
    recorder = _Recorder(clone, leaf)
    recorder.shapes = {name: tuple(parameter.shape) for name, parameter in clone.named_parameters()}
    try:
        with torch.no_grad(), Watch():
            value = clone(leaf)
    except _NotAChain:
        return None
    except Exception:  # the export meets the same failure and explains it
        return None
    if value is not recorder.latest or len(recorder.nodes) < 2:
        return None
    return Network(tuple(recorder.nodes), len(recorder.nodes) - 1)
