"""A state of torch in which recordings are made, whatever the caller's is."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from desali.ops.device import on_gpu

if TYPE_CHECKING:
    import torch
    from torch import nn

EXPORT_LOGGERS = ("torch._subclasses.fake_tensor", "torch.fx.experimental.symbolic_shapes", "torch.export._trace")
_GENERATOR = threading.RLock()


@contextlib.contextmanager
def quiet(device: torch.device) -> Iterator[None]:
    """No gradients, no inference mode (its tensors could not be used for adjoints later) and no automatic casts."""
    import torch

    with contextlib.ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(torch.no_grad())
        yield


@contextlib.contextmanager
def plain_attention(model: nn.Module) -> Iterator[None]:
    """Let attention modules compute by the operations that an export sees, not by their fused inference path."""
    import torch

    backend = torch.backends.mha
    fused = backend.get_fastpath_enabled() and any(
        isinstance(module, (torch.nn.MultiheadAttention, torch.nn.TransformerEncoderLayer))
        for module in model.modules()
    )
    try:
        if fused:
            backend.set_fastpath_enabled(False)
        yield
    finally:
        if fused:
            backend.set_fastpath_enabled(True)


@contextlib.contextmanager
def silent_export() -> Iterator[None]:
    """Keep torch from logging why an export fails and from printing how far it came; the error it raises says enough.

    What the module itself prints on stderr is passed on at the end.
    """
    loggers = [logging.getLogger(name) for name in EXPORT_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    printed, listing = io.StringIO(), ""
    try:
        with contextlib.redirect_stderr(printed):
            yield
    except Exception as error:
        if hasattr(error, "partial_fx_graph"):
            listing = f"{error.partial_fx_graph}\n"
        raise
    finally:
        sys.stderr.write(printed.getvalue().replace(listing, "") if listing else printed.getvalue())
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def same_random_numbers(device: torch.device) -> Iterator[None]:
    """Leave torch's random state as it was.

    One thread at a time: all have one generator, and who puts it back changes what another is drawing.
    """
    import torch

    devices = [device] if on_gpu(device) else []
    with _GENERATOR, torch.random.fork_rng(devices=devices):
        yield
