"""One quick walk over a model: its tensors, and whether anything else about it changed since the last walk."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from desali.reversal.graph.structure import PLAIN, reference, structure

if TYPE_CHECKING:
    from torch import Tensor, nn

_DERIVED = "_reversed_padding_repeated_twice"  # a convolution's list that follows from its padding


class Key:
    """A structure to look captures up by: hashed once, and equal to itself without a comparison."""

    __slots__ = ("_hash", "_parts")

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self._parts = parts
        self._hash = hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Key) and self._hash == other._hash and self._parts == other._parts)


class Survey:
    """What one walk over a model found.

    Attributes:
        tensors: every parameter and buffer under each of its qualified places, in the order of the walk.
        addresses: of each of them; `Module.to` and the like change these without replacing a parameter.
        versions: each one's count of writes.
        hooked: whether any module has a forward hook, which may be exchanged in its place.
    """

    def __init__(self, model: nn.Module) -> None:
        self.hooked = False
        self._modules: list[nn.Module] = []
        self._ids: list[Any] = []
        found: list[Tensor | None] = []
        ids, tensors, modules = self._ids.extend, found.extend, self._modules.append

        def visit(module: nn.Module) -> None:
            modules(module)
            state = module.__dict__
            ids(map(id, state.values()))
            if state["_forward_hooks"] or state["_forward_pre_hooks"]:
                self.hooked = True
            tensors(state["_parameters"].values())
            tensors(state["_buffers"].values())
            children = state["_modules"]
            if children:
                ids(children)
                for child in children.values():
                    if child is not None:
                        visit(child)

        visit(model)
        ids(map(id, self._modules))
        ids(map(id, found))
        self.tensors: list[Tensor] = [tensor for tensor in found if tensor is not None]
        # plain lists of numbers: tuples would set Python's garbage collection going at every walk
        self.addresses = [tensor.data_ptr() for tensor in self.tensors]
        try:
            self.versions = [tensor._version for tensor in self.tensors]
        except RuntimeError:  # tensors of inference mode keep no count
            self.versions = [version(tensor) for tensor in self.tensors]

    def named(self, names: list[str]) -> dict[str, Tensor]:
        """The tensors by the names that `structure.tensors` gives them."""
        return dict(zip(names, self.tensors, strict=True))

    def sizes(self) -> list[int]:
        """Number of elements of every tensor."""
        return [tensor.numel() for tensor in self.tensors]

    @property
    def facts(self) -> list[int]:
        """Addresses and versions of all tensors; a change of values shows here."""
        return self.addresses + self.versions

    def odd(self) -> list[tuple[int, str]]:
        """Attributes that can change without being replaced: (index of the module, name)."""
        return [
            (index, key)
            for index, module in enumerate(self._modules)
            for key, value in module.__dict__.items()
            if not isinstance(value, (*PLAIN, tuple, dict, set, type)) and key != _DERIVED and _changes(value)
        ]

    def contents(self, odd: list[tuple[int, str]]) -> list[Any]:
        """What those attributes hold now."""
        found: list[Any] = []
        for index, key in odd:
            value = self._modules[index].__dict__.get(key)
            found.append(list(map(id, value)) if isinstance(value, list) else getattr(value, "_version", None))
        return found


def _changes(value: Any) -> bool:
    import torch

    return isinstance(value, (list, torch.Tensor))


def version(tensor: Tensor) -> int:
    """The tensor's count of writes; -1 for those that keep none."""
    return -1 if tensor.is_inference() else tensor._version


class _Known:
    """A model as it was when its structure was last worked out."""

    def __init__(self, model: nn.Module, survey: Survey) -> None:
        self.key = Key(structure(model))
        self.ids = survey._ids
        self.types = [type(module) for module in survey._modules]
        self.addresses = survey.addresses
        self.sizes = survey.sizes()
        self.odd = survey.odd()
        self.contents = survey.contents(self.odd)
        self.kept = [  # alive, so that no other value can take the place of their ids
            value
            for module in survey._modules
            for value in module.__dict__.values()
            if isinstance(value, (*PLAIN, tuple))
        ]
        others = [
            reference(value)
            for module in survey._modules
            for value in module.__dict__.values()
            if not isinstance(value, (*PLAIN, tuple, list, dict, set))
        ]
        # not held, since they may hold the model: functions, hooks' owners, objects of the user's
        self.alive = [other for other in others if other is not None]

    def holds(self, survey: Survey) -> bool:
        return (
            self.ids == survey._ids
            and self.addresses == survey.addresses
            and self.sizes == survey.sizes()
            and self.types == list(map(type, survey._modules))
            and all(other() is not None for other in self.alive)
            and (not self.odd or self.contents == survey.contents(self.odd))
        )


_KNOWN: weakref.WeakKeyDictionary[nn.Module, _Known] = weakref.WeakKeyDictionary()


def structure_key(model: nn.Module, survey: Survey) -> Key:
    """`structure` of a model as a key; worked out anew only if the walk shows that something was replaced."""
    from torch.nn.modules import module as globals_of_torch

    if survey.hooked or globals_of_torch._global_forward_hooks or globals_of_torch._global_forward_pre_hooks:
        return Key(structure(model))
    known = _KNOWN.get(model)
    if known is None or not known.holds(survey):
        known = _KNOWN[model] = _Known(model, survey)
    return known.key
