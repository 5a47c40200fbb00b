"""A CUDA graph behind a small interface: work captured once, then replayed on the same memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Work = Callable[[], dict[int, "Tensor"]]


class Graph(Protocol):
    """What a sweep is captured in. One user at a time, between `turn()`'s begin and end."""

    def capture(self, work: Work) -> dict[int, Tensor]:
        """Run `work` to warm up, then capture it. Returns its results: static memory, no values before `replay`."""

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Copies to static memory, `replay` and copies from it, in the device's order too, whatever the stream."""

    def replay(self) -> None:
        """Do the captured work again, on the same memory."""

    def nbytes(self) -> int:
        """Bytes of the memory that only the captured work uses."""

    def release(self) -> None:
        """Give the memory back once the device no longer uses it."""


def device_bytes(device: torch.device) -> int:
    """Memory of a device in bytes."""
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)


class CudaGraph:
    """`torch.cuda.CUDAGraph` with a memory pool of its own, captured on a side stream.

    All graphs of a device take turns: cuBLAS gives them one scratch memory.
    """

    _done: ClassVar[dict[torch.device, torch.cuda.Event]] = {}

    def __init__(self, device: torch.device) -> None:
        import torch

        self.device = device
        self._graph = torch.cuda.CUDAGraph()

    def capture(self, work: Work) -> dict[int, Tensor]:
        import torch

        with torch.cuda.device(self.device):
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(2):  # packs weights, lets cuDNN choose, loads kernels
                    work()
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                return work()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        import torch

        with torch.cuda.device(self.device):
            done = self._done.get(self.device)
            if done is None:
                done = self._done[self.device] = torch.cuda.Event()  # type: ignore[no-untyped-call]
            stream = torch.cuda.current_stream()
            stream.wait_event(done)
            try:
                yield
            finally:
                done.record(stream)

    def replay(self) -> None:
        self._graph.replay()

    def nbytes(self) -> int:
        import torch

        pool = tuple(self._graph.pool())
        segments = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
        return sum(part["total_size"] for part in segments if tuple(part["segment_pool_id"]) == pool)

    def release(self) -> None:
        done = self._done.get(self.device)
        if done is not None:
            done.synchronize()
        self._graph.reset()
