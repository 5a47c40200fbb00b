"""The one place that answers "has it changed?": for captures, recordings, folded copies and captured sweeps.

`State` is a model as one quick walk finds it. Its `structure` is what a capture depends on; a `Watch` keeps what its
tensors were like, with the images if there are any, and later says whether all is as it was. A tensor is the same if it
is the same object (not another that took a dead one's id or address), lies where it lay, in the same shape and strides,
has been written to as often, and holds the same values.

Values are compared by fingerprints (`desali.ops.contents`), so that writes that PyTorch does not count show too:
through `.data`, NumPy, a bare address or another process. How much is read:

- tensors of up to 16 KiB completely, each time; of larger ones 16 lines of 64 bytes, each time;
- larger ones completely too as long as that costs little beside the recording itself (`Watch`'s `most`), when the
  recording is first used and whenever the forward pass is done again;
- the images completely whenever the forward pass is done again (a sweep does not read them);
- convolution weights that were packed, of any size, when a recording first uses them (`Recording`).

Not covered: a write to a small part of a large tensor, if none of these times follows or not all of it was read when
the recording was made; tensors on a GPU, of which only object, address, layout and count of writes are compared (packed
weights excepted); what a module reads through globals, or in objects more than a few levels deep (`marks`).
"""

from __future__ import annotations

import operator
import weakref
from functools import cached_property
from itertools import accumulate, chain, islice, repeat
from typing import TYPE_CHECKING, Any

from desali.ops import contents
from desali.reversal.graph.marks import PLAIN, alike, is_users, mark, may_change, reference, settings
from desali.reversal.graph.structure import APART, GROUPS, structure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from desali.ops import WeightCache

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
        """Whether it is the same but for tensors that are no parameters: `prune` computes them in every forward pass."""
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
        self._ids += [state["training"] for state in states]
        self.tensors: list[Tensor] = [tensor for tensor in found if tensor is not None]
        # plain lists of numbers: tuples would set Python's garbage collection going at every walk
        self.addresses = list(map(torch.Tensor.data_ptr, self.tensors))
        try:
            self.versions = [tensor._version for tensor in self.tensors]
        except RuntimeError:  # tensors of inference mode keep no count
            self.versions = list(map(contents.version, self.tensors))
        self.sizes = list(map(torch.Tensor.numel, self.tensors))

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


class Watch:
    """A model's tensors, and images, as they were: says later whether they are still the same. It keeps none alive.

    Args:
        state: the model now.
        images: read together with the model, or None.
        most: bytes of the model's tensors that may be read completely.
    """

    def __init__(self, state: State, images: Tensor | None = None, most: int = 0) -> None:
        self._held = list(map(weakref.ref, state.tensors))
        self._addresses, self._versions = state.addresses, state.versions
        self._sizes, self._strides = state.sizes, state.strides
        self._images = None if images is None else (weakref.ref(images), contents.facts(images))
        self._larger = state.affordable(most)
        self._glances, self._values = self._glance(state), self._read(state)
        self._pixels = self._of_images(contents.EVERYTHING)
        self._learned: dict[int, int] = {}
        self._packings: dict[str, int] = {}

    def holds(self, state: State, whole: bool = False, whole_images: bool = False) -> bool:
        """Whether all is as it was.

        Args:
            state: the model now.
            whole: read all of the tensors of which `most` allowed to read all, not only a part.
            whole_images: the same for the images.
        """
        return (
            self._addresses == state.addresses
            and self._versions == state.versions
            and self._sizes == state.sizes
            and self._strides == state.strides
            and all(map(operator.is_, [held() for held in self._held], state.tensors))
            and (self._images is None or _same(*self._images))
            and self._glances == self._glance(state)
            and (not whole or self._values == self._read(state))
            and (not whole_images or self._pixels == self._of_images(contents.EVERYTHING))
        )

    def packed_holds(
        self, state: State, names: list[str], caches: Mapping[str, WeightCache], again: Callable[[], bool]
    ) -> bool:
        """Forget packed weights that are not as they were; False if a weight itself is another by now.

        Args:
            state: the model now, for which `holds` is true.
            names: of its tensors.
            caches: by the name of the weight.
            again: whether everything would come out as it did if it were done now; asked about weights too large to be
                read completely then, of which only copies of other values are there.
        """
        doubtful = {name: cache for name, cache in caches.items() if cache.packings != self._packings.get(name)}
        places = dict(zip(names, range(len(names)), strict=True)) if doubtful else {}
        for name, cache in doubtful.items():
            index = places[name]
            weight, then, packings = state.tensors[index], self._value(index, state), cache.packings
            packed = cache.values(weight)
            if then is None or packed - {then}:
                now = contents.fingerprint(weight)
                if now != then and (then is not None or (packed - {now} and not again())):
                    return False
                self._learned[index] = now
                cache.keep(weight, now)
            self._packings[name] = packings
        return True

    def _value(self, index: int, state: State) -> int | None:
        """The fingerprint that a tensor of the model had, if it is known."""
        if index in self._learned:
            return self._learned[index]
        if 0 < state.spans[index] <= contents.WHOLE:
            return self._glances[index]
        return self._values[self._larger.index(index)] if index in self._larger else None

    def _glance(self, state: State) -> list[int]:
        return state.fingerprints() + self._of_images(contents.WHOLE)

    def _read(self, state: State) -> list[int]:
        """All of what `most` allows."""
        if not self._larger:
            return []
        tensors = [state.tensors[index] for index in self._larger]
        addresses = [state.addresses[index] for index in self._larger]
        spans = [state.spans[index] for index in self._larger]
        return contents.fingerprints(tensors, addresses, spans, contents.EVERYTHING)

    def _of_images(self, whole: int) -> list[int]:
        images = None if self._images is None else self._images[0]()
        if images is None:
            return []
        return contents.fingerprints([images], [images.data_ptr()], [contents.span(images)], whole)


def _same(held: weakref.ref[Tensor], facts: tuple[Any, ...]) -> bool:
    tensor = held()
    return tensor is not None and contents.facts(tensor) == facts
