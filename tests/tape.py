"""A stand-in for a CUDA graph on the CPU: every operation of a captured run is taped, and replayed on the same memory.

As in a CUDA graph, what Python decided during the capture stays decided, tensors keep their addresses, and nothing is
computed anew but what was taped. Operations that wait for the device or copy from the host are refused as CUDA refuses
them during a capture. Before each replay all memory that the tape made is filled with NaN, so that a value left over
from an earlier run shows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

REFUSED = ("_local_scalar_dense", "item", "equal", "nonzero", "is_nonzero", "lift_fresh", "unique", "masked_select")


class _Recorder(TorchDispatchMode):
    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name().removeprefix("aten::").split(".")[0]
        if name in REFUSED:
            _refuse(name)()
        result = func(*args, **kwargs)
        read = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        made = [t for t in tree_leaves(result) if isinstance(t, Tensor) and t.untyped_storage().data_ptr() not in read]
        writes = any(
            argument.alias_info is not None and argument.alias_info.is_write for argument in func._schema.arguments
        )
        self.tape.keep(result, args, kwargs)
        self.tape.fresh.extend(made)
        if made and not writes:
            self.tape.calls.append(lambda: _renew(made, func(*args, **kwargs)) if "empty" not in name else None)
        elif writes:
            self.tape.calls.append(lambda: func(*args, **kwargs))
        return result


def _renew(made: list[Tensor], result: Any) -> None:
    for old, new in zip(made, [t for t in tree_leaves(result) if isinstance(t, Tensor)], strict=True):
        old.copy_(new)


def _refuse(name: str) -> Callable[..., Any]:
    def refuse(*_: Any) -> Any:
        raise RuntimeError(f"operation not permitted when stream is capturing: {name}")

    return refuse


class Tape:
    """A `Graph` of `desali.reversal.cuda_graph`."""

    running: Tape | None = None  # the tape that captures now

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.calls: list[Callable[[], object]] = []
        self.fresh: list[Tensor] = []
        self.kept: list[Any] = []
        self.replays = 0
        self.released = False

    def keep(self, *values: Any) -> None:
        self.kept.extend(values)

    def capture(self, work: Callable[[], dict[int, Tensor]]) -> dict[int, Tensor]:
        work()
        Tape.running = self
        try:
            with contextlib.ExitStack() as stack:
                for name in ("tolist", "numpy", "cpu"):  # they read CPU tensors past the recorder
                    stack.enter_context(mock.patch.object(Tensor, name, _refuse(name)))
                stack.enter_context(_Recorder(self))
                result = work()
        finally:
            Tape.running = None
        return result

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        yield

    def replay(self) -> None:
        assert not self.released, "a graph was replayed after its release"
        self.replays += 1
        for tensor in self.fresh:
            if tensor.is_floating_point():
                tensor.fill_(torch.nan)
        for call in self.calls:
            call()

    def nbytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self.fresh)

    def release(self) -> None:
        self.released = True


class TapedCore:
    """The compute core, whose calls go onto the running tape: they take addresses, so that torch does not see them."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.module, name)

        def call(**given: Any) -> Any:
            if Tape.running is not None:
                Tape.running.calls.append(lambda: function(**given))
            return function(**given)

        return call if name != "describe" else function
