"""Which kinds of layers there are, and which of them a call is: one look-up by the operator's name."""

from __future__ import annotations

import contextlib
import difflib
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from desali.errors import LayerError
from desali.reversal.layers.arithmetic import Product, Sum
from desali.reversal.layers.arranging import ChannelShuffle, Concatenation, Identity, Permutation, Reshape, Slice
from desali.reversal.layers.base import Layer
from desali.reversal.layers.call import Call
from desali.reversal.layers.convolution import Convolution, Linear
from desali.reversal.layers.norms import BatchNorm, LocalResponseNorm
from desali.reversal.layers.other import Other
from desali.reversal.layers.pooling import AveragePool, GlobalAverage, MaxPool
from desali.reversal.layers.relu import ReLU

if TYPE_CHECKING:
    from torch import nn

Kind = type[Layer]
AnyKind = TypeVar("AnyKind", bound=Kind)

BUILT_IN: tuple[Kind, ...] = (
    ReLU, Identity, Convolution, Linear, BatchNorm, LocalResponseNorm, MaxPool, GlobalAverage, AveragePool, Sum,
    Product, Concatenation, Slice, Reshape, Permutation, ChannelShuffle, Other,
)  # fmt: skip
"""In the order in which they are asked about a name; `Other` takes what none of them does."""

_MISSING = {
    "recognise": (
        "how it is recognised",
        "write a classmethod recognise(cls, call) that returns an instance, or None to leave the call to others",
    ),
    "reverse": (
        "how it is reversed",
        "write reverse(self, context, node, signal), or derive it from WholeMaps or Adjoint",
    ),
    "backward": ("how it is reversed", "write backward(self, signal, x, method)"),
    "reach": (
        "how far it reaches",
        "write reach(self, node, source, cells), or reach = pointwise, windows(3, padding=1) or everything",
    ),
}

_users: tuple[Kind, ...] = ()
_by_name: dict[str, tuple[Kind, ...]] = {}
_by_module: dict[type[nn.Module], Kind] = {}


def _index(kinds: tuple[Kind, ...]) -> dict[str, tuple[Kind, ...]]:
    table: dict[str, tuple[Kind, ...]] = {}
    for kind in kinds:
        for name in kind.names:
            table[name] = (*table.get(name, ()), kind)
    return table


_BUILT_IN_BY_NAME = _index(BUILT_IN)
PLAIN: dict[str, Kind] = {kind.plain_module: kind for kind in BUILT_IN if kind.plain_module}
"""The kinds by the name of the class in `torch.nn` that they are in a plain chain."""


def recognise(call: Call) -> Layer:
    """The layer that a call is: the first of the kinds that claim its name and take it, users' before the built-in."""
    layer = recognise_by_users(call)
    if layer is None:
        layer = _first(_BUILT_IN_BY_NAME, call)
    return Other.recognise(call) if layer is None else layer


def recognise_by_users(call: Call) -> Layer | None:
    """The layer that a call is for the kinds that were registered."""
    return _first(_by_name, call) if _by_name else None


def _first(table: dict[str, tuple[Kind, ...]], call: Call) -> Layer | None:
    for kind in table.get(call.name, ()):
        layer = recognise_as(kind, call)
        if layer is not None:
            return layer
    return None


def recognise_as(kind: Kind, call: Call) -> Layer | None:
    """The layer that a call is for one kind.

    Raises:
        LayerError: the kind gives neither a layer nor None.
    """
    layer: Any = kind.recognise(call)
    if layer is None or isinstance(layer, Layer):
        return layer
    got = f"the class {layer.__name__} itself" if inspect.isclass(layer) else repr(layer)
    raise LayerError(
        f"{kind.__name__}.recognise must return an instance of {kind.__name__}, such as cls(), or None to leave the "
        f"call to others; got {got}"
    )


def kind_of_module(module: type[nn.Module]) -> Kind | None:
    """The registered kind that claims modules of this class as one layer."""
    if not _by_module:
        return None
    return next((_by_module[ancestor] for ancestor in module.__mro__ if ancestor in _by_module), None)


def registered_kinds() -> tuple[Kind, ...]:
    """The kinds from outside, the last registered first; captures are kept apart by them."""
    return _users


def claims_modules() -> bool:
    """Whether any registered kind claims module classes."""
    return bool(_by_module)


def register_layer(kind: AnyKind) -> AnyKind:
    """Let desali know a kind of layer; it comes before the built-in kinds that claim the same operators.

    Models are captured anew on their next use. May stand as a decorator before the class.

    Args:
        kind: a class derived from `desali.reversal.layers.Layer`, or from `WholeMaps` or `Adjoint`, which have less to
            write (`docs/layers.md`).

    Returns:
        The class.

    Raises:
        LayerError: an answer is missing that has no safe default, or the kind is registered already.
    """
    _check(kind)
    _set((kind, *_users))
    return kind


def unregister_layer(kind: Kind) -> None:
    """Take a registered kind back.

    Raises:
        LayerError: it is not registered.
    """
    if kind not in _users:
        raise LayerError(f"unregister_layer: {getattr(kind, '__name__', kind)} is not registered")
    _set(tuple(other for other in _users if other is not kind))


@contextlib.contextmanager
def registered(*kinds: Kind) -> Iterator[None]:
    """Know some kinds for the length of a `with` block."""
    before = _users
    try:
        for kind in kinds:
            register_layer(kind)
        yield
    finally:
        _set(tuple(kind for kind in _users if kind in before or kind not in kinds))


def _set(kinds: tuple[Kind, ...]) -> None:
    global _users, _by_name, _by_module
    _users, _by_name = kinds, _index(kinds)
    _by_module = {module: kind for kind in reversed(kinds) for module in kind.modules}


def _check(kind: Any) -> None:
    if not inspect.isclass(kind) or not issubclass(kind, Layer):
        got = kind.__name__ if inspect.isclass(kind) else f"an object of class {type(kind).__name__}"
        raise LayerError(
            f"register_layer takes a class derived from desali.reversal.layers.Layer, WholeMaps or Adjoint, got {got}"
        )
    name = kind.__name__
    if kind in _users:
        raise LayerError(f"register_layer: {name} is registered already; desali knows it once")
    taken = next((other for other in (*_users, *BUILT_IN) if other.__name__ == name), None)
    if taken is not None:
        raise LayerError(
            f"register_layer: a kind named {name} is known already ({taken.__module__}); name the class otherwise, "
            "messages tell kinds by their names"
        )
    abstract: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
    answers = [answer for answer in _MISSING if hasattr(kind, answer)]
    missing = [answer for answer in answers if answer in abstract or not callable(getattr(kind, answer))]
    if missing:
        texts = [_MISSING[answer] for answer in missing]
        raise LayerError(
            f"register_layer: {name} does not say {' nor '.join(text for text, _ in texts)}: "
            f"{'; '.join(way for _, way in texts)}"
        )
    if inspect.isfunction(inspect.getattr_static(kind, "recognise")):
        raise LayerError(f"register_layer: {name}.recognise must be a classmethod: write @classmethod before it")
    _check_claims(kind, name)
    if kind.fuses and kind.reverse_with_relu is Layer.reverse_with_relu:
        raise LayerError(
            f"register_layer: {name} says that it fuses with a ReLU below, but not how: write "
            "reverse_with_relu(self, context, node, signal, relu), or leave fuses out"
        )
    if kind.masked:
        raise LayerError(
            f"register_layer: {name} says masked, which only the built-in ReLU is; a rectifier with a rule of its own "
            "says rectifies = True"
        )


def _check_claims(kind: Kind, name: str) -> None:
    import torch

    for attribute, what, example in (
        ("names", "operators' names", '("leaky_relu",)'),
        ("modules", "module classes", "(Blur,)"),
    ):
        if not isinstance(getattr(kind, attribute), tuple):
            raise LayerError(f"register_layer: {name}.{attribute} must be a tuple of {what}, such as {example}")
    if not kind.names and not kind.modules:
        raise LayerError(
            f'register_layer: {name} does not say what it is found by: write names = ("leaky_relu",) with operators\' '
            "names, or modules = (Blur,) with module classes"
        )
    for claimed in kind.names:
        if not isinstance(claimed, str) or not _exists(claimed):
            near = difflib.get_close_matches(str(claimed), [*_BUILT_IN_BY_NAME, *dir(torch.ops.aten)], 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise LayerError(
                f"register_layer: {name}.names holds {claimed!r}, and ATen has no operator of that name: {hint}"
                'write the plain name without an in-place underscore, and "library::name" for a custom operator'
            )
    for module in kind.modules:
        own = inspect.isclass(module) and issubclass(module, torch.nn.Module) and module is not torch.nn.Module
        if not own:
            got = getattr(module, "__name__", repr(module))
            raise LayerError(
                f"register_layer: {name}.modules must hold classes derived from torch.nn.Module, got {got}"
            )
        other = _by_module.get(module)
        if other is not None:
            raise LayerError(
                f"register_layer: {name} claims modules of class {module.__name__}, as {other.__name__} does; "
                "unregister that one first"
            )


def _exists(name: str) -> bool:
    import torch

    library, _, operator = name.rpartition("::")
    if library:
        return bool(operator)
    return name in _BUILT_IN_BY_NAME or (not name.endswith("_") and hasattr(torch.ops.aten, name))
