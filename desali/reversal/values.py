"""Which values of the forward pass a recording holds, so that a reconstruction need not run the network again."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from desali.ops import contents
from desali.ops.device import on_host
from desali.reversal.context import rule_for
from desali.reversal.graph.network import Network
from desali.reversal.layers.base import Node
from desali.reversal.methods import Method
from desali.reversal.sweep import steps

if TYPE_CHECKING:
    from torch import Tensor

LAST_LAYERS = 16
"""Of so many layers at the network's end the outputs may be held."""
LAST_SHARE = 4
"""The last outputs are held while they take at most one in so many of the bytes that masks and switches take."""
AGAIN_BYTES = 64 << 20
"""What was computed again is held for the next time: for all recordings of the process together, in so many bytes."""


@dataclass(frozen=True)
class Need:
    """What a reconstruction will ask a recording for; `record(keep=...)` takes it in the place of layers.

    Attributes:
        layers: whose outputs are needed.
        reversed_: for each method the layers that seeds will be put on.
    """

    layers: tuple[str, ...] = ()
    reversed_: tuple[tuple[Method, tuple[str, ...]], ...] = ()

    def indices(self, network: Network) -> frozenset[int]:
        """The nodes whose values are needed.

        Raises:
            UnknownNameError: no such layer.
        """
        found = {network.find(name).index for name in self.layers}
        for rule, layers in self.reversed_:
            tops = [network.find(name).index for name in layers]
            found |= inputs_needed(network, rule, [network.nodes[index] for index in steps(network, tops)])
        return frozenset(found - {0})


def needs_inputs(network: Network, rule: Method, node: Node) -> bool:
    """Whether the reversal of a node reads the values of its inputs."""
    return node.operation is not None and node.operation.needs_inputs(rule_for(network, rule, node))


def inputs_needed(network: Network, rule: Method, path: Iterable[Node]) -> set[int]:
    """The nodes whose values the reversal of a path reads."""
    return {index for node in path if needs_inputs(network, rule, node) for index in node.inputs}


class Values:
    """The values that one recording holds, by node index.

    Args:
        kept: those it was told to keep; None: all.
    """

    def __init__(self, network: Network, images: Tensor, kept: frozenset[int] | None) -> None:
        self._network = network
        self._images = images
        self._wanted = kept
        self._kept: dict[int, Tensor] = {}
        self._last = Last(images)
        weakref.finalize(self, AGAIN.forget, id(self)).atexit = False
        self._output: tuple[Tensor, tuple[Any, ...], int] | None = None

    @property
    def watched(self) -> frozenset[int] | None:
        """The nodes whose values `see` is to be told; None: all."""
        return None if self._wanted is None else self._wanted | tail(self._network)

    def see(self, node: Node, value: Any, taken: int) -> None:
        """A value of the forward pass, when the decisions so far take so many bytes."""
        if self._wanted is None or node.index in self._wanted:
            self._kept[node.index] = value
        elif node.index not in self._network.repeated:
            self._last.see(node, value, taken // LAST_SHARE)

    def close(self, output: Tensor) -> None:
        """The forward pass is over; its output is the caller's, who may write into it: then it is not used."""
        self._kept.update(self._last.values())
        self._kept.setdefault(self._network.output, output)
        number = contents.fingerprint(output) if on_host(output.device) else 0
        self._output = output, contents.facts(output), number

    def all(self) -> list[Tensor]:
        """Every tensor, in the order of the nodes; what was computed again belongs to the process."""
        return [self._kept[index] for index in sorted(self._kept)]

    def told(self, indices: Iterable[int]) -> bool:
        """Whether the recording was told to keep these values (or they are the images)."""
        return self._wanted is None or self._wanted | {0} >= set(indices)

    def find(self, indices: Iterable[int]) -> dict[int, Tensor]:
        """Those of the values that are there."""
        found = {0: self._images}
        touched: bool | None = None
        for index in indices:
            place = index
            while place not in self._kept and place in self._network.repeated:
                place = self._network.repeated[place]
            value = self._kept.get(place)
            if value is not None and self._shares_output(value):
                touched = self._output_written() if touched is None else touched
                value = None if touched else value
            value = AGAIN.find((id(self), index)) if value is None else value
            if value is not None:
                found[index] = value
        return found

    def hold(self, values: dict[int, Tensor]) -> None:
        """Values that were computed again."""
        AGAIN.hold({(id(self), index): value for index, value in values.items()})

    def _shares_output(self, value: Any) -> bool:
        output = None if self._output is None else self._output[0]
        return (
            output is not None
            and hasattr(value, "untyped_storage")
            and value.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()
        )

    def _output_written(self) -> bool:
        assert self._output is not None
        output, facts, number = self._output
        return contents.facts(output) != facts or (on_host(output.device) and contents.fingerprint(output) != number)


class Again:
    """Values that were computed again, the least recently used dropped beyond a limit of bytes. Safe for threads.

    A key is the id of the `Values` that they belong to, which forget them when they end, and the node's index.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def nbytes(self) -> int:
        """Bytes of the memory that the values keep alive, each counted once."""
        with self._lock:
            storages = [value.untyped_storage() for value in self._held.values() if hasattr(value, "untyped_storage")]
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())

    def find(self, key: tuple[int, int]) -> Tensor | None:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def hold(self, values: dict[tuple[int, int], Tensor]) -> None:
        with self._lock:
            self._held.update(values)
            while self._held and self.nbytes > self._limit:
                self._held.popitem(last=False)

    def forget(self, owner: int) -> None:
        with self._lock:
            for key in [key for key in self._held if key[0] == owner]:
                del self._held[key]


AGAIN = Again(AGAIN_BYTES)


class Last:
    """The last outputs of a network while they are small: first of layers with positions, then of the others."""

    def __init__(self, images: Tensor) -> None:
        self._images = images.untyped_storage().data_ptr()
        self._spatial: list[tuple[int, Tensor]] = []
        self._flat: list[tuple[int, Tensor]] = []
        self._users: dict[int, int] = {}
        self._total = 0

    def see(self, node: Node, value: Any, room: int) -> None:
        """A value, in forward order; those that came first are let go when they do not fit into `room` bytes."""
        if not hasattr(value, "untyped_storage"):
            return
        storage = value.untyped_storage()
        if storage.nbytes() > room or storage.data_ptr() == self._images:
            return
        (self._spatial if len(node.shape) > 1 else self._flat).append((node.index, value))
        self._count(storage, 1)
        while self._total > room:
            first = (self._flat or self._spatial).pop(0)[1]
            self._count(first.untyped_storage(), -1)

    def values(self) -> dict[int, Tensor]:
        return dict([*self._spatial, *self._flat])

    def _count(self, storage: Any, change: int) -> None:
        """Count each memory once, however many values lie in it."""
        place = storage.data_ptr()
        before = self._users.get(place, 0)
        self._users[place] = before + change
        if not before or not before + change:
            self._total += change * storage.nbytes()


def tail(network: Network) -> frozenset[int]:
    """The layers at a network's end that `Last` may hold; not those whose memory the next layer writes into."""
    named = [node.index for node in network.nodes[1:] if node.operation is not None and node.name]
    return frozenset(named[-LAST_LAYERS:]) - network.overwritten
