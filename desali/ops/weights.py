"""Packed copies of convolution weights, and whether they are still true."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from desali.ops import contents
from desali.ops.device import capturing, on_gpu

Slot = tuple[int, Hashable]


@dataclass(frozen=True)
class Packed:
    """A packed weight, and what the weight was like then.

    Attributes:
        facts: `contents.facts` of the weight.
        size: its `contents.span`.
        glance, value: its fingerprints, of a part and of all.
    """

    weight: weakref.ref[Tensor]
    facts: tuple[Any, ...]
    size: int
    glance: int
    value: int
    packed: Tensor


class WeightCache:
    """Packed copies of weights. An entry lives as long as its weight, and is renewed when the weight has changed.

    A change shows by the weight's address, layout and count of writes. For writes that PyTorch does not count, such as
    those through `weight.data`, either every use looks at the values, or the owner reads them and calls `keep`.

    Args:
        glance: look at the weight's values at every use: at all of small weights, at a part of large ones.

    Attributes:
        packings: how many weights were packed.
    """

    def __init__(self, glance: bool = False) -> None:
        self._entries: dict[Slot, Packed] = {}
        self._glance = glance
        self.packings = 0

    def get(self, weight: Tensor, key: Hashable, pack: Callable[[], Tensor]) -> Tensor:
        """The packed form `key` of `weight`, made by `pack` if it is not there or no longer true."""
        slot = (id(weight), key)
        facts = contents.facts(weight)
        entry = self._entries.get(slot)
        known = entry is not None and entry.weight() is weight and entry.facts == facts
        if entry is not None and known and (not self._glance or entry.glance == self._glance_at(entry, weight)):
            return entry.packed
        if on_gpu(weight.device) and capturing():
            return pack()  # it has no value yet, and its memory is the graph's
        value = contents.fingerprint(weight)
        size = contents.span(weight)
        glance = contents.fingerprint(weight, contents.WHOLE) if self._glance else value
        packed = pack()
        entries = self._entries
        gone = weakref.ref(weight, lambda _: entries.pop(slot, None))
        entries[slot] = Packed(gone, facts, size, glance, value, packed)
        self.packings += 1
        return packed

    def _glance_at(self, entry: Packed, weight: Tensor) -> int:
        if entry.size == 0:  # on a GPU: only when it is packed, and in `keep`
            return entry.glance
        return contents.fingerprint_at(weight, weight.data_ptr(), entry.size, contents.WHOLE)

    def values(self, weight: Tensor) -> set[int]:
        """Fingerprints that the weight had when it was packed."""
        return {entry.value for entry in list(self._entries.values()) if entry.weight() is weight}

    def keep(self, weight: Tensor, value: int) -> None:
        """Forget what was packed of the weight while its fingerprint was not this one."""
        for slot, entry in list(self._entries.items()):
            if entry.weight() is weight and entry.value != value:
                self._entries.pop(slot, None)

    def packed(self) -> list[Tensor]:
        """Every packed weight that is held."""
        return [entry.packed for entry in list(self._entries.values())]

    def clear(self) -> None:
        """Forget every packed weight."""
        self._entries.clear()
