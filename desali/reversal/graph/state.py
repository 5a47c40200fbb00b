"""A model as one quick walk over its modules finds it, and its structure, worked out anew only where that shows it."""

from __future__ import annotations

import weakref
from functools import cached_property
from itertools import accumulate, chain, islice, repeat
from typing import TYPE_CHECKING, Any

from desali.ops import contents
from desali.reversal.graph.marks import PLAIN, alike, is_users, mark, may_change, reference, settings
from desali.reversal.graph.structure import APART, GROUPS, structure

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

    def alike(self, other: Key) -> bool:
        """Whether it is the same but for tensors that are no parameters, which `prune` computes in every forward."""
        return self == other or alike(self._parts, other._parts)


class State:
    """A model as one walk finds it.

    Attributes:
        tensors: every parameter and buffer under each of its qualified places, in the order of the walk.
        addresses: of each of them; `Module.to` and the like change these without replacing a parameter.
        versions: each one's count of writes.
        hooked: whether any module has a forward hook, which may be exchanged in its place.
    """

    def __init__(self, model: nn.Module) -> None:
        import torch

        self._model = model
        self._modules = [model]
        states: list[dict[str, Any]] = []
        keys: list[str] = []
        for module in self._modules:  # which grows
            states.append(module.__dict__)
            children = module.__dict__["_modules"]
            if children:
                keys += children
                self._modules += [child for child in children.values() if child is not None]
        self.hooked = any(state["_forward_hooks"] or state["_forward_pre_hooks"] for state in states)
        groups = [state[group] for state in states for group in GROUPS if state[group]]
        found = list(chain.from_iterable(map(dict.values, groups)))
        own = map(islice, map(dict.values, states), repeat(len(_bookkeeping())), repeat(None))
        self._ids: list[Any] = list(map(id, chain(chain.from_iterable(own), keys, self._modules, found)))
        self._ids += [state.get("training") for state in states]  # torch.compile's wrapper has none
        self.tensors: list[Tensor] = [tensor for tensor in found if tensor is not None]
        # plain lists of numbers: tuples would set Python's garbage collection going at every walk
        self.addresses = list(map(torch.Tensor.data_ptr, self.tensors))
        try:
            self.versions = [tensor._version for tensor in self.tensors]
        except RuntimeError:  # tensors of inference mode keep no count
            self.versions = list(map(contents.version, self.tensors))
        self.sizes = list(map(torch.Tensor.numel, self.tensors))

    @property
    def kinds(self) -> set[type]:
        """The modules' classes."""
        return set(map(type, self._modules))

    @cached_property
    def _known(self) -> _Known:
        known = _KNOWN.get(self._model)
        if known is None or not known.holds(self):
            known = _KNOWN[self._model] = _Known(self)
        return known

    @property
    def structure(self) -> Key:
        """What a capture depends on; worked out anew only if the walk shows that something was replaced."""
        from torch.nn.modules import module as globals_of_torch

        if self.hooked or globals_of_torch._global_forward_hooks or globals_of_torch._global_forward_pre_hooks:
            return Key(structure(self._model))
        return self._known.key(self._model)

    @property
    def strides(self) -> list[int]:
        """Strides, hashed, of the tensors of several dimensions."""
        return self._known.strides

    @property
    def spans(self) -> list[int]:
        """Bytes of each tensor that can be read (`contents.span`)."""
        return self._known.spans

    def named(self, names: list[str]) -> dict[str, Tensor]:
        """The tensors by the names that `structure.tensors` gives them."""
        return dict(zip(names, self.tensors, strict=True))

    def affordable(self, most: int) -> list[int]:
        """Indices of the tensors larger than `contents.WHOLE` that `most` bytes suffice to read, the smallest first."""
        return self._known.affordable(most)

    def fingerprints(self) -> list[int]:
        """Numbers that follow from the tensors' values; see `contents.fingerprints`."""
        return contents.fingerprints(self.tensors, self.addresses, self.spans)


class _Known:
    """A model as it was when something about it had to be worked out."""

    def __init__(self, state: State) -> None:
        self._key: Key | None = None
        self.ids = state._ids
        self.types = [type(module) for module in state._modules]
        self.kinds = [kind for kind in dict.fromkeys(self.types) if is_users(kind)]
        self.settings = list(map(settings, self.kinds))
        self.addresses = state.addresses
        self.sizes = state.sizes
        self.wide = [
            index for index, tensor in enumerate(state.tensors) if tensor.dim() > 1 or not tensor.is_contiguous()
        ]
        self.strides = self._strides(state)
        self.spans = [contents.span(tensor) for tensor in state.tensors]
        self.odd = [  # attributes that can change without being replaced: index of the module, name
            (index, key)
            for index, module in enumerate(state._modules)
            for key, value in module.__dict__.items()
            if key not in APART and key != _DERIVED and may_change(value)
        ]
        self.marks = self._marks(state)
        values = [value for module in state._modules for value in module.__dict__.values()]
        # alive, so that no other value can take the place of their ids
        self.kept = [value for value in values if isinstance(value, (*PLAIN, tuple))]
        others = [reference(value) for value in values if not isinstance(value, (*PLAIN, tuple, list, dict, set))]
        # not held, since they may hold the model: functions, hooks' owners, objects of the user's
        self.alive = [other for other in others if other is not None]
        own = _bookkeeping()
        self.usual = all(tuple(islice(module.__dict__, len(own))) == own for module in state._modules)
        self._larger = sorted((size, index) for index, size in enumerate(self.spans) if size > contents.WHOLE)
        self._affordable: tuple[int, list[int]] = (0, [])

    def holds(self, state: State) -> bool:
        return (
            self.usual
            and self.ids == state._ids
            and self.addresses == state.addresses
            and self.sizes == state.sizes
            and self.strides == self._strides(state)
            and self.types == list(map(type, state._modules))
            and all(other() is not None for other in self.alive)
            and self.settings == list(map(settings, self.kinds))
            and (not self.odd or self.marks == self._marks(state))
        )

    def key(self, model: nn.Module) -> Key:
        if self._key is None:
            self._key = Key(structure(model))
        return self._key

    def affordable(self, most: int) -> list[int]:
        if self._affordable[0] != most:
            sums = accumulate(size for size, _ in self._larger)
            chosen = [index for (_, index), read in zip(self._larger, sums, strict=True) if read <= most]
            self._affordable = most, chosen
        return self._affordable[1]

    def _strides(self, state: State) -> list[int]:
        return [hash(state.tensors[index].stride()) for index in self.wide]

    def _marks(self, state: State) -> list[Any]:
        return [mark(state._modules[index].__dict__.get(key)) for index, key in self.odd]


_KNOWN: weakref.WeakKeyDictionary[nn.Module, _Known] = weakref.WeakKeyDictionary()
_BOOKKEEPING: list[tuple[str, ...]] = []


def _bookkeeping() -> tuple[str, ...]:
    """Attributes that every module begins with; what is in them is walked over for itself."""
    if not _BOOKKEEPING:
        from torch import nn

        _BOOKKEEPING.append(tuple(nn.Module().__dict__))
    return _BOOKKEEPING[0]
