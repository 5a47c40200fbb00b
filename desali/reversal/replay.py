"""Sweeps captured in CUDA graphs, and replayed when the same network meets seeds of the same shapes again.

A sweep is hundreds of small launches. Captured, it is one. What decides the launches is the key under which a graph is
kept; what only decides numbers (masks, switches, seeds, their positions) is copied into the graph's memory before each
replay. Parameters are read where they lie: a graph ends when one of them moves or changes.
"""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError, UnknownNameError
from desali.ops.device import capturing, on_gpu
from desali.reversal.context import Bottleneck, Reversal
from desali.reversal.cuda_graph import CudaGraph, Graph, device_bytes
from desali.reversal.graph.freshness import Watch
from desali.reversal.graph.network import Network
from desali.reversal.graph.state import State
from desali.reversal.placing import Points
from desali.reversal.signals import placed_signal, whole
from desali.reversal.sweep import Sweep, steps

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SWITCH = "DESALI_CUDA_GRAPHS"
LIMIT = "DESALI_CUDA_GRAPH_BYTES"
# UNMEASURED, hence off: no GPU has captured a sweep yet. Once `benchmarks/gpu_session.py` has shown equal numbers and
# a gain, "on" here makes graphs the default.
DEFAULT = "off"
REMEMBERED = 256  # keys seen once, or refused

Placed = dict[int, "Points | Tensor"]
Key = tuple[Any, ...]


def wanted(cuda_graph: bool | None) -> str:
    """ "off", "on" (where it can be) or "required": the argument, else the environment's word, else the default.

    Raises:
        UnknownNameError: the environment variable holds another word.
    """
    if cuda_graph is not None:
        return "required" if cuda_graph else "off"
    word = os.environ.get(SWITCH, "") or DEFAULT
    if word not in ("on", "off"):
        raise UnknownNameError(f"value of {SWITCH}", word, ("on", "off"))
    return word


def can_capture(
    network: Network, tops: list[int], device: torch.device, windows: bool, max_bytes: int | None
) -> str | None:
    """None if a sweep can be captured and replayed, else the reason why it cannot.

    Args:
        tops: indices of the seeded nodes.
        windows: single neurons walk as windows of the map.
        max_bytes: the caller's own limit, or None.
    """
    if not on_gpu(device):
        return f"CUDA graphs need images on a GPU, got images on {device}"
    if capturing():
        return "a CUDA graph is being captured already; the sweep becomes part of that one"
    if max_bytes is not None:
        return "a graph keeps its memory, which max_bytes would bound; leave max_bytes out"
    for index in steps(network, tops):
        layer = network.nodes[index].operation
        reason = None if layer is None else layer.reason_against_capture()
        if layer is not None and reason is not None:
            return f"layer {network.nodes[index].name!r} ({layer.label}) {reason}"
    if windows:
        for top in tops:
            node_index = _meeting(network, top)
            if node_index is not None:
                return (
                    f"branches meet at layer {network.nodes[node_index].name!r}, where windows are compared on the "
                    "host; pass crop=False"
                )
    return None


def _meeting(network: Network, top: int) -> int | None:
    """A node that receives one seed's signal from several others."""
    arrived: set[int] = set()
    for index in steps(network, [top]):
        for source in network.sources[index]:
            if source in arrived:
                return source
            arrived.add(source)
    return None


@dataclass
class Entry:
    """A captured sweep.

    Attributes:
        network: for the graph's end when the network ends.
        watch: what the parameters were like.
        inputs, outputs: the graph's memory, by name and by the node index of the seed.
        held: packed weights that the graph reads.
    """

    network: weakref.ref[Network]
    watch: Watch
    graph: Graph
    inputs: dict[tuple[str, int], Tensor]
    outputs: dict[int, Tensor]
    held: list[Tensor]
    nbytes: int


class Replays:
    """Captured sweeps, the least recently used of them dropped beyond a limit of bytes. Safe for several threads.

    Args:
        make: makes an empty graph for a device.
        limit: bytes that all captured sweeps may hold; None: the environment's `DESALI_CUDA_GRAPH_BYTES`, else a
            quarter of the device's memory.
    """

    def __init__(self, make: Callable[[torch.device], Graph] = CudaGraph, limit: int | None = None) -> None:
        self._make = make
        self._limit = limit
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._seen: OrderedDict[Key, None] = OrderedDict()
        self._refused: OrderedDict[Key, str] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def nbytes(self) -> int:
        """Bytes that the captured sweeps hold."""
        with self._lock:
            return sum(entry.nbytes for entry in list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Drop every captured sweep and what is known of others."""
        with self._lock:
            for key in list(self._entries):
                self._drop(key)
            self._seen.clear()
            self._refused.clear()

    def run(
        self, reversal: Reversal, placed: Placed, windows: bool, targets: dict[int, Tensor], required: bool
    ) -> bool:
        """Do a sweep by its graph. A sweep is captured when it comes for the second time, or at once if `required`.

        Args:
            reversal: as for `Sweep`.
            placed: what is put on each seeded node.
            windows: single neurons walk as windows.
            targets: maps [n, K, C, *spatial] of zeros to write to, by the node index of the seed.

        Returns:
            Whether the maps were written; else the sweep has to be done without a graph.

        Raises:
            DesaliError: `required`, and the sweep could not be captured.
        """
        device = next(iter(targets.values())).device
        inputs = _inputs(reversal, placed)
        key = _key(reversal, device, windows, inputs)
        with self._lock:
            entry = self._find(key, reversal)
            if entry is None:
                if not required and not self._again(key):
                    return False
                make = partial(self._captured, key, reversal, placed, windows, inputs, device)
                entry = self._keep(key, make, self._most_bytes(device), required)
            if entry is None:
                return False
            with entry.graph.turn():
                for name, tensor in inputs.items():
                    entry.inputs[name].copy_(tensor)
                entry.graph.replay()
                for top, target in targets.items():
                    if top in entry.outputs:
                        target.copy_(entry.outputs[top])
        return True

    def _find(self, key: Key, reversal: Reversal) -> Entry | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if (
            entry.network() is not reversal.network
            or not entry.watch.holds(State(reversal.model))
            or not set(map(id, entry.held)) <= set(map(id, _packed(reversal.network)))
        ):
            self._drop(key)
            self._seen.pop(key, None)  # parameters that change all the time are not worth a capture
            return None
        self._entries.move_to_end(key)
        return entry

    def _again(self, key: Key) -> bool:
        """Whether a sweep has come before and may be captured now."""
        if key in self._refused:
            return False
        if key in self._seen:
            return True
        _remember(self._seen, key, None)
        return False

    def _keep(self, key: Key, make: Callable[[], Entry], limit: int, required: bool) -> Entry | None:
        """Capture a sweep and keep it, or remember the reason why not."""
        reason = self._refused.get(key)
        if reason is None:
            try:
                entry = make()
            except Exception as error:
                first = (str(error).strip().splitlines() or [type(error).__name__])[0]
                reason = f"it could not be captured: {first}"
            else:
                if entry.nbytes <= limit:
                    while self._entries and self.nbytes + entry.nbytes > limit:
                        oldest = next(iter(self._entries))
                        self._drop(oldest)
                        self._seen.pop(oldest, None)
                    self._entries[key] = entry
                    return entry
                reason = f"its graph holds {entry.nbytes} bytes of the {limit} that {LIMIT} allows"
                entry.graph.release()
            _remember(self._refused, key, reason)
        if required:
            raise DesaliError(f"this sweep has no CUDA graph: {reason}; leave cuda_graph=True out")
        warnings.warn(f"a sweep goes on without a CUDA graph: {reason}", RuntimeWarning, stacklevel=2)
        return None

    def _captured(
        self,
        key: Key,
        reversal: Reversal,
        placed: Placed,
        windows: bool,
        inputs: dict[tuple[str, int], Tensor],
        device: torch.device,
    ) -> Entry:
        import torch

        network = reversal.network
        own = {name: torch.empty_like(tensor, device=device) for name, tensor in inputs.items()}
        for name, tensor in inputs.items():
            own[name].copy_(tensor)
        inner = replace(reversal, bottleneck=_bottleneck(own), images=slice(None))

        def work() -> dict[int, Tensor]:
            signals = {
                top: placed_signal(_own_seed(own, top, item), network.nodes[top].shape, windows)
                for top, item in placed.items()
            }
            arrived = Sweep(inner).run(signals)
            return {top: whole(signal, network.nodes[0].shape[1:]).tensor for top, signal in arrived.items()}

        graph = self._make(device)
        with graph.turn():
            outputs = graph.capture(work)
        nbytes = graph.nbytes() + sum(tensor.numel() * tensor.element_size() for tensor in own.values())
        gone = weakref.ref(network, lambda _: self._forget(key))
        return Entry(gone, Watch(State(reversal.model)), graph, own, outputs, _packed(network), nbytes)

    def _most_bytes(self, device: torch.device) -> int:
        if self._limit is not None:
            return self._limit
        word = os.environ.get(LIMIT, "")
        if word and not word.isdigit():
            raise DesaliError(f"{LIMIT} must be a whole number of bytes, got {word!r}")
        return int(word) if word else device_bytes(device) // 4

    def _drop(self, key: Key) -> None:
        self._entries.pop(key).graph.release()

    def _forget(self, key: Key) -> None:
        with self._lock:
            if key in self._entries:
                self._drop(key)


REPLAYS = Replays()


def _remember(known: OrderedDict[Key, Any], key: Key, value: Any) -> None:
    known[key] = value
    while len(known) > REMEMBERED:
        known.popitem(last=False)


def _packed(network: Network) -> list[Tensor]:
    """Every packed weight that the network holds."""
    return [packed for cache in list(network.weight_caches.values()) for packed in cache.packed()]


def _inputs(reversal: Reversal, placed: Placed) -> dict[tuple[str, int], Tensor]:
    """Every tensor that a sweep reads and that differs from one recording, or one seed, to the next."""
    found: dict[tuple[str, int], Tensor] = {}
    for top, item in placed.items():
        if isinstance(item, Points):
            found |= {("channel", top): item.channel, ("position", top): item.position, ("at", top): item.value}
        else:
            found["signal", top] = item
    for index in steps(reversal.network, list(placed)):
        node = reversal.network.nodes[index]
        if index in reversal.bottleneck.kept:
            found["kept", index] = reversal.kept(node)
        if node.operation is not None and node.operation.needs_inputs(reversal.rule(node)):
            found |= {("value", source): tensor for source, tensor in reversal.inputs(node).items()}
    return found


def _bottleneck(own: dict[tuple[str, int], Tensor]) -> Bottleneck:
    """The decisions of the forward pass, as they lie in a graph's memory."""
    kept = {index: tensor for (name, index), tensor in own.items() if name == "kept"}
    return Bottleneck(kept, [], lambda node: {index: own["value", index] for index in node.inputs})


def _own_seed(own: dict[tuple[str, int], Tensor], top: int, item: Points | Tensor) -> Points | Tensor:
    if isinstance(item, Points):
        return Points(own["channel", top], own["position", top], own["at", top])
    return own["signal", top]


def _key(reversal: Reversal, device: torch.device, windows: bool, inputs: dict[tuple[str, int], Tensor]) -> Key:
    """What decides the launches of a sweep, apart from the parameters."""
    shapes = tuple(
        (*name, tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device) for name, tensor in inputs.items()
    )
    return id(reversal.network), reversal.method, reversal.backend, windows, device, shapes, _settings()


def _settings() -> tuple[Any, ...]:
    """PyTorch's and desali's switches that choose kernels."""
    import torch

    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return (
        os.environ.get("DESALI_BACKEND", "auto"),
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic,
        cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        matmul.fp32_precision,
        matmul.allow_fp16_reduced_precision_reduction, matmul.allow_bf16_reduced_precision_reduction,
        torch.are_deterministic_algorithms_enabled(),
    )  # fmt: skip
