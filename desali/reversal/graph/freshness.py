"""The one place that answers "has it changed?": for captures, recordings, folded copies and captured sweeps.

`State` (in `state`) is a model as one quick walk finds it. Its `structure` is what a capture depends on; `Watch` keeps
what its tensors were like, with the images if there are any, and later says whether all is as it was. A tensor is the
same if it is the same object (not another that took a dead one's id or address), lies where it lay, in the same shape
and strides, has been written to as often, and holds the same values.

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
from typing import TYPE_CHECKING, Any

from desali.ops import contents
from desali.reversal.graph.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from desali.ops import WeightCache


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
